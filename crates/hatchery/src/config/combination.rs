//! Settings that are each as they should be, and do not go together: what cannot be is an error, what is hardly meant a warning.

use std::collections::HashMap;

use super::document::prefix_of;
use super::layer::{Layer, Setting, duration_of};
use super::origin::{ConfigProblem, Origin};
use super::settings::{ElementSettings, Settings, is_bridged};
use super::value::Value;
use super::words::Profile;
use crate::agent::Adapters;
use crate::call::Affinity;
use crate::error::near_match;
use crate::fault::CrashRetry;
use crate::pool::Capacity;
use crate::process::{Containment, OnEscape};

mod bridge;
mod listener;
mod server;

pub(super) fn problems(settings: &Settings) -> Vec<ConfigProblem> {
    let mut problems = server::problems(&settings.top);
    problems.extend(listener::problems(&settings.top));
    problems.extend(adapters(&settings.top));
    for pool in &settings.pools {
        problems.extend(RULES.iter().filter_map(|rule| rule(&Seen { pool })));
    }
    problems.extend(names("pool", &settings.pools));
    problems.extend(names("host tool", &settings.host_tools));
    problems.extend(settings.host_tools.iter().flat_map(|tool| host_tool(tool, &settings.pools)));
    problems.sort_by_key(ConfigProblem::place);
    problems
}

/// The rules of a pool. Each names the setting that somebody has to change.
const RULES: [fn(&Seen<'_>) -> Option<ConfigProblem>; 21] = [
    app_or_command,
    python_beside_command,
    bridge::script_or_command,
    bridge::script_and_adapter,
    bridge::script_beside_native,
    bridge::script_beside_command,
    bridge::native_beside_bridge,
    bridge::user_beside_bridge,
    bridge::open_to_all,
    threads_without_profile,
    threads_without_use,
    checks_without_threads,
    adopt_in_a_namespace,
    user_and_group,
    queue_longer_than_call,
    health_longer_than_its_interval,
    first_backoff_longer_than_the_longest,
    gone_state,
    memory_that_is_never_reached,
    done_twice,
    no_retry_within_the_budget,
];

/// One pool, as a rule sees it.
struct Seen<'a> {
    pool: &'a ElementSettings,
}

impl Seen<'_> {
    fn layer(&self) -> &Layer {
        &self.pool.layer
    }

    fn own(&self, key: &str) -> Option<&Setting> {
        self.layer().explicit(key).filter(|setting| !setting.inherited)
    }

    fn error(&self, key: &str, setting: &Setting, message: impl Into<String>) -> ConfigProblem {
        ConfigProblem::error(setting.origin.clone(), format!("{}.{key}", self.pool.path), message)
    }

    fn warning(&self, key: &str, message: impl Into<String>) -> Option<ConfigProblem> {
        let setting = self.layer().explicit(key)?;
        Some(ConfigProblem::warning(setting.origin.clone(), format!("{}.{key}", self.pool.path), message))
    }

    /// About the pool as a whole.
    fn whole(&self, message: impl Into<String>) -> ConfigProblem {
        ConfigProblem::error(self.pool.origin.clone(), self.pool.path.clone(), message)
    }
}

fn app_or_command(pool: &Seen<'_>) -> Option<ConfigProblem> {
    match (pool.layer().get("app"), pool.layer().get("command")) {
        _ if is_bridged(pool.layer()) => None,
        (Some(_), Some(command)) => {
            Some(pool.error("command", command, "expected either `app` or `command`, found both"))
        }
        // Told as what it is: out of place.
        (None, None) if pool.own("script").is_some() => None,
        (None, None) => Some(pool.whole("expected either `app` or `command`, found neither")),
        _ => None,
    }
}

