//! The keys of `hatchery.toml`: what each may be, what it is if nothing is said, and what it is for. From this table come the
//! reading of files and variables, `hatchery config`, and `docs/configuration.md`.

use std::time::Duration;

use super::kind::{Kind, Naming};
use super::value::Value;
use super::words::{Word, words};
use crate::pool::{TimeoutProfile, Timeouts};

mod bridge;
mod faults;
mod listener;
mod pool;
mod server;
mod telemetry;

pub(super) use pool::{POOL, THREADS};
pub(super) use server::LISTEN;

/// One key.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) fallback: Fallback,
    /// A sentence or two, for people who write a configuration.
    pub(super) doc: &'static str,
}

/// What a key is if nothing is said of it.
#[derive(Clone, Copy)]
pub(super) enum Fallback {
    /// Not set: in words, what happens then.
    Nothing(&'static str),
    Is(fn() -> Value),
    /// What the timeout profile says.
    OfProfile(fn(&Timeouts) -> Option<Duration>),
    /// Only a pool with threads has it.
    WithThreads(fn() -> Value),
    /// Only a pool with a script has it.
    Bridged(fn() -> Value),
    /// Only where the native wire is spoken; elsewhere it is false.
    Native(fn() -> Value),
    /// 1, and with threads as many as there are.
    Threads,
    /// On if anything else is said in its table, else off.
    OnIfSpokenOf,
}

pub(super) const fn key(name: &'static str, kind: Kind, fallback: Fallback, doc: &'static str) -> Key {
    Key { name, kind, fallback, doc }
}

pub(super) const fn table(name: &'static str, keys: &'static [Key], doc: &'static str) -> Key {
    key(name, Kind::Table(keys), Fallback::Nothing(""), doc)
}

pub(super) fn of_word<T: Word + Default>() -> Value {
    Value::Text(T::default().written().to_owned())
}

pub(super) fn whole(number: usize) -> Value {
    Value::Whole(number as u64)
}

pub(super) fn milliseconds(number: u64) -> Value {
    Value::Duration(Duration::from_millis(number))
}

pub(super) fn limit(limit: Option<Duration>) -> Value {
    limit.map_or(Value::Infinity, Value::Duration)
}

pub(super) fn seconds(number: u64) -> Value {
    Value::Duration(Duration::from_secs(number))
}

pub(super) const TOP: &[Key] = &[
    key(
        "timeout_profile",
        Kind::Words(words::<TimeoutProfile>),
        Fallback::Is(of_word::<TimeoutProfile>),
        "The timeouts of calls, streams and the queue by their purpose: \
         balanced and production 5m, 15m, 10s; production_strict 1m, 5m, 5s; development and ml_inference 15m, 1h, 1m; \
         batch 1h, infinity, 5m. A pool's own `timeouts` go before.",
    ),
    key(
        "python",
        Kind::Program,
        Fallback::Nothing("HATCHERY_PYTHON, then a .venv beside the app or one folder above, VIRTUAL_ENV, PATH"),
        "The interpreter of all Python pools that name none of their own.",
    ),
    table("instance", INSTANCE, "Which installation this is: runs of one instance share their records."),
    table("server", server::SERVER, "Where a daemon is reached, by whom, and how much of it one client may have."),
    table(
        "bridge",
        listener::BRIDGE,
        "Where clients that are no workers reach the host's side of `snakepit.bridge`, under the credentials and limits of `[server]`. \
         Workers have listeners of their own, and need none of this.",
    ),
    table("sessions", SESSIONS, "The sessions of all pools."),
    table("agents", AGENTS, "Long-lived processes that speak lines, coding agents above all: `hatchery agent`."),
    table("telemetry", telemetry::TELEMETRY, "What is told to others."),
    table(
        "pool_defaults",
        POOL,
        "What all pools have unless they say otherwise, key by key and table by table. \
         All keys of a pool but `name`, `app` and `command`.",
    ),
    key("pools", Kind::Tables("pools", POOL), Fallback::Nothing(""), "The pools, each with a name of its own."),
    key(
        "host_tools",
        Kind::Tables("host_tools", HOST_TOOL),
        Fallback::Nothing(""),
        "Tools of pools that the workers of other pools may call, with `ctx.call(NAME, ...)`. A call goes through the queue of \
         its pool, lasts no longer than the call on whose behalf it is made, and is refused if it would wait for itself.",
    ),
];

pub(super) const HOST_TOOL: &[Key] = &[
    key("name", Kind::Name, Fallback::Nothing("required"), "What workers call it by."),
    key("pool", Kind::Name, Fallback::Nothing("required"), "The pool that runs it."),
    key("tool", Kind::Text, Fallback::Nothing("required"), "The tool, as that pool's app calls it."),
    key("description", Kind::Text, Fallback::Nothing("what the app says of the tool"), "What it is for, for people."),
    key(
        "exposed",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(true)),
        "Whether workers see it. If not, only clients and this program call it.",
    ),
    key(
        "idempotent",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(false)),
        "Whether running it twice does no harm: then it is made again if its worker dies.",
    ),
    key(
        "timeout",
        Kind::Limit,
        Fallback::Nothing("that of the pool"),
        "How long a call of it may take, if the call on whose behalf it is made has as long.",
    ),
];

const INSTANCE: &[Key] = &[
    key("name", Kind::Name, Fallback::Is(|| Value::Text("default".to_owned())), "Its name."),
    key("token", Kind::Name, Fallback::Nothing("none"), "Tells apart instances that share a name."),
    key(
        "data_dir",
        Kind::Path,
        Fallback::Nothing("HATCHERY_DATA_DIR, which also goes before, then $XDG_STATE_HOME/hatchery/NAME"),
        "Where it keeps its records.",
    ),
];

const AGENTS: &[Key] = &[
    key(
        "max_concurrent",
        Kind::WholeOrInfinity(1, 1_000_000),
        Fallback::Is(|| Value::Infinity),
        "How many agent runs may live at once in one supervisor. One more is refused.",
    ),
    key(
        "adapters",
        Kind::Entries(&Kind::Adapter, Naming::Adapters),
        Fallback::Nothing("codex-jsonl, plain and stream-json are built in"),
        "Kinds of agents, each a table of what its lines mean, or of what differs from a built-in one \
         (`like = \"stream-json\"`).",
    ),
];

const SESSIONS: &[Key] = &[
    key("ttl", Kind::Limit, Fallback::Is(|| seconds(3600)), "How long an untouched session lives."),
    key(
        "max",
        Kind::WholeOrInfinity(1, 1_000_000_000),
        Fallback::Is(|| Value::Whole(10_000)),
        "How many sessions there may be.",
    ),
    key("cleanup", Kind::Period, Fallback::Is(|| seconds(60)), "How often sessions that have expired are removed."),
    key(
        "warning",
        Kind::Share,
        Fallback::Is(|| Value::Number(0.8)),
        "The share of `max` from which on each cleanup tells that sessions accumulate.",
    ),
    key(
        "strict",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(false)),
        "Whether that is told as a warning, and not only to those who ask. The limit itself holds in any case.",
    ),
];
