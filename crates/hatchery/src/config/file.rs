//! Which keys `hatchery.toml` has, and what they mean.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::section::{Entry, Section, Source, prefix_of};
use super::variables::{PREFIX, Variable, Variables, is_below, refuse_variable, variable_of};
use super::{AppConfig, Config, InstanceConfig, PoolConfig, PoolStop, PoolTimeouts, ServerConfig, duration, size};
use crate::app::CommandApp;
use crate::app::program::is_path;
use crate::error::Result;
use crate::process::{Containment, OnEscape, ResourceLimits};
use crate::pyenv::PythonApp;

const TOP: &[&str] = &["python", "instance", "server", "pools"];
const TOP_PLANNED: &[&str] = &["timeout_profile"];
const SERVER: &[&str] = &["listen"];
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

/// What the text says, and before it the variables.
pub(super) fn read(text: &str, path: &Path, variables: &Variables) -> Result<Config> {
    let source = Source { path, text, variables };
    let table = parsed(&source)?;
    let document = Section::document(&source, &table);
    document.allow(TOP, TOP_PLANNED)?;
    let python = document.get("python").map(|entry| program(&entry)).transpose()?;
    Ok(Config {
        instance: instance(&document.section("instance")?)?,
        server: server(&document.section("server")?)?,
        pools: pools(&document, python.as_deref(), variables)?,
        python,
    })
}

/// Which installation the variables name, whatever else they say.
pub(super) fn read_instance(variables: &Variables) -> Result<InstanceConfig> {
    let source = Source { path: Path::new(""), text: "", variables };
    let table = parsed(&source)?;
    let document = Section::document(&source, &table);
    instance(&document.section("instance")?)
}

fn parsed<'a>(source: &Source<'a>) -> Result<Spanned<DeTable<'a>>> {
    DeTable::parse(source.text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        source.refuse(offset, format_args!("not valid TOML: {}", error.message().replace('\n', "; ")))
    })
}

/// A program: a path from the folder of whoever names it if it has a slash, else a name.
fn program(entry: &Entry<'_>) -> Result<PathBuf> {
    let program = entry.text_as("the name or the path of a program", not_empty)?;
    Ok(if is_path(program.as_ref()) { entry.folder().join(program) } else { program.into() })
}

fn not_empty(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_plain)
}

fn name(entry: &Entry<'_>) -> Result<String> {
    entry.text_as(A_NAME, |text| is_name(text).then(|| text.to_owned()))
}

fn instance(section: &Section<'_>) -> Result<InstanceConfig> {
    section.allow(INSTANCE, &[])?;
    let default = InstanceConfig::default();
    let folder = |entry: Entry<'_>| entry.text_as("a path", not_empty).map(|path| entry.folder().join(path));
    Ok(InstanceConfig {
        name: section.get("name").map_or(Ok(default.name), |entry| name(&entry))?,
        token: section.get("token").map(|entry| name(&entry)).transpose()?,
        data_dir: section.get("data_dir").map(folder).transpose()?,
    })
}

fn server(section: &Section<'_>) -> Result<ServerConfig> {
    section.allow(SERVER, &[])?;
    let address = |text: &str| {
        let (host, port) = text.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok()).then(|| text.to_owned())
    };
    let listen = |entry: Entry<'_>| entry.text_as("an address and a port, like \"127.0.0.1:7411\"", address);
    Ok(ServerConfig { listen: section.get("listen").map(listen).transpose()? })
}

fn pools(document: &Section<'_>, python: Option<&Path>, variables: &Variables) -> Result<Vec<PoolConfig>> {
    let mut names = HashSet::new();
    let mut pools = Vec::new();
    for entry in document.get("pools").map_or(Ok(Vec::new()), |entry| entry.list("tables under [[pools]]"))? {
        let section = entry.section()?;
        let Some(named) = section.get("name") else {
            section.allow(POOL, POOL_PLANNED)?;
            return Err(section.refuse(format_args!("expected a `name`: {A_NAME}")));
        };
        let pool = pool(section.named("pools", &name(&named)?), python)?;
        if !names.insert(pool.name.clone()) {
            return Err(named.refuse(format_args!("expected a name of its own, but {:?} has come before", pool.name)));
        }
        pools.push(pool);
    }
    no_other_pool(&pools, variables)?;
    Ok(pools)
}

