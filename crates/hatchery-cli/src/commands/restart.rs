use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::remote::{DaemonOptions, START_ONE};
use crate::worker_order::Told;

/// End a worker of the running daemon within its pool's graces, and start another in its place
#[derive(clap::Args, Debug)]
pub(crate) struct RestartArgs {
    /// The worker, like default-3
    #[arg(value_name = "WORKER")]
    worker: String,
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// Orders it, and does not wait.
pub(crate) async fn restart(args: RestartArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    let ordered = daemon.order_worker(&args.worker, "restart");
    invocation.show(ordered, |told: Told, _| told.line("ends; then another takes its place")).await
}
