use std::collections::BTreeMap;

use serde::Deserialize;

use crate::colour::Paint;
use crate::columns::{Column, Holds, table};
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::remote::{DaemonOptions, START_ONE};

/// Count what has become of calls since the running daemon started, by pool, and its sessions
#[derive(clap::Args, Debug)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// What of the daemon's answer people read.
#[derive(Deserialize)]
struct Stats {
    total: PoolStats,
    pools: BTreeMap<String, PoolStats>,
    sessions: SessionStats,
}

#[derive(Deserialize)]
struct PoolStats {
    requests: u64,
    errors: u64,
    queued_total: u64,
    queue_timeouts: u64,
    saturated: u64,
    queued: usize,
    running: usize,
    workers: usize,
    recycled: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct SessionStats {
    created: u64,
    deleted: u64,
    expired: u64,
    current: usize,
    max: Option<usize>,
}

/// Asks it.
pub(crate) async fn stats(args: StatsArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    invocation.show(daemon.get(&["stats"]), |stats: Stats, paint| sheet(&stats, paint)).await
}

fn sheet(stats: &Stats, paint: Paint) -> String {
    let (text, number) = (|heading| Column(heading, Holds::Text), |heading| Column(heading, Holds::Numbers));
    let columns = [
        text("pool"),
        number("calls"),
        number("errors"),
        number("had to wait"),
        number("waited too long"),
        number("refused"),
        number("waiting"),
        number("running"),
        number("workers"),
        number("recycled"),
    ];
    let pools = stats.pools.iter().map(|(pool, stats)| row(pool, stats));
    // One pool is its own sum.
    let total = (stats.pools.len() > 1).then(|| row("(all)", &stats.total));
    let rows: Vec<_> = pools.chain(total).collect();
    format!("{}\n{}", table(columns, &rows, paint), sessions(&stats.sessions))
}

fn row(pool: &str, stats: &PoolStats) -> [String; 10] {
    [
        pool.to_owned(),
        stats.requests.to_string(),
        stats.errors.to_string(),
        stats.queued_total.to_string(),
        stats.queue_timeouts.to_string(),
        stats.saturated.to_string(),
        stats.queued.to_string(),
        stats.running.to_string(),
        stats.workers.to_string(),
        stats.recycled.values().sum::<u64>().to_string(),
    ]
}

fn sessions(stats: &SessionStats) -> String {
    let of = stats.max.map_or_else(String::new, |max| format!(" of at most {max}"));
    let SessionStats { created, deleted, expired, current, .. } = stats;
    format!("sessions: {current}{of}; {created} created, {deleted} deleted, {expired} expired")
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: &str = r#"{"requests":10,"queued_total":2,"queued":0,"errors":1,"queue_timeouts":0,"saturated":3,"workers":4,
        "available":4,"busy":0,"running":0,"recycled":{"ttl":1,"manual":2},"near_ttl":0,"near_max_requests":0}"#;

    fn shown(pools: &[&str]) -> String {
        let pools: Vec<String> = pools.iter().map(|pool| format!("\"{pool}\":{POOL}")).collect();
        let sessions =
            r#"{"created":5,"deleted":1,"expired":1,"cleanup_runs":9,"current":3,"max":10000,"memory_bytes":1}"#;
        let answer = format!(r#"{{"total":{POOL},"pools":{{{}}},"sessions":{sessions}}}"#, pools.join(","));
        sheet(&serde_json::from_str(&answer).unwrap(), Paint::PLAIN)
    }

    #[test]
    fn one_pool_is_its_own_sum() {
        let expected = "\
pool     calls  errors  had to wait  waited too long  refused  waiting  running  workers  recycled
default     10       1            2                0        3        0        0        4         3
sessions: 3 of at most 10000; 5 created, 1 deleted, 1 expired";
        assert_eq!(shown(&["default"]), expected);
        assert!(shown(&["a", "b"]).contains("\n(all)     10  "), "{}", shown(&["a", "b"]));
    }
}
