mod detail;

use std::time::Duration;

use serde::Deserialize;

use crate::ages::{age, since_1970};
use crate::both::Both;
use crate::colour::Paint;
use crate::columns::{Column, Holds, known, table};
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::remote::{DaemonOptions, START_ONE};
use detail::Detail;

/// List the workers of the running daemon, and what each is doing; or tell all that is known of one
#[derive(clap::Args, Debug)]
pub(crate) struct WorkersArgs {
    /// The one, like default-3: also what it can do, and how it fares
    #[arg(value_name = "ID")]
    worker: Option<String>,
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// What of the daemon's answer people read.
#[derive(Deserialize)]
struct Worker {
    id: String,
    state: String,
    pid: Option<i32>,
    generation: u64,
    in_flight: usize,
    calls: u64,
    errors: u64,
    rss_bytes: Option<u64>,
    started_at: Option<f64>,
}

/// Asks it.
pub(crate) async fn workers(args: WorkersArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    let Some(id) = &args.worker else {
        return invocation
            .show(daemon.get(&["workers"]), |all: Vec<Worker>, paint| sheet(&all, since_1970(), paint))
            .await;
    };
    let asked = daemon.of_worker(id, daemon.get(&["workers", id]));
    let sheet = |Both(worker, detail): Both<Worker, Detail>, paint| detail.sheet(&worker, since_1970(), paint);
    invocation.show(asked, sheet).await
}

fn sheet(workers: &[Worker], now: Duration, paint: Paint) -> String {
    let (text, number) = (|heading| Column(heading, Holds::Text), |heading| Column(heading, Holds::Numbers));
    let columns = [
        text("worker"),
        text("state"),
        number("pid"),
        number("generation"),
        number("in flight"),
        number("calls"),
        number("errors"),
        number("memory"),
        number("up"),
    ];
    let rows: Vec<[String; 9]> = workers.iter().map(|worker| row(worker, now)).collect();
    table(columns, &rows, paint)
}

fn row(worker: &Worker, now: Duration) -> [String; 9] {
    [
        worker.id.clone(),
        worker.state.clone(),
        known(worker.pid.map(|pid| pid.to_string())),
        worker.generation.to_string(),
        worker.in_flight.to_string(),
        worker.calls.to_string(),
        worker.errors.to_string(),
        known(worker.rss_bytes.map(|bytes| format!("{} MiB", bytes >> 20))),
        known(worker.started_at.map(|since| age(now.as_secs_f64() - since))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_a_dash() {
        let answer = r#"[
            {"id":"default-1","pool":"default","state":"busy","pid":4711,"generation":2,"in_flight":1,"calls":10,"errors":3,
             "rss_bytes":15728640,"started_at":40.5},
            {"id":"default-2","pool":"default","state":"starting","pid":null,"generation":0,"in_flight":0,"calls":0,"errors":0,
             "rss_bytes":null,"started_at":null}]"#;
        let workers: Vec<Worker> = serde_json::from_str(answer).unwrap();
        let expected = "\
worker     state      pid  generation  in flight  calls  errors  memory    up
default-1  busy      4711           2          1     10       3  15 MiB  60 s
default-2  starting     -           0          0      0       0       -     -";
        assert_eq!(sheet(&workers, Duration::from_secs(101), Paint::PLAIN), expected);
    }
}