fn python_beside_command(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let preloads_app = pool.layer().flag("preload_app") == Some(true);
    let of_python = ["python", "preload"].into_iter().chain(preloads_app.then_some("preload_app"));
    pool.layer().get("command")?;
    let (key, setting) = of_python.into_iter().find_map(|key| Some((key, pool.own(key)?)))?;
    let what = if is_bridged(pool.layer()) { "script" } else { "app" };
    Some(pool.error(key, setting, format!("expected only beside `{what}`, found beside `command`")))
}

fn threads_without_profile(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let threads = pool.own("threads_per_worker")?;
    let message = "expected only with profile = \"thread\", found profile = \"process\"";
    (pool.layer().word("profile") == Some(Profile::Process)).then(|| pool.error("threads_per_worker", threads, message))
}

fn threads_without_use(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let threads = pool.layer().word("profile") == Some(Profile::Thread);
    let one_call = pool.layer().word("capacity") == Some(Capacity::Profile);
    let message =
        "a worker is given one call at a time, so its other threads stay idle; expected \"pool\" or \"hybrid\"";
    (threads && one_call).then(|| pool.warning("capacity", message))?
}

fn checks_without_threads(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let checks = pool.own("thread_safety_checks").is_some() && pool.layer().flag("thread_safety_checks") == Some(true);
    let process = pool.layer().word("profile") == Some(Profile::Process);
    let message = "there is nothing to check with one call at a time; expected with profile = \"thread\"";
    (checks && process).then(|| pool.warning("thread_safety_checks", message))?
}

fn adopt_in_a_namespace(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let namespace = pool.layer().word("containment") == Some(Containment::PidNamespace);
    let adopt = pool.layer().word("on_escape") == Some(OnEscape::Adopt);
    // Whichever was said of this pool rather than of all.
    let (key, setting) =
        ["on_escape", "containment"].iter().find_map(|key| Some((*key, pool.layer().explicit(key)?)))?;
    let message = "nothing outlives its PID namespace: expected on_escape = \"kill\" or \"report\" beside \
                   containment = \"pidns\", found \"adopt\"";
    (namespace && adopt).then(|| pool.error(key, setting, message))
}

fn user_and_group(pool: &Seen<'_>) -> Option<ConfigProblem> {
    match (pool.layer().get("user"), pool.layer().get("group")) {
        (Some(user), None) => Some(pool.error("user", user, "expected beside `group`, found alone")),
        (None, Some(group)) => Some(pool.error("group", group, "expected beside `user`, found alone")),
        _ => None,
    }
}

fn queue_longer_than_call(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let time = |key| pool.layer().duration(key);
    let message = "longer than `timeouts.call`, which ends the wait first";
    (time("timeouts.queue")? > time("timeouts.call")?).then(|| {
        pool.warning("timeouts.queue", message).or_else(|| {
            pool.warning(
                "timeouts.call",
                "shorter than `timeouts.queue`, so that a call may spend all of it in the queue",
            )
        })
    })?
}

fn health_longer_than_its_interval(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let time = |key| pool.layer().duration(key);
    let message = "longer than `health.interval`, so that the next question is due before the answer is late";
    (time("health.timeout")? > time("health.interval")?)
        .then(|| pool.warning("health.timeout", message).or_else(|| pool.warning("health.interval", SHORTER)))?
}

const SHORTER: &str = "shorter than `health.timeout`, so that the next question is due before the answer is late";

fn first_backoff_longer_than_the_longest(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let pauses = pool.layer().list("retry.backoff", duration_of)?;
    let longest = pool.layer().duration("retry.max_backoff")?;
    let message = "every pause is longer than `retry.max_backoff`, which is taken instead";
    let is_odd = !pauses.is_empty() && pauses.iter().all(|pause| *pause > longest);
    is_odd.then(|| pool.warning("retry.backoff", message).or_else(|| pool.warning("retry.max_backoff", message)))?
}

