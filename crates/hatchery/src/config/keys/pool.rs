//! The keys of a pool.

use super::faults::{BREAKER, CRASH_BARRIER, HEALTH_GATE, RETRY};
use super::{Fallback, Key, Kind, Naming, Value, bridge, key, limit, of_word, table, whole};
use crate::call::Affinity;
use crate::config::words::{Profile, words};
use crate::memory::ArenaSettings;
use crate::pool::{Capacity, Config, HealthCheck, OnTimeout, Recycle, Restarts, StartBatches, StopGraces, Timeouts};
use crate::process::{Containment, OnEscape};
use crate::worker::{Heartbeat, TemplateSettings};

/// How many threads a worker has with `profile = "thread"`, if nothing is said.
pub(in super::super) const THREADS: u64 = 10;

pub(in super::super) const POOL: &[Key] = &[
    key("name", Kind::Name, Fallback::Nothing("it must have one"), "Its name."),
    key(
        "app",
        Kind::App,
        Fallback::Nothing("or `command`"),
        "What it runs: a Python file or module, and in it the one function, class or object to serve.",
    ),
    key(
        "command",
        Kind::Command,
        Fallback::Nothing("or `app`"),
        "What it runs: a program that speaks the native wire on the descriptors it is given, or with `transport = \"grpc\"` the worker's side of `snakepit.bridge`.",
    ),
    bridge::TRANSPORT,
    bridge::SCRIPT,
    bridge::ADAPTER,
    bridge::ADAPTER_ARGS,
    bridge::SHIM,
    bridge::UNSAFE_BIND,
    key(
        "python",
        Kind::Program,
        Fallback::Nothing("`python` of the whole file"),
        "The interpreter of its app or script.",
    ),
    key(
        "env",
        Kind::Entries(&Kind::Text, Naming::Variables),
        Fallback::Nothing("none"),
        "Variables of its workers, on top of the supervisor's environment.",
    ),
    key(
        "preload",
        Kind::List(&Kind::Text),
        Fallback::Nothing("none"),
        "Modules that are imported once, in a process from which the workers of an app are forked: starts take milliseconds, and the workers share the memory. A module that leaves threads behind, or opens a device or a socket, has the workers started cold, with a warning.",
    ),
    key(
        "preload_app",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(TemplateSettings::default().app)),
        "Whether that process imports the app's own module as well.",
    ),
    key(
        "template",
        Kind::Flag,
        Fallback::Native(|| Value::Flag(TemplateSettings::default().enabled)),
        "Whether there is such a process; it has at least the runtime in it. Without one, each worker is started cold.",
    ),
    key("workers", Kind::Whole(1, 1024), Fallback::Is(|| whole(Config::new().workers)), "How many workers."),
    key(
        "profile",
        Kind::Words(words::<Profile>),
        Fallback::Is(of_word::<Profile>),
        "Whether a worker has one call at a time, or several in threads.",
    ),
    key(
        "threads_per_worker",
        Kind::Whole(1, 1024),
        Fallback::WithThreads(|| Value::Whole(THREADS)),
        "How many calls a worker has at once; only with `profile = \"thread\"`.",
    ),
    key(
        "capacity",
        Kind::Words(words::<Capacity>),
        Fallback::Is(of_word::<Capacity>),
        "How many calls a worker is given: as many as it can have at once (pool, hybrid; hybrid tells as an event that a worker is full), or one (profile).",
    ),
    key(
        "affinity",
        Kind::Words(words::<Affinity>),
        Fallback::Is(of_word::<Affinity>),
        "What a call of a session may do if the session's worker cannot take it: go elsewhere (hint), wait, or fail.",
    ),
    key(
        "max_queue",
        Kind::Whole(0, 1_000_000),
        Fallback::Is(|| whole(Config::new().max_queue)),
        "How many calls may wait for a worker before others are refused.",
    ),
    table("timeouts", TIMEOUTS, "How long things may take."),
    key(
        "tool_timeouts",
        Kind::Entries(&Kind::Limit, Naming::Tools),
        Fallback::Nothing("none"),
        "How long calls and streams of single tools may take, instead of what `timeouts` says.",
    ),
    key(
        "on_timeout",
        Kind::Words(words::<OnTimeout>),
        Fallback::Is(of_word::<OnTimeout>),
        "What becomes of a worker that goes on with a call whose deadline has passed: it is ended after `cancel_grace` (kill), or may finish (abandon).",
    ),
    key(
        "cancel_grace",
        Kind::Grace,
        Fallback::Is(|| Value::Duration(Config::new().worker.cancel_grace)),
        "How long a cancelled call may go on before its worker is replaced.",
    ),
    table("stop", STOP, "What a worker has to leave by itself when it is told to end."),
    table(
        "recycle",
        RECYCLE,
        "When a worker is replaced though nothing is wrong with it. The replacement is ready before it goes.",
    ),
    table("heartbeat", HEARTBEAT, "Whether a worker still answers."),
    table("health", HEALTH, "What the app's own `health()` says, if it has one."),
    table("start", START, "How starts are spread."),
    table("restarts", RESTARTS, "When a pool whose workers die before they are ready is given up for the time being."),
    table(
        "retry",
        RETRY,
        "How idempotent calls that lost their worker are made again; if anything is said, also calls that no worker has seen.",
    ),
    table("breaker", BREAKER, "Refuses calls for a while after many failures. Off unless something is said of it."),
    table(
        "health_gate",
        HEALTH_GATE,
        "Refuses calls while too many workers crash. Off unless something is said of it.",
    ),
    table(
        "crash_barrier",
        CRASH_BARRIER,
        "Keeps calls from workers and devices that have crashed. Off unless something is said of it.",
    ),
    table(
        "telemetry",
        TELEMETRY,
        "Which events of its own a worker sends (`ctx.emit`; `telemetry.emit` in one that was written for Snakepit). A reload tells those that run. \
         What cannot be told sends all; Snakepit's threaded worker sends none.",
    ),
    table("arena", ARENA, "Memory that is shared with its workers, for large values."),
    table(
        "thread_limits",
        THREAD_LIMITS,
        "How many threads the libraries in a worker may start. What `env` says goes before.",
    ),
    key(
        "thread_safety_checks",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(false)),
        "Whether the worker tells of libraries and tools that do not belong into threads.",
    ),
    key(
        "containment",
        Kind::Words(words::<Containment>),
        Fallback::Is(of_word::<Containment>),
        "What keeps its processes together; pidns is a PID namespace besides.",
    ),
    key(
        "on_escape",
        Kind::Words(words::<OnEscape>),
        Fallback::Is(of_word::<OnEscape>),
        "What becomes of processes that left their worker's group and outlive it.",
    ),
    table("limits", LIMITS, "What each worker may use of the machine."),
    key(
        "no_new_privileges",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(false)),
        "Whether nothing that its workers run may gain rights (sudo and the like).",
    ),
    key(
        "user",
        Kind::Whole(0, MAX_ID),
        Fallback::Nothing("the supervisor's"),
        "The id of the user that its workers become; needs root, and `group`.",
    ),
    key(
        "group",
        Kind::Whole(0, MAX_ID),
        Fallback::Nothing("the supervisor's"),
        "The id of the group that its workers become; needs root, and `user`.",
    ),
];

