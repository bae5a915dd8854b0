//! What pools of these workers need of this machine.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use hatchery::{AppConfig, BridgeConfig, BridgeListener, Check, CheckStatus, Config, Interpreter, Result};
use serde::Deserialize;

use crate::Snakepit;
use crate::configured::app;

/// Looks at what the pools with `transport = "grpc"` of a configuration need: modules that their interpreters can import, their
/// adapters, and ports that are free, those of `[bridge]` among them. Nothing if there are no such pools. Starts each interpreter once, and imports no adapter.
pub fn doctor(config: &Config) -> Vec<Check> {
    let pools: Vec<Pool<'_>> = config.pools.iter().filter_map(Pool::of).collect();
    if pools.is_empty() {
        return Vec::new();
    }
    vec![
        summed("grpc modules", pools.iter().map(Pool::modules)),
        summed("grpc adapters", pools.iter().filter_map(Pool::adapter)),
        summed("grpc ports", pools.iter().filter_map(Pool::port).chain(config.server.bridge.iter().map(bridge))),
    ]
}

/// One pool, and what its interpreter says.
struct Pool<'a> {
    name: &'a str,
    workers: usize,
    app: Snakepit,
    answer: Result<(Interpreter, Answer)>,
}

#[derive(Deserialize)]
struct Answer {
    grpc: Module,
    protobuf: Module,
    /// Why the adapter's module is not found.
    adapter: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Module {
    Version(String),
    Error(String),
}

/// What is said of one pool, and what to do if it is wrong.
struct Line {
    said: String,
    advice: Option<String>,
}

/// `find_spec` imports the packages that the adapter's module is in, and not that module.
const QUESTION: &str = r#"
import importlib, importlib.util, json
def told(error):
    return type(error).__name__ + ": " + str(error)
def module(name):
    try:
        return {"version": str(getattr(importlib.import_module(name), "__version__", "of no version"))}
    except Exception as error:
        return {"error": told(error)}
def missing(name):
    try:
        return None if importlib.util.find_spec(name) else "no module named " + name
    except Exception as error:
        return told(error)
print("")
print(json.dumps({"grpc": module("grpc"), "protobuf": module("google.protobuf"), "adapter": missing(ADAPTER)}))
"#;

/// The module of `package.module.Class`, as Python writes a text.
fn question(adapter: &str) -> String {
    let module = adapter.rsplit_once('.').map_or(adapter, |(module, _)| module);
    format!("ADAPTER = {}\n{QUESTION}", serde_json::Value::from(module))
}

impl Pool<'_> {
    fn of(pool: &hatchery::PoolConfig) -> Option<Pool<'_>> {
        let AppConfig::Bridged(BridgeConfig::Script(script)) = &pool.app else { return None };
        let app = app(pool, script);
        let answer = app.ask(&question(app.adapter()));
        Some(Pool { name: &pool.name, workers: pool.workers.unwrap_or(1), app, answer })
    }

    fn modules(&self) -> Line {
        let name = self.name;
        let (python, answer) = match &self.answer {
            Ok((interpreter, answer)) => (interpreter.path().display(), answer),
            Err(error) => {
                let advice = "see that `script` and `python` of the pool name what is there";
                return Line::wrong(format!("pool {name}: {}", error.message()), advice);
            }
        };
        match (&answer.grpc, &answer.protobuf) {
            (Module::Version(grpc), Module::Version(protobuf)) => {
                Line::right(format!("pool {name}: grpc {grpc} and protobuf {protobuf}, by {python}"))
            }
            (Module::Error(why), _) => Line::wrong(
                format!("pool {name}: {python} cannot import grpc: {why}"),
                format!("{python} -m pip install grpcio protobuf"),
            ),
            (_, Module::Error(why)) => Line::wrong(
                format!("pool {name}: {python} cannot import google.protobuf: {why}"),
                format!("{python} -m pip install protobuf"),
            ),
        }
    }

    /// `None` if nobody could be asked.
    fn adapter(&self) -> Option<Line> {
        let (name, adapter) = (self.name, self.app.adapter());
        Some(match &self.answer.as_ref().ok()?.1.adapter {
            None => Line::right(format!("pool {name}: {adapter}")),
            Some(why) => Line::wrong(
                format!("pool {name}: {adapter}: {why}"),
                "put its folder beside the script, or into `env.PYTHONPATH` of the pool",
            ),
        })
    }

    /// `None` if its workers choose.
    fn port(&self) -> Option<Line> {
        let (name, port) = (self.name, self.app.fixed_port()?);
        if self.workers > 1 {
            let message = format!("pool {name}: its {} workers are all told to listen on port {port}", self.workers);
            return Some(Line::wrong(message, "leave `--port` out of `adapter_args`: each worker chooses its own"));
        }
        Some(free(&format!("pool {name}"), (Ipv4Addr::LOCALHOST, port).into()))
    }
}

/// The first free port of several is taken; of one, that one.
fn bridge(listener: &BridgeListener) -> Line {
    let mut lines = listener.ports.clone().map(|port| free("[bridge]", (listener.bind, port).into()));
    let first = lines.next().unwrap_or_else(|| Line::right("[bridge]: no port is asked for".to_owned()));
    if first.advice.is_none() { first } else { lines.find(|line| line.advice.is_none()).unwrap_or(first) }
}

/// Whether somebody may listen there.
fn free(who: &str, address: SocketAddr) -> Line {
    match TcpListener::bind(address) {
        Ok(_closed_at_once) => Line::right(format!("{who}: {address} is free")),
        Err(error) => Line::wrong(
            format!("{who}: {address}: {error}"),
            format!("`ss -tlnp 'sport = :{}'` names who listens there; end it, or choose another port", address.port()),
        ),
    }
}

impl Line {
    fn right(said: String) -> Line {
        Line { said, advice: None }
    }

    fn wrong(said: String, advice: impl Into<String>) -> Line {
        Line { said, advice: Some(advice.into()) }
    }
}

/// One finding of all pools: each name occurs once.
fn summed(name: &'static str, lines: impl Iterator<Item = Line>) -> Check {
    let (said, advice): (Vec<String>, Vec<Option<String>>) = lines.map(|line| (line.said, line.advice)).unzip();
    let advice: BTreeSet<String> = advice.into_iter().flatten().collect();
    let status = if advice.is_empty() { CheckStatus::Ok } else { CheckStatus::Error };
    let said = if said.is_empty() { "nothing is asked for".to_owned() } else { said.join("; ") };
    let hint = (!advice.is_empty()).then(|| Vec::from_iter(advice).join("; "));
    Check { hint, ..Check::new(name, status, said) }
}