/// What is replaced by plan loses what its sessions have in it, and a strict affinity does not go elsewhere.
fn gone_state(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let strict = pool.layer().word::<Affinity>("affinity").is_some_and(|affinity| affinity != Affinity::Hint);
    let ends = |key: &&&str| pool.layer().value(key).is_some_and(|value| *value != Value::Infinity);
    let recycled = ["recycle.ttl", "recycle.max_requests", "recycle.max_rss"].iter().find(ends)?;
    let message = format!("a recycled worker loses its sessions' state, and their calls fail then (`{recycled}`)");
    strict.then(|| pool.warning("affinity", message))?
}

fn memory_that_is_never_reached(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let bytes = |key| pool.layer().whole::<u64>(key);
    let message = "the kernel ends the worker at `limits.memory` before it can be recycled; expected less than that";
    (bytes("recycle.max_rss")? >= bytes("limits.memory")?).then(|| pool.warning("recycle.max_rss", message))?
}

fn done_twice(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let always = pool.layer().word("crash_barrier.retry") == Some(CrashRetry::Always);
    let message = "calls that are not idempotent may be done twice";
    always.then(|| pool.warning("crash_barrier.retry", message))?
}

fn no_retry_within_the_budget(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let attempts = pool.layer().explicit("retry.attempts")?.value.clone()?;
    let none = pool.layer().number("retry.budget") == Some(0.0);
    let several = attempts != Value::Whole(1);
    (none && several)
        .then(|| pool.warning("retry.budget", "no call is made again; expected above 0, or `attempts = 1`"))?
}

/// Every pool has a name of its own, and variables of its own; so has every host tool.
fn names(what: &str, pools: &[ElementSettings]) -> Vec<ConfigProblem> {
    let mut seen: HashMap<String, (&str, &Origin)> = HashMap::new();
    let mut problems = Vec::new();
    for pool in pools {
        let Some((setting, name)) = pool.layer.get("name").zip(pool.layer.text("name")) else { continue };
        let (origin, key) = (setting.origin.clone(), format!("{}.name", pool.path));
        match seen.get(&prefix_of("", name)) {
            None => {
                seen.insert(prefix_of("", name), (name, &setting.origin));
            }
            Some((first, place)) if *first == name => {
                let message = format!("expected a name of its own, but {name:?} is that of the {what} at {place} too");
                problems.push(ConfigProblem::error(origin, key, message));
            }
            Some((first, place)) => {
                let message = format!("its variables are also those of {first:?} at {place}");
                problems.push(ConfigProblem::warning(origin, key, message));
            }
        }
    }
    problems
}

/// A table of an adapter has rules of its own.
fn adapters(top: &Layer) -> Vec<ConfigProblem> {
    let problem = |(name, setting): (&str, &Setting)| {
        let Some(Value::Table(table)) = &setting.value else { return None };
        let error = Adapters::default().with_toml(name, table.clone()).err()?;
        Some(ConfigProblem::error(setting.origin.clone(), format!("agents.adapters.{name}"), error.message()))
    };
    top.below("agents.adapters").filter_map(problem).collect()
}

/// It names a pool that there is, and what of it is meant.
fn host_tool(tool: &ElementSettings, pools: &[ElementSettings]) -> Vec<ConfigProblem> {
    let lacks = |key: &&str| tool.layer.get(key).is_none();
    let missing = ["pool", "tool"].into_iter().filter(lacks);
    let mut problems: Vec<ConfigProblem> = missing
        .map(|key| ConfigProblem::error(tool.origin.clone(), tool.path.clone(), format!("expected a `{key}`")))
        .collect();
    let names: Vec<&str> = pools.iter().filter_map(|pool| pool.layer.text("name")).collect();
    if let Some((setting, pool)) = tool.layer.get("pool").zip(tool.layer.text("pool"))
        && !names.contains(&pool)
    {
        let near = near_match(pool, names.iter().copied());
        let message = format!("no such pool: {pool}{near}");
        problems.push(ConfigProblem::error(setting.origin.clone(), format!("{}.pool", tool.path), message));
    }
    problems
}
