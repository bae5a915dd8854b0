//! What is said of the application as a whole, and which pools there are.

use super::conversion::{Draft, Key, Keys};
use super::left_out;
use super::note::Note;
use super::page::Section;
use super::pool::{self, Pool};
use super::reads::{Reads, milliseconds};
use super::rules::{CRASH_BARRIER, LISTENER, OTLP, RESOURCE, SESSION_STORE, THREAD_LIMITS, TOP};
use super::term::{Place, Term};

/// Keys that are read one by one.
const READ_HERE: [&str; 25] = [
    "instance_name",
    "instance_token",
    "session_store",
    "graceful_shutdown_timeout_ms",
    "grpc_server_ready_timeout",
    "worker_ready_timeout",
    "heartbeat",
    "crash_barrier",
    "crash_barrier_taint_duration_ms",
    "crash_barrier_max_restarts",
    "crash_barrier_backoff_ms",
    "python_thread_limits",
    "opentelemetry",
    "enable_otlp?",
    "grpc_listener",
    "grpc_port",
    "grpc_host",
    "pools",
    "pool_config",
    "pool_size",
    "adapter_module",
    "default_pool_size",
    "pool_max_workers",
    "default_worker_profile",
    "config_default_threads_per_worker",
];

/// Keys without which nothing is said of a pool.
const OF_THE_OLD_POOL: [&str; 3] = ["pool_config", "pool_size", "adapter_module"];

pub(super) fn convert(settings: &[(String, Term)], draft: &mut Draft<'_>) {
    let key = |(name, term): &'_ (String, Term)| (name.clone(), term.is_nil());
    let all = settings.iter().filter(|setting| !key(setting).1);
    let keys = Keys { all: all.map(|(name, term)| Key { name: name.clone(), path: name.clone(), term }).collect() };
    for (section, rules) in TOP {
        draft.apply(rules, &keys, *section);
    }
    write_instance(&keys, draft);
    write_sessions(&keys, draft);
    write_times(&keys, draft);
    write_defaults(&keys, draft);
    write_telemetry(&keys, draft);
    write_bridge(&keys, draft);
    write_pools(&keys, draft);
    let of_rules = |name: &str| TOP.iter().any(|(_, rules)| rules.iter().any(|rule| rule.from == name));
    draft.leave_out(&keys, &|name| READ_HERE.contains(&name) || of_rules(name), left_out::TOP);
}

fn write_instance(keys: &Keys<'_>, draft: &mut Draft<'_>) {
    for (from, to) in [("instance_name", "name"), ("instance_token", "token")] {
        let Some(key) = keys.get(from) else { continue };
        let Some(said) = key.term.word() else {
            draft.notes.push(Note::of_value(&key.path, key.term, "text", &format!("instance.{to}")));
            continue;
        };
        if matches!(said.trim(), "" | "nil" | "null" | "none") {
            continue;
        }
        match pool::name(said.trim()) {
            Some(name) => draft.page.set(Section::Instance, to, name, draft.origin(&key.path, key.term.at)),
            None => draft.note(
                &key.path,
                key.term.at,
                "expected a name that begins with a letter or digit",
                format!("write `instance.{to}` yourself"),
            ),
        }
    }
}

fn write_sessions(keys: &Keys<'_>, draft: &mut Draft<'_>) {
    let Some(store) = keys.below("session_store", draft) else { return };
    draft.apply(SESSION_STORE, &store, Section::Sessions);
    let known = |name: &str| SESSION_STORE.iter().any(|rule| rule.from == name);
    draft.leave_out(&store, &known, left_out::SESSION_STORE);
}