/// A variable of a pool that there is not would be ignored.
fn no_other_pool(pools: &[PoolConfig], variables: &Variables) -> Result<()> {
    let list = variable_of(PREFIX, "pools");
    let prefixes: Vec<String> = pools.iter().map(|pool| prefix_of(&list, &pool.name)).collect();
    let is_one_s = |variable: &&Variable| prefixes.iter().any(|prefix| is_below(&variable.name, prefix));
    match variables.below(&list).find(|variable| !is_one_s(variable)) {
        None => Ok(()),
        Some(variable) => {
            let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(refuse_variable(&variable.name, format_args!("no such pool; the configuration has {there}")))
        }
    }
}

fn pool(section: Section<'_>, python: Option<&Path>) -> Result<PoolConfig> {
    section.allow(POOL, POOL_PLANNED)?;
    let name_entry = section.get("name").ok_or_else(|| section.refuse(format_args!("expected a `name`: {A_NAME}")))?;
    let number = |key, range| section.get(key).map(|entry| entry.whole_number(range)).transpose();
    Ok(PoolConfig {
        name: name(&name_entry)?,
        app: app(&section, python)?,
        workers: number("workers", 1..=1024)?,
        max_queue: number("max_queue", 0..=1_000_000)?,
        timeouts: timeouts(&section.section("timeouts")?)?,
        stop: stop(&section.section("stop")?)?,
        containment: choice(&section, "containment", CONTAINMENTS)?,
        on_escape: choice(&section, "on_escape", ESCAPES)?,
        limits: limits(&section.section("limits")?)?,
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

fn limits(section: &Section<'_>) -> Result<ResourceLimits> {
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

fn app(section: &Section<'_>, python: Option<&Path>) -> Result<AppConfig> {
    match (section.get("app"), section.get("command")) {
        (Some(app), None) => python_app(section, &app, python).map(AppConfig::Python),
        (None, Some(command)) => command_app(section, &command).map(AppConfig::Command),
        (Some(_), Some(command)) => Err(command.refuse("expected either `app` or `command`, found both")),
        (None, None) => Err(section.refuse("expected either `app` or `command`, found neither")),
    }
}

fn python_app(section: &Section<'_>, entry: &Entry<'_>, python: Option<&Path>) -> Result<PythonApp> {
    let folder = entry.folder();
    let mut app = entry.text_as("PATH[:ATTR] or MODULE[:ATTR]", |text| PythonApp::parse_in(&folder, text).ok())?;
    let own = section.get("python").map(|entry| program(&entry)).transpose()?;
    if let Some(python) = own.as_deref().or(python) {
        app = app.python(python);
    }
    Ok(env(section)?.into_iter().fold(app, |app, (name, value)| app.env(name, value)))
}

fn command_app(section: &Section<'_>, entry: &Entry<'_>) -> Result<CommandApp> {
    if let Some(python) = section.get("python") {
        return Err(python.refuse("expected only beside `app`, found beside `command`"));
    }
    let words = entry.list(r#"a program and its arguments, like ["node", "worker.js"]"#)?;
    let Some((first, args)) = words.split_first() else {
        return Err(entry.refuse(r#"expected a program and its arguments, like ["node", "worker.js"], found none"#));
    };
    let mut app = CommandApp::new(program(first)?);
    for arg in args {
        app = app.arg(arg.text()?);
    }
    Ok(env(section)?.into_iter().fold(app, |app, (name, value)| app.env(name, value)))
}

fn env(section: &Section<'_>) -> Result<Vec<(String, String)>> {
    section.section("env")?.entries().into_iter().map(|(name, entry)| variable(name, &entry)).collect()
}

fn variable(name: &str, entry: &Entry<'_>) -> Result<(String, String)> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(entry.refuse("expected a variable's name without `=`"));
    }
    let value = entry.text_as("text", |text| (!text.contains('\0')).then(|| text.to_owned()))?;
    Ok((name.to_owned(), value))
}

fn timeouts(section: &Section<'_>) -> Result<PoolTimeouts> {
    section.allow(TIMEOUTS, &[])?;
    let read = |key| -> Result<Option<Duration>> {
        section.get(key).map(|entry| entry.text_as(duration::EXPECTED, duration::read)).transpose()
    };
    Ok(PoolTimeouts { call: read("call")?, stream: read("stream")?, queue: read("queue")?, start: read("start")? })
}

/// A worker that may stay for ever would keep its supervisor for ever.
fn stop(section: &Section<'_>) -> Result<PoolStop> {
    section.allow(STOP, &[])?;
    let finite = |text: &str| duration::read(text).filter(|grace| *grace < Duration::MAX);
    let read = |key| section.get(key).map(|entry| entry.text_as(duration::EXPECTED_FINITE, finite)).transpose();
    Ok(PoolStop { ask: read("ask")?, term: read("term")? })
}

#[cfg(test)]
mod tests;
