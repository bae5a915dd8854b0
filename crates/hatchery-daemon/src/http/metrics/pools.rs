//! The numbers of pools and their tools, family by family.

use std::fmt::Display;

use hatchery::fault::BreakerState;
use hatchery::{ArenaStatus, BreakerMetrics, PoolMetrics, ToolMetrics};

use super::exposition::{Exposition, Kind};

/// One number of each pool.
type Number = (&'static str, Kind, &'static str, fn(&PoolMetrics) -> u64);

const NUMBERS: &[Number] = &[
    ("hatchery_workers_wanted", Kind::Gauge, "Workers that the pool is to have", |pool| pool.workers_wanted as u64),
    ("hatchery_workers_tainted", Kind::Gauge, "Workers that take no calls for a while after a crash", |pool| {
        pool.workers_tainted as u64
    }),
    ("hatchery_calls_queued", Kind::Gauge, "Calls that wait for a worker", |pool| pool.queued as u64),
    ("hatchery_calls_queue_limit", Kind::Gauge, "Calls that may wait", |pool| pool.queue_limit as u64),
    ("hatchery_calls_running", Kind::Gauge, "Calls that workers have", |pool| pool.running as u64),
    ("hatchery_tries_admitted_total", Kind::Counter, "Calls, of which each retry is one, that were taken in", |pool| {
        pool.admitted
    }),
    ("hatchery_tries_waited_total", Kind::Counter, "Of these, that had to wait for a worker", |pool| pool.waited),
    ("hatchery_calls_saturated_total", Kind::Counter, "Calls that were refused because too many waited", |pool| {
        pool.saturated
    }),
    ("hatchery_queue_timeouts_total", Kind::Counter, "Calls that waited too long for a worker", |pool| {
        pool.queue_timeouts
    }),
    ("hatchery_call_retries_total", Kind::Counter, "Tries that failed and were made again", |pool| pool.retries),
    (
        "hatchery_worker_restarts_total",
        Kind::Counter,
        "Workers that ended without being told to, and were followed",
        |pool| pool.restarts,
    ),
];

/// One number of the shared memory of each pool that has some.
type Shared = (&'static str, Kind, &'static str, fn(&ArenaStatus) -> u64);

const SHARED: &[Shared] = &[
    ("hatchery_arena_limit_bytes", Kind::Gauge, "Size of each segment of shared memory", |arena| arena.limit),
    ("hatchery_arena_used_bytes", Kind::Gauge, "What values of this program take in shared memory", |arena| arena.used),
    ("hatchery_arena_resident_bytes", Kind::Gauge, "What all segments have in memory", |arena| arena.resident),
    ("hatchery_arena_exported_total", Kind::Counter, "Values that were passed to workers by reference", |arena| {
        arena.exported
    }),
    ("hatchery_arena_imported_total", Kind::Counter, "Values that came from workers by reference", |arena| {
        arena.imported
    }),
    ("hatchery_arena_fell_back_total", Kind::Counter, "Large values that were copied all the same", |arena| {
        arena.fell_back
    }),
];

pub(super) fn write(pools: &[PoolMetrics], out: &mut Exposition) {
    of_tools(pools, out);
    for (name, kind, help, number) in NUMBERS {
        out.family(name, *kind, help);
        pools.iter().for_each(|pool| out.sample(&[("pool", &pool.pool)], number(pool)));
    }
    by_kind(pools, out);
    breakers(pools, out);
    for (name, kind, help, number) in SHARED {
        out.family(name, *kind, help);
        let sharing = pools.iter().filter_map(|pool| Some((pool, pool.arena.as_ref()?)));
        sharing.for_each(|(pool, arena)| out.sample(&[("pool", &pool.pool)], number(arena)));
    }
}

