use serde::Deserialize;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::remote::{DaemonOptions, START_ONE};

/// Let a pool of the running daemon take calls again, after `hatchery drain`
#[derive(clap::Args, Debug)]
pub(crate) struct ResumeArgs {
    /// The pool
    #[arg(value_name = "POOL")]
    pool: String,
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// What of the daemon's answer people read.
#[derive(Deserialize)]
struct Resumed {
    pool: String,
    state: String,
}

/// Orders it.
pub(crate) async fn resume(args: ResumeArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    let ordered = daemon.order(&["pools", &args.pool, "resume"], json!({}));
    invocation.show(ordered, |done: Resumed, _| format!("pool {} takes calls; it is {}", done.pool, done.state)).await
}