/// Times that are cut otherwise here.
fn write_times(keys: &Keys<'_>, draft: &mut Draft<'_>) {
    if let Some(key) = keys.get("graceful_shutdown_timeout_ms") {
        // Such a worker is told to end by SIGTERM, so all of it lies between that and SIGKILL.
        match Reads::Grace.read(key.term) {
            Some(value) => {
                let origin = draft.origin(&key.path, key.term.at);
                draft.page.set(Section::PoolDefaults, "stop.ask", value, origin.clone());
                draft.page.set(Section::PoolDefaults, "stop.term", "0s", origin);
            }
            None => draft.notes.push(Note::of_value(&key.path, key.term, &Reads::Grace.expected(), "stop.ask")),
        }
    }
    let starts = ["grpc_server_ready_timeout", "worker_ready_timeout"].into_iter().filter_map(|name| keys.get(name));
    let mut longest: Option<(u64, &Key<'_>)> = None;
    for key in starts {
        match key.term.whole().filter(|number| *number > 0 && milliseconds(*number).is_some()) {
            Some(number) => longest = longest.into_iter().chain([(number, key)]).max_by_key(|(number, _)| *number),
            None => draft.notes.push(Note::of_value(&key.path, key.term, &Reads::Period.expected(), "timeouts.start")),
        }
    }
    if let Some((value, key)) = longest.and_then(|(number, key)| Some((milliseconds(number)?, key))) {
        draft.page.set(Section::PoolDefaults, "timeouts.start", value, draft.origin(&key.path, key.term.at));
    }
}

/// What pools take from the application.
fn write_defaults(keys: &Keys<'_>, draft: &mut Draft<'_>) {
    if let Some(heartbeat) = keys.below("heartbeat", draft) {
        pool::write_heartbeat(&heartbeat, Section::PoolDefaults, draft);
    }
    let barrier = keys.below("crash_barrier", draft);
    let singly = keys.all.iter().filter(|key| CRASH_BARRIER.iter().any(|rule| rule.from == key.name)).cloned();
    let barrier = Keys { all: singly.chain(barrier.into_iter().flat_map(|keys| keys.all)).collect() };
    if !barrier.all.is_empty() {
        pool::write_crash_barrier(&barrier, Section::PoolDefaults, draft);
    }
    if let Some(limits) = keys.below("python_thread_limits", draft) {
        draft.apply(THREAD_LIMITS, &limits, Section::PoolDefaults);
        let known = |name: &str| THREAD_LIMITS.iter().any(|rule| rule.from == name);
        draft.leave_out(&limits, &known, left_out::THREAD_LIMITS);
    }
    let python = keys.get("python").and_then(|key| Keys::of(key.term, &key.path));
    if let Some(env) = python.as_ref().and_then(|python| python.get("extra_env")) {
        pool::write_env(env, Section::PoolDefaults, draft);
    }
}

/// Nothing is exported unless Snakepit would.
fn write_telemetry(keys: &Keys<'_>, draft: &mut Draft<'_>) {
    let switch = keys.get("enable_otlp?");
    if let Some(key) = switch.filter(|key| key.term.flag().is_none()) {
        draft.notes.push(Note::of_value(&key.path, key.term, "true or false", "telemetry.otlp.endpoint"));
    }
    let is_on = switch.is_some_and(|key| key.term.flag() == Some(true));
    let settings = keys.below("opentelemetry", draft).unwrap_or_default();
    let exporters = settings.below("exporters", draft).unwrap_or_default();
    let otlp = exporters.below("otlp", draft).unwrap_or_default();
    if let Some(key) = keys.get("opentelemetry").filter(|_| !is_on) {
        let why = "Snakepit exports nothing unless enable_otlp? is true";
        return draft.note(&key.path, key.term.at, why, "`telemetry.otlp.endpoint` turns it on here");
    }
    let Some(switch) = switch.filter(|_| is_on) else { return };
    draft.page.set(
        Section::Otlp,
        "endpoint",
        "http://localhost:4318",
        format!("Snakepit's default; {}", draft.origin(&switch.path, switch.term.at)),
    );
    draft.apply(OTLP, &otlp, Section::Otlp);
    if let Some(resource) = settings.below("resource", draft) {
        draft.apply(RESOURCE, &resource, Section::Otlp);
    }
    if let Some(key) = otlp.get("headers").filter(|key| key.term.list().is_none_or(|list| !list.is_empty())) {
        draft.note(
            &key.path,
            key.term.at,
            "headers may be secrets, and have a file of their own",
            "write them there, one `name: value` per line, and name it in `telemetry.otlp.headers_file`",
        );
    }
    if let Some(key) = exporters.get("console") {
        draft.note(&key.path, key.term.at, "spans are not written to the console", "`hatchery events call.finished`");
    }
}

/// Workers have listeners of their own; this is the one for others.
fn write_bridge(keys: &Keys<'_>, draft: &mut Draft<'_>) {
    if let Some(listener) = keys.below("grpc_listener", draft) {
        let of_mode = only_of_mode(&listener, draft);
        draft.apply(LISTENER, &of_mode, Section::Bridge);
        let known = |name: &str| LISTENER.iter().any(|rule| rule.from == name);
        draft.leave_out(&listener, &known, left_out::LISTENER);
        check_listener(&of_mode, draft);
        return check_binding(of_mode.get("bind_host").or_else(|| of_mode.get("host")), draft);
    }
    let Some(key) = keys.get("grpc_port") else {
        return if let Some(key) = keys.get("grpc_host") {
            draft.note(&key.path, key.term.at, "without grpc_port it says nothing", "");
        };
    };
    let origin = draft.origin(&key.path, key.term.at);
    match key.term.whole() {
        Some(0) => draft.page.set(Section::Bridge, "mode", "internal", origin),
        Some(port @ 1..=65_535) => {
            draft.page.set(Section::Bridge, "mode", "external", origin.clone());
            let host = keys.get("grpc_host").and_then(|key| key.term.text()).unwrap_or("localhost");
            draft.page.set(Section::Bridge, "host", host, origin.clone());
            draft.page.set(Section::Bridge, "port", i64::try_from(port).unwrap_or_default(), origin);
            check_binding(keys.get("grpc_host"), draft);
        }
        _ => draft.notes.push(Note::of_value(&key.path, key.term, "a whole number from 0 to 65535", "bridge.port")),
    }
}

/// What Snakepit does not look at in this mode would be a mistake here.
fn only_of_mode<'a>(listener: &Keys<'a>, draft: &mut Draft<'_>) -> Keys<'a> {
    let mode = listener.get("mode").and_then(|key| key.term.word()).unwrap_or("internal");
    let names: &[&str] = match mode {
        "external" => &["mode", "host", "bind_host", "port"],
        "external_pool" => &["mode", "host", "bind_host", "base_port", "pool_size"],
        _ => &["mode"],
    };
    let (ours, others): (Vec<_>, _) = listener.all.iter().cloned().partition(|key| names.contains(&key.name.as_str()));
    for key in others.iter().filter(|key| LISTENER.iter().any(|rule| rule.from == key.name)) {
        draft.note(&key.path, key.term.at, format!("with mode {mode} it says nothing"), "it is left out");
    }
    Keys { all: ours }
}

/// What Snakepit refuses too.
fn check_listener(listener: &Keys<'_>, draft: &mut Draft<'_>) {
    let mode = listener.get("mode").and_then(|key| key.term.word()).unwrap_or("internal");
    let wanted: &[&str] = match mode {
        "external" => &["host", "port"],
        "external_pool" => &["host", "base_port"],
        _ => &[],
    };
    let Some(key) = listener.get("mode") else { return };
    for name in wanted.iter().filter(|name| listener.get(name).is_none()) {
        draft.note(
            &format!("grpc_listener.{name}"),
            key.term.at,
            format!("missing, though the mode is {mode}"),
            format!("write `bridge.{name}` yourself"),
        );
    }
}

fn check_binding(host: Option<&Key<'_>>, draft: &mut Draft<'_>) {
    let Some((key, host)) = host.and_then(|key| Some((key, key.term.text()?))) else { return };
    let is_loopback = host == "localhost" || host == "::1" || host.starts_with("127.");
    if !is_loopback {
        let why = format!("{host:?} is reached from other machines");
        draft.note(
            &key.path,
            key.term.at,
            why,
            "if that is wanted, add `unsafe_bind = true` to `[bridge]`; clients need the daemon's credentials",
        );
    }
}

fn write_pools(keys: &Keys<'_>, draft: &mut Draft<'_>) {
    let old = keys.below("pool_config", draft).unwrap_or_default();
    let mut names = Vec::new();
    let Some(pools) = keys.get("pools") else { return write_old_pool(keys, &old, draft) };
    let Some(list) = pools.term.list() else {
        return draft.notes.push(Note::of_value(&pools.path, pools.term, "a list of maps", "[[pools]]"));
    };
    note_unused(keys, draft);
    for (index, term) in list.iter().enumerate() {
        let path = format!("pools[{index}]");
        let Some(of_pool) = Keys::of(term, &path) else {
            draft.notes.push(Note::of_value(&path, term, "a map or a keyword list", "[[pools]]"));
            continue;
        };
        let Some(name) = name_of(&of_pool, &path, term.at, &names, draft) else { continue };
        names.push(name.clone());
        Pool { path, at: term.at, keys: of_pool, top: keys, old: &old }.write(name, draft);
    }
}

/// The form of before there were several.
fn write_old_pool(top: &Keys<'_>, old: &Keys<'_>, draft: &mut Draft<'_>) {
    let is_on = top.get("pooling_enabled").is_some_and(|key| key.term.flag() != Some(false));
    let said = top.all.iter().find(|key| OF_THE_OLD_POOL.contains(&key.name.as_str()));
    let Some(first) = said.or_else(|| top.get("pooling_enabled").filter(|_| is_on)) else {
        let why = "not said, nor are pool_config, pool_size and adapter_module: there is no pool";
        return draft.note("pools", Place { line: 1, column: 1 }, why, "write `[[pools]]` yourself");
    };
    let size = top
        .get("pool_size")
        .cloned()
        .filter(|key| key.term.whole().is_some_and(|size| size > 0) || old.get("pool_size").is_none());
    // The last one holds.
    let keys = Keys { all: old.all.iter().cloned().chain(size).collect() };
    let name = keys.get("name").and_then(|key| pool::name(key.term.word()?)).unwrap_or_else(|| "default".to_owned());
    let path = first.path.clone();
    Pool { path, at: first.term.at, keys, top, old }.write(name, draft);
}

fn note_unused(keys: &Keys<'_>, draft: &mut Draft<'_>) {
    if let Some(key) = keys.get("pool_size") {
        draft.note(&key.path, key.term.at, "with `pools` each pool says its own", "it is left out");
    }
}

fn name_of(keys: &Keys<'_>, path: &str, at: Place, taken: &[String], draft: &mut Draft<'_>) -> Option<String> {
    let Some(key) = keys.get("name") else {
        draft.note(&format!("{path}.name"), at, "missing, and Snakepit refuses it too", "give the pool a name");
        return None;
    };
    let Some(name) = key.term.word().and_then(pool::name) else {
        draft.notes.push(Note::of_value(&key.path, key.term, "a name that begins with a letter or digit", "name"));
        return None;
    };
    if taken.contains(&name) {
        draft.note(
            &key.path,
            key.term.at,
            format!("another pool is called {name} already"),
            "give it a name of its own; it is left out",
        );
        return None;
    }
    if key.term.word() != Some(name.as_str()) {
        draft.note(
            &key.path,
            key.term.at,
            format!("{} has characters that a name may not have", key.term.shown()),
            format!("it is called {name}"),
        );
    }
    Some(name)
}
