use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::remote::{DaemonOptions, START_ONE};
use crate::worker_order::Told;

/// Replace a worker of the running daemon: its successor is ready before it goes, and no call is lost
#[derive(clap::Args, Debug)]
pub(crate) struct RecycleArgs {
    /// The worker, like default-3
    #[arg(value_name = "WORKER")]
    worker: String,
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// Orders it, and does not wait.
pub(crate) async fn recycle(args: RecycleArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    let ordered = daemon.order_worker(&args.worker, "recycle");
    invocation.show(ordered, |told: Told, _| told.line("is replaced; its successor starts first")).await
}
