//! What a pool with `transport = "grpc"` runs, as data: this library does not speak that. Who does makes an app and a transport of
//! it, see [`Builder::bridging`](crate::Builder::bridging).

use std::path::PathBuf;

use super::layer::Layer;
use super::pool::text;
use super::top;
use super::value::Value;
use super::words::Word;
use crate::app::{App, CommandApp, Launch, LaunchContext};
use crate::error::{Error, ErrorKind, Result};

/// What a pool with `transport = "grpc"` runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BridgeConfig {
    /// `script` and `adapter`: a Python worker that was written for Snakepit.
    Script(BridgeScript),
    /// `command`: a program that speaks the worker's side of `snakepit.bridge` by itself.
    Command(CommandApp),
}

/// A worker script of Snakepit's, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BridgeScript {
    /// `grpc_server.py`.
    pub script: PathBuf,
    /// The adapter, as `module.Class`.
    pub adapter: String,
    /// Further arguments of the script.
    pub adapter_args: Vec<String>,
    /// The pool's interpreter, or that of all pools.
    pub python: Option<PathBuf>,
    /// Variables of the worker.
    pub env: Vec<(String, String)>,
    /// What is mended as it starts. `None`: [`ShimMode::USUAL`]; empty: nothing.
    pub shim: Option<Vec<ShimMode>>,
    /// Whether it may listen on all addresses.
    pub unsafe_bind: bool,
}

/// What is mended in a worker that was written for Snakepit, without a change to its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShimMode {
    /// It listens to this machine only.
    Loopback,
    /// Synchronous tools of the threaded server run beside each other.
    Parallel,
    /// Results and arguments of host tools keep their types.
    Lossless,
}

impl ShimMode {
    /// What is mended if nobody says anything.
    pub const USUAL: &'static [ShimMode] = &[ShimMode::Loopback];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.written()
    }
}

impl Word for ShimMode {
    const WORDS: &'static [(&'static str, ShimMode)] =
        &[("loopback", ShimMode::Loopback), ("parallel", ShimMode::Parallel), ("lossless", ShimMode::Lossless)];
}

impl BridgeConfig {
    /// How many keys it is compared by: `script` or `command`, and the others of a script.
    pub(super) const KEYS: usize = 7;

    /// The keys in which the other one differs.
    pub(super) fn changes(&self, other: &BridgeConfig) -> Vec<&'static str> {
        match (self, other) {
            (BridgeConfig::Script(one), BridgeConfig::Script(other)) => one.changes(other),
            (BridgeConfig::Command(one), BridgeConfig::Command(other)) => one.changes(other),
            (_, BridgeConfig::Script(_)) => vec!["script"],
            (_, BridgeConfig::Command(_)) => vec!["command"],
        }
    }
}

impl BridgeScript {
    pub(super) fn of(said: &Layer, env: impl Iterator<Item = (String, String)>) -> Option<BridgeScript> {
        Some(BridgeScript {
            script: top::path(said, "script")?,
            adapter: said.text("adapter")?.to_owned(),
            adapter_args: said.list("adapter_args", text).unwrap_or_default(),
            python: top::path(said, "python"),
            env: env.collect(),
            shim: shim(said),
            unsafe_bind: said.flag("unsafe_bind").unwrap_or(false),
        })
    }

    fn changes(&self, other: &BridgeScript) -> Vec<&'static str> {
        let is_same = [
            ("script", self.script == other.script),
            ("adapter", self.adapter == other.adapter),
            ("adapter_args", self.adapter_args == other.adapter_args),
            ("python", self.python == other.python),
            ("env", self.env == other.env),
            ("shim", self.shim == other.shim),
            ("unsafe_bind", self.unsafe_bind == other.unsafe_bind),
        ];
        is_same.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
    }
}

/// `false` is a list of nothing.
pub(super) fn shim(said: &Layer) -> Option<Vec<ShimMode>> {
    match said.value("shim")? {
        Value::Flag(_) => Some(Vec::new()),
        _ => said.list("shim", |mode| ShimMode::read(&text(mode)?)),
    }
}

/// What it is to a program that cannot speak to it.
impl App for BridgeConfig {
    fn launch(&self, worker: &LaunchContext<'_>) -> Result<Launch> {
        Err(without_a_bridge(worker.pool))
    }

    fn describe(&self) -> String {
        match self {
            BridgeConfig::Script(script) => format!("{} by {}", script.adapter, script.script.display()),
            BridgeConfig::Command(command) => command.describe(),
        }
    }

    fn has_timeouts(&self) -> bool {
        false
    }
}

/// Nobody has said how such a pool is spoken to.
pub(crate) fn without_a_bridge(pool: &str) -> Error {
    let message = format!(
        "pool {pool}: transport = \"grpc\": this program was built without it; `Builder::bridging(hatchery_snakepit::configured)` adds it"
    );
    Error::new(ErrorKind::Validation, message)
}
