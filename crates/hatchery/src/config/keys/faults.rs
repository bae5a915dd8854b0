//! The keys of the policies around a pool's calls.

use super::{Fallback, Key, Kind, Value, key, milliseconds, of_word, seconds};
use crate::config::words::words;
use crate::fault::{CrashClass, CrashRetry};

pub(super) const RETRY: &[Key] = &[
    key(
        "attempts",
        Kind::WholeOrInfinity(1, 1000),
        Fallback::Is(|| Value::Infinity),
        "How often a call is made, the first time included; with infinity until its deadline.",
    ),
    key(
        "backoff",
        Kind::List(&Kind::Grace),
        Fallback::Is(|| Value::List([100, 200, 400, 800, 1600].map(milliseconds).into())),
        "The pauses before the second attempt, the third, and so on; the last one repeats.",
    ),
    key("max_backoff", Kind::Grace, Fallback::Is(|| seconds(30)), "The longest pause."),
    key("jitter", Kind::Share, Fallback::Is(|| Value::Number(0.25)), "How far a pause may differ, as a share of it."),
    key(
        "budget",
        Kind::Share,
        Fallback::Nothing("any number"),
        "How many retries there may be for each call, over all calls of the pool.",
    ),
];

pub(super) const BREAKER: &[Key] = &[
    key("enabled", Kind::Flag, Fallback::OnIfSpokenOf, "Whether there is one."),
    key("failures", Kind::Whole(1, 1_000_000), Fallback::Is(|| Value::Whole(5)), "So many failures open it."),
    key(
        "reset",
        Kind::Period,
        Fallback::Is(|| seconds(30)),
        "How long after the last failure a call is let through to try.",
    ),
    key("half_open", Kind::Whole(1, 1024), Fallback::Is(|| Value::Whole(1)), "How many calls may try at once."),
];

pub(super) const HEALTH_GATE: &[Key] = &[
    key("enabled", Kind::Flag, Fallback::OnIfSpokenOf, "Whether there is one."),
    key("window", Kind::Period, Fallback::Is(|| seconds(60)), "How far back crashes count."),
    key(
        "max_crashes",
        Kind::Whole(1, 1_000_000),
        Fallback::Is(|| Value::Whole(10)),
        "So many in the window are too many for the pool.",
    ),
    key(
        "max_worker_crashes",
        Kind::Whole(1, 1_000_000),
        Fallback::Is(|| Value::Whole(3)),
        "So many of one worker in the window are too many for it.",
    ),
];

pub(super) const CRASH_BARRIER: &[Key] = &[
    key("enabled", Kind::Flag, Fallback::OnIfSpokenOf, "Whether there is one."),
    key(
        "taint",
        Kind::Period,
        Fallback::Is(|| seconds(60)),
        "How long the seat of a worker that crashed gets no calls while another worker is ready, and a device is named as tainted.",
    ),
    key("mark_on", Kind::List(&Kind::Words(words::<CrashClass>)), Fallback::Is(mark_on), "Which crashes taint."),
    key(
        "exit_codes",
        Kind::List(&Kind::Whole(1, 255)),
        Fallback::Is(|| Value::List(Vec::new())),
        "Which exit statuses taint besides, as a shell has them: 139 is SIGSEGV.",
    ),
    key(
        "error_types",
        Kind::List(&Kind::Text),
        Fallback::Is(|| Value::List(Vec::new())),
        "Which types of Python exceptions taint as failures of a device do.",
    ),
    key(
        "taint_device",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(true)),
        "Whether a fatal error of CUDA taints the device too.",
    ),
    key(
        "retry",
        Kind::Words(words::<CrashRetry>),
        Fallback::Is(of_word::<CrashRetry>),
        "Which calls are made again on another worker after a crash.",
    ),
    key("max_restarts", Kind::Whole(0, 1000), Fallback::Is(|| Value::Whole(1)), "How often, for one call."),
    key(
        "backoff",
        Kind::List(&Kind::Grace),
        Fallback::Is(|| Value::List([50, 100, 200].map(milliseconds).into())),
        "The pauses before it; the last one repeats.",
    ),
];

fn mark_on() -> Value {
    Value::List(["segfault", "oom", "gpu"].map(|word| Value::Text(word.to_owned())).into())
}
