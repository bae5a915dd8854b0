//! Which keys `hatchery.toml` has, and what they mean.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::section::{Entry, Section, Source};
use super::{AppConfig, Config, InstanceConfig, PoolConfig, PoolStop, PoolTimeouts, duration, size};
use crate::app::CommandApp;
use crate::app::program::is_path;
use crate::error::Result;
use crate::process::{Containment, OnEscape, ResourceLimits};
use crate::pyenv::PythonApp;

const TOP: &[&str] = &["python", "instance", "pools"];
const TOP_PLANNED: &[&str] = &["timeout_profile", "server"];
const INSTANCE: &[&str] = &["name", "token", "data_dir"];
const POOL: &[&str] = &[
    "name",
    "app",
    "command",
    "workers",
    "python",
    "env",
    "max_queue",
    "timeouts",
    "stop",
    "containment",
    "on_escape",
    "limits",
];
const POOL_PLANNED: &[&str] = &[
    "adapter",
    "adapter_args",
    "affinity",
    "breaker",
    "crash_barrier",
    "heartbeat",
    "on_timeout",
    "preload",
    "preload_app",
    "profile",
    "recycle",
    "retry",
    "script",
    "threads_per_worker",
    "transport",
];
const LIMITS: &[&str] = &["memory", "cpu", "processes", "open_files"];
const STOP: &[&str] = &["ask", "term"];
const TIMEOUTS: &[&str] = &["call", "stream", "queue", "start"];

/// Names become parts of file names and of worker ids.
const A_NAME: &str = "a name of 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit";

pub(super) fn read(text: &str, path: &Path) -> Result<Config> {
    let source = Source { path, text };
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        source.refuse(offset, format_args!("not valid TOML: {}", error.message().replace('\n', "; ")))
    })?;
    let document = Section::document(&source, &table);
    document.allow(TOP, TOP_PLANNED)?;
    let place = Place::of(path, &document)?;
    Ok(Config {
        python: place.python.clone(),
        instance: document.get("instance").map_or(Ok(InstanceConfig::default()), |entry| instance(&entry, &place))?,
        pools: document.get("pools").map_or(Ok(Vec::new()), |entry| pools(&entry, &place))?,
    })
}

/// What the meaning of a pool's keys depends on, beside the keys.
struct Place {
    folder: PathBuf,
    /// The interpreter of pools that do not name their own.
    python: Option<PathBuf>,
}

impl Place {
    fn of(path: &Path, document: &Section<'_>) -> Result<Place> {
        let folder = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_path_buf));
        let mut place = Place { folder: folder.unwrap_or_default(), python: None };
        place.python = document.get("python").map(|entry| place.program(&entry)).transpose()?;
        Ok(place)
    }

    /// A program: a path from the file's folder if it has a slash, else a name.
    fn program(&self, entry: &Entry<'_>) -> Result<PathBuf> {
        let program = entry.text_as("the name or the path of a program", not_empty)?;
        Ok(if is_path(program.as_ref()) { self.folder.join(program) } else { program.into() })
    }
}

fn not_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_plain)
}

fn name(entry: &Entry<'_>) -> Result<String> {
    entry.text_as(A_NAME, |text| is_name(text).then(|| text.to_owned()))
}

fn instance(entry: &Entry<'_>, place: &Place) -> Result<InstanceConfig> {
    let section = entry.section()?;
    section.allow(INSTANCE, &[])?;
    let default = InstanceConfig::default();
    let folder = |entry: Entry<'_>| entry.text_as("a path", not_empty).map(|path| place.folder.join(path));
    Ok(InstanceConfig {
        name: section.get("name").map_or(Ok(default.name), |entry| name(&entry))?,
        token: section.get("token").map(|entry| name(&entry)).transpose()?,
        data_dir: section.get("data_dir").map(folder).transpose()?,
    })
}