/// The one above means "leave it as it is" to the kernel.
const MAX_ID: u64 = u32::MAX as u64 - 1;

/// A length of time, as the room that obeys it has it.
macro_rules! time {
    ($of:expr) => {
        Fallback::Is(|| Value::Duration($of))
    };
}

const TIMEOUTS: &[Key] = &[
    key("call", Kind::Limit, Fallback::OfProfile(|timeouts| timeouts.call), "A call, from its making to its result."),
    key(
        "stream",
        Kind::Limit,
        Fallback::OfProfile(|timeouts| timeouts.stream),
        "A stream, from its making to its last chunk.",
    ),
    key(
        "queue",
        Kind::Wait,
        Fallback::OfProfile(|timeouts| timeouts.queue),
        "The wait for a worker, within the above.",
    ),
    key(
        "start",
        Kind::Limit,
        Fallback::Is(|| limit(Timeouts::default().start)),
        "The start of a worker, until it is ready; no part of a timeout profile.",
    ),
];

const STOP: &[Key] = &[
    key(
        "ask",
        Kind::Grace,
        time!(StopGraces::default().ask),
        "From the word, which lets calls that run finish, to SIGTERM.",
    ),
    key("term", Kind::Grace, time!(StopGraces::default().term), "From SIGTERM to SIGKILL."),
];

const RECYCLE: &[Key] = &[
    key("ttl", Kind::Limit, Fallback::Is(|| Value::Infinity), "At this age, give or take 10 %."),
    key(
        "max_requests",
        Kind::WholeOrInfinity(1, 1_000_000_000_000),
        Fallback::Is(|| Value::Infinity),
        "After so many answered calls.",
    ),
    key("max_rss", Kind::Size, Fallback::Is(|| Value::Infinity), "When its whole process tree has so much in memory."),
    key("check", Kind::Period, time!(Recycle::default().check), "How often age and memory are looked at."),
];

