use std::time::Duration;

use serde::Deserialize;

use crate::ages::{age, since_1970};
use crate::colour::Paint;
use crate::columns::{Column, Holds, table};
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::remote::{DaemonOptions, START_ONE};

/// Say how the running daemon is, how busy its pools are, and whether what is promised about processes holds here
#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// What of the daemon's answer people read.
#[derive(Deserialize)]
struct Status {
    phase: String,
    run: Option<String>,
    pid: u32,
    version: String,
    address: String,
    /// Absent in the answer of an older daemon.
    #[serde(default)]
    tls: bool,
    bridge: Option<String>,
    pools: Vec<PoolStatus>,
    guarantee: Option<Guarantee>,
    system: Option<System>,
}

#[derive(Deserialize)]
struct Guarantee {
    promise: String,
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    name: String,
    holds: Option<bool>,
    detail: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum System {
    Known { orphans: usize, oldest_orphan: Option<u64>, health: String },
    Unknown { unavailable: String },
}

#[derive(Deserialize)]
struct PoolStatus {
    pool: String,
    state: String,
    workers: usize,
    ready: usize,
    queued: usize,
    running: usize,
}

/// Asks it.
pub(crate) async fn status(args: StatusArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    invocation.show(daemon.get(&["status"]), |status: Status, paint| sheet(&status, since_1970(), paint)).await
}

/// The daemon, its pools, and what of it is left to chance.
fn sheet(status: &Status, now: Duration, paint: Paint) -> String {
    let pools = (!status.pools.is_empty()).then(|| pools(&status.pools, paint));
    let guarantee = status.guarantee.iter().flat_map(|guarantee| promise(guarantee, paint));
    let system = status.system.iter().flat_map(|system| health(system, now, paint));
    std::iter::once(head(status, paint)).chain(pools).chain(guarantee).chain(system).collect::<Vec<_>>().join("\n")
}

fn head(status: &Status, paint: Paint) -> String {
    let run = status.run.as_deref().map(|run| format!(", run {}", &run[..run.floor_char_boundary(7)]));
    let phase = if status.phase == "serving" { paint.green(&status.phase) } else { paint.yellow(&status.phase) };
    format!(
        "{phase} on {}://{}{}, pid {}{}, hatchery {}",
        if status.tls { "https" } else { "http" },
        status.address,
        status.bridge.as_deref().map(|bridge| format!(", bridge on {bridge}")).unwrap_or_default(),
        status.pid,
        run.unwrap_or_default(),
        status.version
    )
}

fn pools(pools: &[PoolStatus], paint: Paint) -> String {
    let number = |heading| Column(heading, Holds::Numbers);
    let columns = [
        Column("pool", Holds::Text),
        Column("state", Holds::Text),
        number("workers"),
        number("ready"),
        number("queued"),
        number("running"),
    ];
    let row = |pool: &PoolStatus| {
        let [workers, ready, queued, running] =
            [pool.workers, pool.ready, pool.queued, pool.running].map(|count| count.to_string());
        [pool.pool.clone(), pool.state.clone(), workers, ready, queued, running]
    };
    let rows: Vec<[String; 6]> = pools.iter().map(row).collect();
    table(columns, &rows, paint)
}

/// The promise, and each layer that it has to do without.
fn promise(guarantee: &Guarantee, paint: Paint) -> Vec<String> {
    let lost = guarantee.layers.iter().filter(|layer| layer.holds == Some(false));
    let lost = lost.map(|layer| format!("{} {}: {}", paint.yellow("lost:"), layer.name, layer.detail));
    std::iter::once(format!("promise: {}", guarantee.promise)).chain(lost).collect()
}

/// What dead runs have left.
fn health(system: &System, now: Duration, paint: Paint) -> Vec<String> {
    match system {
        System::Known { orphans, oldest_orphan, health } => {
            let verdict = if health == "healthy" { paint.green(health) } else { paint.yellow(health) };
            vec![format!("orphans: {}", left(*orphans, *oldest_orphan, now)), format!("health: {verdict}")]
        }
        System::Unknown { unavailable } => vec![format!("health: {} ({unavailable})", paint.yellow("unknown"))],
    }
}

fn left(orphans: usize, oldest: Option<u64>, now: Duration) -> String {
    let since = oldest.map(|first| format!(", the first seen {} ago", age(now.as_secs_f64() - first as f64)));
    match orphans {
        0 => "0".to_owned(),
        orphans => format!("{orphans}{}; `hatchery orphans` lists them", since.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rest: &str) -> Status {
        let head = r#"{"phase":"serving","pid":7,"version":"0.1.0","address":"127.0.0.1:7411""#;
        serde_json::from_str(&format!("{head},{rest}}}")).unwrap()
    }

    fn shown(rest: &str) -> String {
        sheet(&answer(rest), Duration::from_secs(1_000), Paint::PLAIN)
    }

    #[test]
    fn the_daemon_its_pools_and_what_holds() {
        let rest = r#""run":"0123456789abcdef",
            "pools":[{"pool":"default","state":"serving","workers":4,"ready":3,"queued":0,"running":2}],
            "guarantee":{"promise":"no orphan","layers":[
                {"name":"death signal","holds":true,"detail":""},
                {"name":"cgroup leaf","holds":false,"detail":"Permission denied"},
                {"name":"pid namespace","holds":null,"detail":"not asked for"}]},
            "system":{"registry":{},"processes":6,"orphans":0,"oldest_orphan":null,"health":"healthy","notes":[]}"#;
        let expected = "\
serving on http://127.0.0.1:7411, pid 7, run 0123456, hatchery 0.1.0
pool     state    workers  ready  queued  running
default  serving        4      3       0        2
promise: no orphan
lost: cgroup leaf: Permission denied
orphans: 0
health: healthy";
        assert_eq!(shown(rest), expected);
    }

    #[test]
    fn before_there_are_pools_nothing_is_promised() {
        let rest = r#""run":null,"pools":[],"guarantee":null,"system":null"#;
        assert_eq!(shown(rest), "serving on http://127.0.0.1:7411, pid 7, hatchery 0.1.0");
    }

    #[test]
    fn where_tls_is_spoken_the_address_says_so() {
        let head = shown(r#""tls":true,"run":null,"pools":[]"#);
        assert!(head.starts_with("serving on https://127.0.0.1:7411, "), "{head}");
    }

    #[test]
    fn where_others_than_workers_reach_the_bridge_is_told() {
        let head = shown(r#""bridge":"localhost:50051","run":null,"pools":[]"#);
        assert!(head.starts_with("serving on http://127.0.0.1:7411, bridge on localhost:50051, pid 7"), "{head}");
    }

    #[test]
    fn orphans_and_what_is_not_known_are_told() {
        let system = |text: &str| shown(&format!(r#""run":null,"pools":[],"system":{text}"#));
        let orphans = system(r#"{"orphans":2,"oldest_orphan":400,"health":"degraded"}"#);
        let expected = "orphans: 2, the first seen 10 min ago; `hatchery orphans` lists them\nhealth: degraded";
        assert!(orphans.ends_with(expected), "{orphans}");
        let unknown = system(r#"{"unavailable":"a sweep is at work"}"#);
        assert!(unknown.ends_with("\nhealth: unknown (a sweep is at work)"), "{unknown}");
    }
}