fn pools(entry: &Entry<'_>, place: &Place) -> Result<Vec<PoolConfig>> {
    let mut names = HashSet::new();
    let mut pools = Vec::new();
    for entry in entry.list("tables under [[pools]]")? {
        let section = entry.section()?;
        let pool = pool(&section, place)?;
        if !names.insert(pool.name.clone()) {
            let name = section.get("name").unwrap_or(entry);
            return Err(name.refuse(format_args!("expected a name of its own, but {:?} has come before", pool.name)));
        }
        pools.push(pool);
    }
    Ok(pools)
}

fn pool(section: &Section<'_>, place: &Place) -> Result<PoolConfig> {
    section.allow(POOL, POOL_PLANNED)?;
    let Some(name_entry) = section.get("name") else {
        return Err(section.refuse(format_args!("expected a `name`: {A_NAME}")));
    };
    let number = |key, range| section.get(key).map(|entry| entry.whole_number(range)).transpose();
    Ok(PoolConfig {
        name: name(&name_entry)?,
        app: app(section, place)?,
        workers: number("workers", 1..=1024)?,
        max_queue: number("max_queue", 0..=1_000_000)?,
        timeouts: section.get("timeouts").map_or(Ok(PoolTimeouts::default()), |entry| timeouts(&entry))?,
        stop: section.get("stop").map_or(Ok(PoolStop::default()), |entry| stop(&entry))?,
        containment: choice(section, "containment", CONTAINMENTS)?,
        on_escape: choice(section, "on_escape", ESCAPES)?,
        limits: section.get("limits").map_or(Ok(ResourceLimits::default()), |entry| limits(&entry))?,
    })
}

