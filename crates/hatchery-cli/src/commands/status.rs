use serde::Deserialize;

use crate::colour::Paint;
use crate::columns::{Column, Holds, table};
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::remote::DaemonOptions;

/// Say how the running daemon is, and how busy its pools are
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
    pools: Vec<PoolStatus>,
}

#[derive(Deserialize)]
struct PoolStatus {
    pool: String,
    workers: usize,
    ready: usize,
    queued: usize,
    running: usize,
}

/// Asks it.
pub(crate) async fn status(args: StatusArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(&invocation.global)?;
    let text = invocation.unless_interrupted(daemon.get("/v1/status")).await?;
    invocation.print_answer(&text, |status: Status, paint| sheet(&status, paint)).await?;
    Ok(Exit::Success)
}

fn sheet(status: &Status, paint: Paint) -> String {
    let run = status.run.as_deref().map(|run| format!(", run {}", &run[..run.floor_char_boundary(7)]));
    let phase = if status.phase == "serving" { paint.green(&status.phase) } else { paint.yellow(&status.phase) };
    let head = format!(
        "{phase} on http://{}, pid {}{}, hatchery {}",
        status.address,
        status.pid,
        run.unwrap_or_default(),
        status.version
    );
    if status.pools.is_empty() {
        return head;
    }
    let number = |heading| Column(heading, Holds::Numbers);
    let columns =
        [Column("pool", Holds::Text), number("workers"), number("ready"), number("queued"), number("running")];
    let row = |pool: &PoolStatus| {
        let [workers, ready, queued, running] =
            [pool.workers, pool.ready, pool.queued, pool.running].map(|count| count.to_string());
        [pool.pool.clone(), workers, ready, queued, running]
    };
    let rows: Vec<[String; 5]> = status.pools.iter().map(row).collect();
    format!("{head}\n{}", table(columns, &rows, paint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_and_a_table() {
        let pools = vec![PoolStatus { pool: "default".into(), workers: 4, ready: 3, queued: 0, running: 2 }];
        let mut status = Status {
            phase: "serving".into(),
            run: Some("0123456789abcdef".into()),
            pid: 7,
            version: "0.1.0".into(),
            address: "127.0.0.1:7411".into(),
            pools,
        };
        let expected = "\
serving on http://127.0.0.1:7411, pid 7, run 0123456, hatchery 0.1.0
pool     workers  ready  queued  running
default        4      3       0        2";
        assert_eq!(sheet(&status, Paint::PLAIN), expected);
        (status.run, status.pools, status.phase) = (None, vec![], "filling".into());
        assert_eq!(sheet(&status, Paint::PLAIN), "filling on http://127.0.0.1:7411, pid 7, hatchery 0.1.0");
    }
}
