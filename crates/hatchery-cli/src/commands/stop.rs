use serde::Deserialize;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::invocation::{Invocation, understood};
use crate::remote::{Daemon, DaemonOptions, START_ONE};
use crate::worker_order::Told;

/// Stop the running daemon, and wait until it is gone; or one of its workers, so that its pool has one fewer
#[derive(clap::Args, Debug)]
pub(crate) struct StopArgs {
    /// The worker, like default-3 [default: the daemon with all that it has]
    #[arg(value_name = "WORKER")]
    worker: Option<String>,
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// What of the daemon's answer counts.
#[derive(Deserialize)]
struct Stopping {
    phase: String,
}

/// Orders it. Calls that run have the graces of their pool.
pub(crate) async fn stop(args: StopArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    let Some(worker) = &args.worker else { return stop_daemon(&daemon, invocation).await };
    let ordered = daemon.order_worker(worker, "stop");
    invocation.show(ordered, |told: Told, _| told.line(&format!("ends, and pool {} has one fewer", told.pool))).await
}

/// An interrupted command leaves a daemon that goes on stopping.
async fn stop_daemon(daemon: &Daemon, invocation: &Invocation) -> Result<Exit, Failure> {
    let answer = invocation.unless_interrupted(daemon.order(&["stop"], json!({}))).await?;
    let Stopping { phase } = understood(&answer)?;
    if !invocation.global.quiet && phase == "serving" {
        invocation
            .printer
            .message("calls that run have the time that their pool gives them; waiting until all is gone")
            .await;
    }
    let gone = async {
        daemon.gone().await;
        Ok::<_, Failure>(())
    };
    invocation.unless_interrupted(gone).await?;
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&json!({ "stopped": true, "address": daemon.address().to_string() })).await?;
    } else {
        printer.text(&format!("the daemon at {} has stopped", daemon.address())).await?;
    }
    Ok(Exit::Success)
}