/// Calls of tools that there are not stand under a label that is empty.
fn of_tools(pools: &[PoolMetrics], out: &mut Exposition) {
    let all =
        || pools.iter().flat_map(|pool| pool.tools.iter().map(move |tool| (pool.pool.as_str(), name(tool), tool)));
    out.family("hatchery_calls_total", Kind::Counter, "Calls that have ended, by how: ok, or the kind of the error");
    for (pool, name, tool) in all() {
        for (outcome, count) in &tool.calls {
            out.sample(&[("pool", pool), ("tool", name), ("outcome", outcome)], count);
        }
    }
    out.family("hatchery_call_queue_seconds", Kind::Histogram, "How long each try of a call waited for a worker");
    all().for_each(|(pool, name, tool)| out.histogram(&[("pool", pool), ("tool", name)], &tool.queue));
    out.family("hatchery_call_run_seconds", Kind::Histogram, "How long each try of a call ran");
    all().for_each(|(pool, name, tool)| out.histogram(&[("pool", pool), ("tool", name)], &tool.run));
    out.family("hatchery_stream_chunks_total", Kind::Counter, "Chunks that streams have brought");
    all().for_each(|(pool, name, tool)| out.sample(&[("pool", pool), ("tool", name)], tool.chunks));
}

fn name(tool: &ToolMetrics) -> &str {
    tool.tool.as_deref().unwrap_or_default()
}

fn by_kind(pools: &[PoolMetrics], out: &mut Exposition) {
    out.family("hatchery_workers", Kind::Gauge, "Workers by state");
    each(pools, out, "state", |pool| {
        pool.workers.iter().map(|(state, count)| ((*state).to_owned(), *count as u64)).collect()
    });
    out.family(
        "hatchery_workers_recycled_total",
        Kind::Counter,
        "Workers that were replaced though they lived, by the reason",
    );
    each(pools, out, "reason", |pool| pool.recycled.iter().map(|(reason, count)| (word(reason), *count)).collect());
    out.family("hatchery_worker_crashes_total", Kind::Counter, "Workers that died by themselves, by how");
    each(pools, out, "class", |pool| pool.crashes.iter().map(|(class, count)| (word(class), *count)).collect());
    out.family("hatchery_heartbeats_total", Kind::Counter, "What became of heartbeats");
    each(pools, out, "result", |pool| {
        let beats = &pool.heartbeats;
        let all =
            [("asked", beats.asked), ("answered", beats.answered), ("missed", beats.missed), ("failed", beats.failed)];
        all.map(|(result, count)| (result.to_owned(), count)).into()
    });
}

/// Several numbers of each pool, told apart by one label.
fn each(
    pools: &[PoolMetrics],
    out: &mut Exposition,
    label: &str,
    numbers: impl Fn(&PoolMetrics) -> Vec<(String, u64)>,
) {
    for pool in pools {
        for (kind, count) in numbers(pool) {
            out.sample(&[("pool", &pool.pool), (label, &kind)], count);
        }
    }
}

/// The text form, as in JSON.
fn word(value: &impl serde::Serialize) -> String {
    let word = serde_json::to_value(value).ok();
    word.as_ref().and_then(|word| word.as_str()).unwrap_or_default().to_owned()
}

/// The pool's own stands under a label that is empty.
fn breakers(pools: &[PoolMetrics], out: &mut Exposition) {
    const STATES: [BreakerState; 3] = [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen];
    out.family("hatchery_breaker_state", Kind::Gauge, "1 for the state that the circuit breaker is in");
    of_breakers(pools, |pool, tool, breaker| {
        for state in STATES {
            let is_it = u8::from(breaker.stats.state == state);
            out.sample(&[("pool", pool), ("tool", tool), ("state", state.as_str())], is_it);
        }
    });
    out.family("hatchery_breaker_rejected_total", Kind::Counter, "Calls that the circuit breaker has turned away");
    number(pools, out, |breaker| breaker.stats.rejected_count);
    out.family("hatchery_breaker_failures", Kind::Gauge, "Failures in a row");
    number(pools, out, |breaker| breaker.stats.failure_count);
}

fn number<N: Display>(pools: &[PoolMetrics], out: &mut Exposition, read: impl Fn(&BreakerMetrics) -> N) {
    of_breakers(pools, |pool, tool, breaker| out.sample(&[("pool", pool), ("tool", tool)], read(breaker)));
}

fn of_breakers(pools: &[PoolMetrics], mut tell: impl FnMut(&str, &str, &BreakerMetrics)) {
    for pool in pools {
        for breaker in &pool.breakers {
            tell(&pool.pool, breaker.tool.as_deref().unwrap_or_default(), breaker);
        }
    }
}