const CONTAINMENTS: (&str, &[(&str, Containment)]) =
    (r#""default" or "pidns""#, &[("default", Containment::Default), ("pidns", Containment::PidNamespace)]);

const ESCAPES: (&str, &[(&str, OnEscape)]) = (
    r#""kill", "adopt" or "report""#,
    &[("kill", OnEscape::Kill), ("adopt", OnEscape::Adopt), ("report", OnEscape::Report)],
);

/// One of a few words.
fn choice<T: Copy>(section: &Section<'_>, key: &str, (expected, words): (&str, &[(&str, T)])) -> Result<Option<T>> {
    let read = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    section.get(key).map(|entry| entry.text_as(expected, read)).transpose()
}

fn limits(entry: &Entry<'_>) -> Result<ResourceLimits> {
    let section = entry.section()?;
    section.allow(LIMITS, &[])?;
    let memory = section.get("memory").map(|entry| entry.text_as(size::EXPECTED, size::read)).transpose()?;
    let count = |key, range| section.get(key).map(|entry| entry.whole_number(range)).transpose();
    Ok(ResourceLimits {
        memory: memory.filter(|bytes| *bytes < u64::MAX),
        cpu: section.get("cpu").map(|entry| entry.positive_number()).transpose()?,
        processes: count("processes", 1..=4_194_304)?.and_then(|count| u32::try_from(count).ok()),
        open_files: count("open_files", 16..=1_048_576)?.map(|count| count as u64),
    })
}

fn app(section: &Section<'_>, place: &Place) -> Result<AppConfig> {
    match (section.get("app"), section.get("command")) {
        (Some(app), None) => python_app(section, &app, place).map(AppConfig::Python),
        (None, Some(command)) => command_app(section, &command, place).map(AppConfig::Command),
        (Some(_), Some(command)) => Err(command.refuse("expected either `app` or `command`, found both")),
        (None, None) => Err(section.refuse("expected either `app` or `command`, found neither")),
    }
}

fn python_app(section: &Section<'_>, entry: &Entry<'_>, place: &Place) -> Result<PythonApp> {
    let read = |text| PythonApp::parse_in(&place.folder, text).ok();
    let mut app = entry.text_as("PATH[:ATTR] or MODULE[:ATTR]", read)?;
    let own = section.get("python").map(|entry| place.program(&entry)).transpose()?;
    if let Some(python) = own.or_else(|| place.python.clone()) {
        app = app.python(python);
    }
    Ok(env(section)?.into_iter().fold(app, |app, (name, value)| app.env(name, value)))
}

fn command_app(section: &Section<'_>, entry: &Entry<'_>, place: &Place) -> Result<CommandApp> {
    if let Some(python) = section.get("python") {
        return Err(python.refuse("expected only beside `app`, found beside `command`"));
    }
    let words = entry.list(r#"a program and its arguments, like ["node", "worker.js"]"#)?;
    let Some((program, args)) = words.split_first() else {
        return Err(entry.refuse(r#"expected a program and its arguments, like ["node", "worker.js"], found none"#));
    };
    let mut app = CommandApp::new(place.program(program)?);
    for arg in args {
        app = app.arg(arg.text()?);
    }
    Ok(env(section)?.into_iter().fold(app, |app, (name, value)| app.env(name, value)))
}

fn env(section: &Section<'_>) -> Result<Vec<(String, String)>> {
    let Some(entry) = section.get("env") else { return Ok(Vec::new()) };
    entry.section()?.entries().map(|(name, entry)| variable(name, &entry)).collect()
}

fn variable(name: &str, entry: &Entry<'_>) -> Result<(String, String)> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(entry.refuse("expected a variable's name without `=`"));
    }
    let value = entry.text_as("text", |text| (!text.contains('\0')).then_some(text))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn timeouts(entry: &Entry<'_>) -> Result<PoolTimeouts> {
    let section = entry.section()?;
    section.allow(TIMEOUTS, &[])?;
    let read = |key| -> Result<Option<Duration>> {
        section.get(key).map(|entry| entry.text_as(duration::EXPECTED, duration::read)).transpose()
    };
    Ok(PoolTimeouts { call: read("call")?, stream: read("stream")?, queue: read("queue")?, start: read("start")? })
}

/// A worker that may stay for ever would keep its supervisor for ever.
fn stop(entry: &Entry<'_>) -> Result<PoolStop> {
    let section = entry.section()?;
    section.allow(STOP, &[])?;
    let finite = |text: &str| duration::read(text).filter(|grace| *grace < Duration::MAX);
    let read = |key| section.get(key).map(|entry| entry.text_as(duration::EXPECTED_FINITE, finite)).transpose();
    Ok(PoolStop { ask: read("ask")?, term: read("term")? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;
    use crate::pool::StopGraces;

    fn parse(text: &str) -> Result<Config> {
        read(text, Path::new("/srv/hatchery.toml"))
    }

    const WHOLE: &str = r#"
python = ".venv/bin/python"

[instance]
name = "my-app"
token = "run-a"
data_dir = "data"

[[pools]]
name = "default"
app = "app.py:Embedder"
workers = 4
max_queue = 1_000
env = { OMP_NUM_THREADS = "1", A = "b" }
timeouts = { call = "5m", stream = "infinity", queue = "10s", start = "250ms" }
stop = { ask = "30s", term = "0s" }
containment = "pidns"
on_escape = "report"
limits = { memory = "4GiB", cpu = 2.5, open_files = 4096, processes = 64 }

[[pools]]
name = "own"
app = "package.module"
python = "python3.12"

[[pools]]
name = "node"
command = ["./bin/node", "worker.js"]
env = { NODE_ENV = "production" }
"#;

    #[test]
    fn a_whole_file_is_read() {
        let config = parse(WHOLE).unwrap();
        assert_eq!(config.instance.name, "my-app");
        assert_eq!(config.instance.token.as_deref(), Some("run-a"));
        assert_eq!(config.instance.data_dir.as_deref(), Some(Path::new("/srv/data")));
        let [first, own, node] = config.pools.as_slice() else { panic!("{config:?}") };
        assert_eq!((first.name.as_str(), first.workers, first.max_queue), ("default", Some(4), Some(1000)));
        let timeouts = PoolTimeouts {
            call: Some(Duration::from_secs(300)),
            stream: Some(Duration::MAX),
            queue: Some(Duration::from_secs(10)),
            start: Some(Duration::from_millis(250)),
        };
        assert_eq!(first.timeouts, timeouts);
        let stop = first.stop.over(StopGraces::default());
        assert_eq!(stop, StopGraces { ask: Duration::from_secs(30), term: Duration::ZERO });
        assert_eq!(own.stop.over(stop), stop, "what is not said stays");
        assert_eq!((first.containment, first.on_escape), (Some(Containment::PidNamespace), Some(OnEscape::Report)));
        let limits =
            ResourceLimits { memory: Some(4 << 30), cpu: Some(2.5), open_files: Some(4096), processes: Some(64) };
        assert_eq!((first.limits, own_limits(&config)), (limits, ResourceLimits::default()));
        let python = PythonApp::file("/srv/app.py").attr("Embedder").python("/srv/.venv/bin/python");
        assert_eq!(python_of(first), &python.env("A", "b").env("OMP_NUM_THREADS", "1"));
        assert_eq!(python_of(own), &PythonApp::module("package.module").python("python3.12"));
        assert_eq!((own.workers, own.max_queue, &own.timeouts), (None, None, &PoolTimeouts::default()));
        let AppConfig::Command(command) = &node.app else { panic!("{node:?}") };
        let expected = CommandApp::new("/srv/./bin/node").arg("worker.js").env("NODE_ENV", "production");
        assert_eq!(format!("{command:?}"), format!("{expected:?}"));
    }

    fn own_limits(config: &Config) -> ResourceLimits {
        config.pools[1].limits
    }

    fn python_of(pool: &PoolConfig) -> &PythonApp {
        let AppConfig::Python(app) = &pool.app else { panic!("{pool:?}") };
        app
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let config = parse("").unwrap();
        assert_eq!((config.instance.name.as_str(), config.instance.data_dir, config.pools.len()), ("default", None, 0));
    }

    /// `text` stands below a pool's name, from line 3 on.
    #[track_caller]
    fn check_pool(text: &str, expected: &str) {
        check(&format!("[[pools]]\nname = \"a\"\n{text}"), expected);
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert_eq!(error.message(), format!("/srv/hatchery.toml:{expected}"));
    }

    #[test]
    fn a_wrong_type_or_range_is_refused() {
        let workers = "pools[0].workers: expected a whole number from 1 to 1024, found";
        for found in ["\"four\"", "0", "1025", "-1", "4.0", "true", "99999999999999999999", "0x1000"] {
            check_pool(&format!("app = \"a.py\"\nworkers = {found}"), &format!("4: {workers} {found}"));
        }
        check_pool("app = \"a.py\"\nworkers = []", &format!("4: {workers} a list"));
        check_pool("app = 7", "3: pools[0].app: expected PATH[:ATTR] or MODULE[:ATTR], found 7");
        check_pool("app = \"a b\"", "3: pools[0].app: expected PATH[:ATTR] or MODULE[:ATTR], found \"a b\"");
        check_pool("command = [\"x\", 7]", "3: pools[0].command[1]: expected text, found 7");
        check_pool(
            "command = [\"\"]",
            "3: pools[0].command[0]: expected the name or the path of a program, found \"\"",
        );
        let command = r#"expected a program and its arguments, like ["node", "worker.js"], found"#;
        check_pool("command = \"node worker.js\"", &format!("3: pools[0].command: {command} \"node worker.js\""));
        check_pool("command = []", &format!("3: pools[0].command: {command} none"));
        check_pool("app = \"a.py\"\n[pools.env]\nN = 1", "5: pools[0].env.N: expected text, found 1");
        check_pool(
            "app = \"a.py\"\nenv = {\"A=B\" = \"\"}",
            "4: pools[0].env.A=B: expected a variable's name without `=`",
        );
        check_pool(
            "app = \"a.py\"\ntimeouts = { call = \"12 parsecs\" }",
            &format!("4: pools[0].timeouts.call: expected {}, found \"12 parsecs\"", duration::EXPECTED),
        );
        for rung in STOP {
            check_pool(
                &format!("app = \"a.py\"\nstop = {{ {rung} = \"infinity\" }}"),
                &format!("4: pools[0].stop.{rung}: expected {}, found \"infinity\"", duration::EXPECTED_FINITE),
            );
        }
        check_pool("app = \"a.py\"\ntimeouts = \"5m\"", "4: pools[0].timeouts: expected a table, found \"5m\"");
        check_pool(
            "app = \"a.py\"\ncontainment = \"docker\"",
            "4: pools[0].containment: expected \"default\" or \"pidns\", found \"docker\"",
        );
        for found in ["0", "-1.5", "nan", "inf", "\"2\""] {
            check_pool(
                &format!("app = \"a.py\"\nlimits = {{ cpu = {found} }}"),
                &format!("4: pools[0].limits.cpu: expected a number above 0, found {found}"),
            );
        }
        check("pools = 7", "1: pools: expected tables under [[pools]], found 7");
        check("\n\ninstance = 7", "3: instance: expected a table, found 7");
        check("[instance]\nname = \"../x\"", &format!("2: instance.name: expected {A_NAME}, found \"../x\""));
        check("[instance]\ndata_dir = \"\"", "2: instance.data_dir: expected a path, found \"\"");
        check("python = 3.11", "1: python: expected the name or the path of a program, found 3.11");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        check_pool("app = \"a.py\"\nworker = 4", "4: pools[0].worker: unknown key; did you mean `workers`?");
        check_pool("app = \"a.py\"\nmax-queue = 4", "4: pools[0].max-queue: unknown key; did you mean `max_queue`?");
        check("[[pool]]", "1: pool: unknown key; did you mean `pools`?");
        check("zebra = 1\napple = 1", "1: zebra: unknown key; expected one of python, instance, pools");
        check_pool(
            "app = \"a.py\"\ntimeouts = { total = \"5m\" }",
            "4: pools[0].timeouts.total: unknown key; expected one of call, stream, queue, start",
        );
    }

    #[test]
    fn what_is_planned_is_refused_and_not_ignored() {
        let fact = "not supported in this version; remove it";
        for (keys, prefix, line) in [(TOP_PLANNED, "", 1), (POOL_PLANNED, "pools[0].", 4)] {
            let header = ["", "", "[instance]\n", "", "[[pools]]\nname = \"a\"\napp = \"a.py\"\n"][line];
            for key in keys {
                check(&format!("{header}{key} = 1"), &format!("{line}: {prefix}{key}: {fact}"));
            }
        }
    }

    #[test]
    fn an_impossible_combination_is_refused() {
        check_pool("", "1: pools[0]: expected either `app` or `command`, found neither");
        check_pool(
            "app = \"a.py\"\ncommand = [\"x\"]",
            "4: pools[0].command: expected either `app` or `command`, found both",
        );
        check_pool(
            "command = [\"x\"]\npython = \"p\"",
            "4: pools[0].python: expected only beside `app`, found beside `command`",
        );
        let pool = "[[pools]]\nname = \"a\"\napp = \"a.py\"\n";
        let fact = "5: pools[1].name: expected a name of its own, but \"a\" has come before";
        check(&format!("{pool}{pool}"), fact);
        check("\n[[pools]]\napp = \"a.py\"", &format!("2: pools[0]: expected a `name`: {A_NAME}"));
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_line() {
        let error = parse("python = \"x\"\npython = \"y\"").unwrap_err();
        assert_eq!(error.message(), "/srv/hatchery.toml:2: not valid TOML: duplicate key");
        let error = parse("\n\nname = ").unwrap_err();
        assert!(error.message().starts_with("/srv/hatchery.toml:3: not valid TOML: "), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".*") {
            let _any = parse(&text);
        }

        /// Closer to home: a good file with a piece cut out and another put in.
        #[test]
        fn no_change_of_a_good_file_is_too_strange(
            at in 0..WHOLE.len(), length in 0..40usize, piece in r#"([a-z]{0,6}|[\[\]{}="',.0-9é\n]){0,4}"#,
        ) {
            let mut text = WHOLE.to_owned();
            text.replace_range(at..(at + length).min(WHOLE.len()), &piece);
            if let Err(error) = parse(&text) {
                prop_assert!(error.message().starts_with("/srv/hatchery.toml:"), "{}", error);
            }
        }
    }
}
