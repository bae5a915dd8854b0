use std::time::Duration;

use hatchery::ErrorKind;
use serde::Deserialize;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::invocation::{Invocation, understood};
use crate::private_pool::Limit;
use crate::remote::{DaemonOptions, START_ONE};

/// Let a pool of the running daemon take no more calls, and wait until those that it has are served
#[derive(clap::Args, Debug)]
pub(crate) struct DrainArgs {
    /// The pool. It stays so until `hatchery resume`
    #[arg(value_name = "POOL")]
    pool: String,
    /// How long to wait, like 30s; 0s is not at all. If that is too short, the exit status is 3, and the pool drains on
    #[arg(long, value_name = "DURATION", default_value = "infinity")]
    wait: Limit,
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// What of the daemon's answer people read.
#[derive(Deserialize)]
struct Drained {
    pool: String,
    drained: bool,
    queued: usize,
    running: usize,
}

/// Orders it, and waits.
pub(crate) async fn drain(args: DrainArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    let body = json!({ "wait": args.wait.to_string() });
    let text = invocation.unless_interrupted(daemon.order_patiently(&["pools", &args.pool, "drain"], body)).await?;
    let done: Drained = understood(&text)?;
    invocation.print_answer(&text, |done: Drained, _| line(&done)).await?;
    let asked_to_wait = args.wait.0 != Some(Duration::ZERO);
    Ok(if done.drained || !asked_to_wait { Exit::Success } else { Exit::Failed(ErrorKind::Deadline) })
}

fn line(done: &Drained) -> String {
    let Drained { pool, queued, running, .. } = done;
    if done.drained {
        return format!("pool {pool} takes no calls, and has none left; `hatchery resume {pool}` opens it again");
    }
    format!("pool {pool} takes no calls; {running} still run, and {queued} wait")
}