const HEARTBEAT: &[Key] = &[
    key(
        "enabled",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(Heartbeat::default().enabled)),
        "Whether workers are asked at all.",
    ),
    key("interval", Kind::Period, time!(Heartbeat::default().interval), "From one answer to the next question."),
    key(
        "timeout",
        Kind::Period,
        time!(Heartbeat::default().timeout),
        "How long an answer may take until it counts as missed.",
    ),
    key(
        "max_missed",
        Kind::Whole(1, 1000),
        Fallback::Is(|| Value::Whole(Heartbeat::default().max_missed.into())),
        "So many in a row are too many.",
    ),
    key("initial_delay", Kind::Grace, time!(Heartbeat::default().initial_delay), "From ready to the first question."),
    key(
        "dependent",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(Heartbeat::default().dependent)),
        "Whether a worker that misses too many is replaced; else it is only told of.",
    ),
    key(
        "while_busy",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(Heartbeat::default().while_busy)),
        "Whether misses count while the worker has a call: a tool in C code may hold the interpreter.",
    ),
];

const HEALTH: &[Key] = &[
    key("interval", Kind::Period, time!(HealthCheck::default().interval), "How often an idle worker is asked."),
    key("timeout", Kind::Period, time!(HealthCheck::default().timeout), "How long the answer may take."),
    key(
        "replace_after",
        Kind::WholeOrInfinity(1, 1000),
        Fallback::Is(replace_after),
        "So many failures in a row replace the worker; with infinity they are only told of.",
    ),
];

fn replace_after() -> Value {
    HealthCheck::default().replace_after.map_or(Value::Infinity, |failures| Value::Whole(failures.into()))
}

const START: &[Key] = &[
    key(
        "batch",
        Kind::Whole(1, 1024),
        Fallback::Is(|| whole(StartBatches::default().size)),
        "So many workers at once.",
    ),
    key("delay", Kind::Grace, time!(StartBatches::default().delay), "From one batch to the next."),
];

const RESTARTS: &[Key] = &[
    key(
        "max_failures",
        Kind::Whole(1, 1000),
        Fallback::Is(|| Value::Whole(Restarts::default().max_failures.into())),
        "So many deaths before ready, one after another without a success, are a crash loop.",
    ),
    key("max_backoff", Kind::Period, time!(Restarts::default().max_backoff), "The longest pause between two tries."),
];

const TELEMETRY: &[Key] = &[
    key("enabled", Kind::Flag, Fallback::Is(|| Value::Flag(true)), "Whether any are sent."),
    key("sampling", Kind::Share, Fallback::Is(|| Value::Number(1.0)), "The share of them that is sent, by chance."),
    key(
        "allow",
        Kind::List(&Kind::Text),
        Fallback::Is(|| Value::List(Vec::new())),
        "The names that are sent, with `*` and `?` as in file names. An empty list allows all.",
    ),
    key(
        "deny",
        Kind::List(&Kind::Text),
        Fallback::Is(|| Value::List(Vec::new())),
        "The names that are not, whatever `allow` says.",
    ),
];

const ARENA: &[Key] = &[
    key(
        "enabled",
        Kind::Flag,
        Fallback::Native(|| Value::Flag(true)),
        "Whether large values go through shared memory.",
    ),
    key(
        "limit",
        Kind::Size,
        Fallback::Is(|| Value::Size(ArenaSettings::default().limit)),
        "The most that values take at once, on the host's side and on that of each worker; what finds no room goes through the pipe.",
    ),
    key(
        "threshold",
        Kind::Size,
        Fallback::Is(|| Value::Size(ArenaSettings::default().threshold)),
        "From which size on a value is put there; with infinity only what lies there already is passed by reference.",
    ),
    key(
        "keep",
        Kind::Size,
        Fallback::Is(|| Value::Size(ArenaSettings::default().keep)),
        "How much of it stays in memory when nothing is in it, so that the next value finds it warm.",
    ),
];

const THREAD_LIMITS: &[Key] = &[
    key("openblas", Kind::Whole(1, 1024), Fallback::Threads, "OPENBLAS_NUM_THREADS."),
    key("omp", Kind::Whole(1, 1024), Fallback::Threads, "OMP_NUM_THREADS."),
    key("mkl", Kind::Whole(1, 1024), Fallback::Threads, "MKL_NUM_THREADS."),
    key("numexpr", Kind::Whole(1, 1024), Fallback::Threads, "NUMEXPR_NUM_THREADS."),
];

const LIMITS: &[Key] = &[
    key("memory", Kind::Size, Fallback::Is(|| Value::Infinity), "Memory, with everything that it starts."),
    key(
        "cpu",
        Kind::NumberOrInfinity,
        Fallback::Is(|| Value::Infinity),
        "Processors, with everything that it starts: 0.5 is half of one.",
    ),
    key(
        "processes",
        Kind::WholeOrInfinity(1, 4_194_304),
        Fallback::Is(|| Value::Infinity),
        "Processes and threads, with everything that it starts.",
    ),
    key(
        "open_files",
        Kind::WholeOrInfinity(16, 1_048_576),
        Fallback::Is(|| Value::Infinity),
        "Open files, of each process.",
    ),
];
