//! Run functions that live in other processes - Python first, any language second - through pools of supervised
//! workers.
//!
//! ```no_run
//! use std::collections::BTreeMap;
//! use hatchery::{Hatchery, PythonApp};
//! use serde_json::json;
//!
//! # async fn example() -> hatchery::Result<()> {
//! let hatchery = Hatchery::builder().pool("default", PythonApp::file("app.py")).workers(4).start().await?;
//! let pool = hatchery.pool("default")?;
//! let counts: BTreeMap<String, u64> = pool.call("word_count", json!({ "text": "a b a" })).await?;
//! let mut ticks = pool.stream::<u64>("countdown", json!({ "n": 3 })).await?;
//! while let Some(tick) = ticks.next().await {
//!     println!("{}", tick?);
//! }
//! hatchery.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! # Theory of operation
//!
//! A [`Pool`] has seats. In each sits a worker: a process in a session of its own, which speaks the wire of
//! `docs/design/wire.md` over three inherited descriptors. There is no port and no path that another process could
//! connect to.
//!
//! **A call** is checked against the tools that the workers named, given to the least loaded worker or put into a
//! queue, and written to the worker's pipe by the caller's own thread. The worker's reader completes the caller's
//! future and writes the next queued call. JSON passes through unparsed until it reaches your type; [`Array`] and
//! [`Binary`] travel beside it without being encoded.
//!
//! **Who is next.** A free worker takes the call of the highest priority; among equals, tenants take turns; of one tenant, the
//! call that came first. Calls of a session go to the session's worker, and never overtake each other. A queue is bounded, and
//! what waits too long, or for nobody any more, never runs.
//!
//! **A worker is replaced** when it is old, large, worn or unwell, or when somebody says so: its successor is ready before it
//! goes, and it finishes what it has. One that does not answer its heartbeats is ended. A pool none of whose workers comes up
//! fails its calls at once, with the reason, and hurts no other pool.
//!
//! **Around a call** there may be a circuit breaker, retries and a crash barrier ([`fault`]), as the pool is configured.
//!
//! **A deadline** is one absolute point in time, set when the call is made. The error says in which stage it passed.
//!
//! **A dropped future** cancels its call: a queued one never runs; the worker of a running one is told, and replaced
//! if it does not stop within a grace. A dropped stream likewise.
//!
//! **A worker that dies** takes its own calls down, each with a typed error that carries the worker's last output, and
//! no others. Another one takes its seat, at once the first time, then with growing pauses. One that breaks the
//! protocol is cut off and treated the same.
//!
//! **The end.** [`Hatchery::shutdown`] asks, then sends SIGTERM to the worker's group, then ends its whole tree: also what
//! forked twice and called `setsid`; each pool has its own [`StopGraces`]. Dropping the [`Hatchery`] ends everything at once;
//! [`Hatchery::cleanup`] does, waits within a bound, and names what the kernel still holds.
//!
//! **No orphan.** Workers are not children of this program but of a guardian, a tiny program that the library carries, which
//! is watched by a keeper, which is a tiny program too. If this program dies, be it by `kill -9`, they end everything; if
//! one of them dies, the other one does. Nothing of this program's state is touched: no fork, no signal handler, no
//! `prctl`. [`Hatchery::guarantee`] says what holds on this machine, `docs/design/guardian.md` how.
#![warn(missing_docs)]

// A module uses only modules listed below it; `cargo xtask tidy` checks that.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod blocking;
#[cfg(feature = "logs")]
pub mod logs;
mod hatchery;
mod doctor;
pub mod compat;
mod config;
pub mod agent;
mod pool;
mod service;
mod worker;
mod run;
mod registry;
mod session;
mod storage;
mod pyenv;
mod app;
mod host;
mod transport;
mod wire;
mod tool;
mod telemetry;
pub mod fault;
mod process;
mod panic;
mod call;
mod waiting;
mod value;
mod memory;
mod error;
mod id;

pub use crate::hatchery::{
    Begun, Bridged, Builder, Cleanup, Hatchery, Metrics, NeedsRestart, PoolBuilder, Reconfigured, ScriptTimeouts,
    stdout_closed,
};
pub use app::{App, CommandApp, Launch, LaunchContext};
pub use call::{Affinity, CallOptions, Priority};
pub use config::{
    AgentsConfig, AppConfig, ArenaConfig, Auth, BreakerConfig, BridgeConfig, BridgeListener, BridgeScript, Config,
    ConfigProblem, CrashBarrierConfig, HealthConfig, HealthGateConfig, HeartbeatConfig, InstanceConfig, Origin,
    OtlpConfig, OtlpProtocol, PoolConfig, PoolStop, PoolTimeouts, RestartsConfig, RetryConfig, Scope, ServerConfig,
    ServerLimitsConfig, SessionsConfig, Settings, ShimMode, StartConfig, ThreadLimitsConfig, TlsConfig,
    config_reference, data_dir, format_duration, format_size, parse_duration, parse_size,
};
pub use doctor::{Check, CheckStatus, DoctorOptions, critical_checks, doctor, write_guardian};
pub use error::{Error, ErrorCategory, ErrorKind, Result};
pub use host::{HostCaller, HostTool, HostToolInfo, HostToolLimits, HostToolSource, HostTools, PoolTool};
pub use id::{RunId, WorkerId};
pub use memory::{ArenaSettings, ArenaStatus, Buffer};
pub use pool::{
    BreakerMetrics, Capacity, Concurrency, HealthCheck, HeartbeatMetrics, OnTimeout, PayloadStream, Pool, PoolMetrics,
    PoolSession, PoolStats, PoolStatus, Recycle, ReplyStream, Restarts, StartBatches, StopGraces, TimeoutProfile,
    Timeouts, ToolMetrics, WorkerDetail, WorkerStatus,
};
pub use process::{Containment, Guarantee, Layer, LayerState, OnEscape, ResourceLimits};
pub use pyenv::{Embedded, FoundBy, Import, Interpreter, Probe, PythonApp, PythonVersion, runtime_dir};
pub use registry::{
    EntryState, Health, Instance, ProcessClass, ProcessEntry, RecordPlace, RunRegistry, Statistics, SweepDetail,
    SweepOptions, SweepReport, SystemStatus, Wanted, orphans, registry_entries, registry_lookup, system_status,
};
pub use run::{RunMetrics, Survivor};
pub use service::{ServiceState, ServiceStatus};
pub use session::{Entries, Session, SessionSettings, SessionStats, SessionWorker, Sessions, StoreStats};
pub use telemetry::{
    AgentRunEvent, CallEvent, Event, EventFilter, EventKind, Events, FaultEvent, FieldKind, Heard, Histogram, Lagged,
    Level, Log, LogSource, PoolEvent, Progress, RecycleReason, RunEvent, ServiceEvent, SessionEvent, SharedEvent,
    Standing, ToolEvent, WorkerEvent, catalogue, event_reference,
};
pub use tool::{Parameter, ToolItems, ToolSpec};
pub use value::{
    Array, ArrowStream, Binary, BinaryValue, Element, Handle, Number, Payload, PayloadParts, UnserializableInfo,
    is_unserializable, unserializable_info,
};
pub use wire::{Limits, Telemetry, WorkerRuntime};
pub use worker::{
    Berth, Heartbeat, HeartbeatStatus, Later, LinkedProcess, Profile, ProfileCall, ProfileGraces, ProfileItems,
    ProfileMetadata, ProfileWorker, ToolFacts, Transport, TransportContext, WorkerCalls, WorkerContext, WorkerHealth,
    WorkerVoice,
};
