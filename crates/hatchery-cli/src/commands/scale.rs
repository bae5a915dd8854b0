use std::num::NonZeroUsize;

use serde::Deserialize;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::private_pool;
use crate::remote::{DaemonOptions, START_ONE};

/// Give a pool of the running daemon another number of workers. Those that go finish their calls first
#[derive(clap::Args, Debug)]
pub(crate) struct ScaleArgs {
    /// The pool
    #[arg(value_name = "POOL")]
    pool: String,
    /// How many workers from now on
    #[arg(value_name = "N", value_parser = private_pool::workers)]
    workers: NonZeroUsize,
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// What of the daemon's answer people read.
#[derive(Deserialize)]
struct Scaled {
    pool: String,
    from: usize,
    to: usize,
}

/// Orders it, and does not wait.
pub(crate) async fn scale(args: ScaleArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    let body = json!({ "workers": args.workers });
    invocation.show(daemon.order(&["pools", &args.pool, "scale"], body), |done: Scaled, _| line(&done)).await
}

fn line(Scaled { pool, from, to }: &Scaled) -> String {
    if from == to {
        format!("pool {pool} has {to} workers already")
    } else {
        format!("pool {pool} goes from {from} to {to} workers")
    }
}
