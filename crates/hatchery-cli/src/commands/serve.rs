use std::num::NonZeroUsize;
use std::time::Duration;

use hatchery::{Error, ErrorKind, Hatchery, ServerConfig, StopGraces};
use hatchery_daemon::{Daemon, Phase, Record};
use serde_json::json;
use tokio::sync::watch;

use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::invocation::{Invocation, PARTING};
use crate::logs::{Calls, Logs};
use crate::private_pool::{self, AppOptions};

/// What calls that run have to finish when the daemon is told to end, unless the configuration says otherwise. Supervisors of
/// services wait longer before they kill.
const GRACE: Duration = Duration::from_secs(30);

/// The pool that an app without a configuration gets.
const POOL: &str = "default";

/// Serve an app over HTTP until SIGTERM or SIGINT, then let running calls finish (30s, or `stop` of the pool in hatchery.toml)
#[derive(clap::Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    app: AppOptions,
    /// How many worker processes
    #[arg(long, value_name = "N", default_value = "1", value_parser = private_pool::workers)]
    workers: NonZeroUsize,
    /// Where to listen, on loopback; port 0 is any free one [default: `[server] listen` in hatchery.toml, else 127.0.0.1:7411]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

/// The daemon, from its binding to its end.
pub(crate) async fn serve(args: ServeArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    if args.app.app.is_none() {
        return Err(Error::new(ErrorKind::Validation, "serve: give the app with --app app.py").into());
    }
    let global = &invocation.global;
    let setting = args.app.resolve(global)?;
    let stop = setting.stop(StopGraces { ask: GRACE, ..StopGraces::default() });
    let data_dir = configuration::records(global)?.0;
    let listen = args.listen.as_ref().or(setting.listen.as_ref());
    let daemon = Daemon::bind(listen.map_or(ServerConfig::LISTEN, String::as_str)).await?;
    let claimed = Record::claim(&data_dir, daemon.address());
    let _until_the_end = claimed.map_err(|error| Failure::from(error).hinted(of_claim))?;
    let mut builder = Hatchery::builder();
    let logs = Logs::follow(builder.events(), global.log, global.quiet, Calls::Many, &invocation.printer);
    let filling = setting.pool(builder, POOL).workers(args.workers.get()).stop(stop).start();
    let outcome = watched(daemon, filling, stop.ask, invocation).await;
    // A stderr that nobody reads does not hold up the end.
    let _held_by_its_reader = tokio::time::timeout(PARTING, logs.finish()).await;
    outcome.map_err(|error| Failure::from(error).hinted(private_pool::of_start))?;
    Ok(Exit::Drained)
}

/// A directory that has a daemon says so itself; one that cannot be written is somebody else's, or the wrong one.
fn of_claim(error: &Error) -> Option<String> {
    (error.kind() == ErrorKind::Validation).then(|| configuration::OTHER_DATA_DIR.to_owned())
}

/// Serves, and tells of the phases meanwhile.
async fn watched(
    daemon: Daemon,
    filling: impl Future<Output = hatchery::Result<Hatchery>>,
    grace: Duration,
    invocation: &Invocation,
) -> hatchery::Result<()> {
    let url = format!("http://{}", daemon.address());
    let telling = tell(daemon.phases(), &url, grace, invocation);
    let mut serving = std::pin::pin!(daemon.serve(filling, invocation.told_to_end()));
    tokio::select! {
        outcome = &mut serving => outcome,
        () = telling => serving.await,
    }
}

async fn tell(mut phases: watch::Receiver<Phase>, url: &str, grace: Duration, invocation: &Invocation) {
    while phases.changed().await.is_ok() {
        let phase = *phases.borrow_and_update();
        match phase {
            Phase::Serving => say_listening(url, invocation).await,
            Phase::Draining if !invocation.global.quiet => {
                let grace = hatchery::format_duration(grace);
                let text = format!("draining: calls that run have {grace} to finish; a second signal ends them");
                invocation.printer.message(&text).await;
            }
            _ => {}
        }
    }
}

/// A daemon serves on though nobody reads what it says.
async fn say_listening(url: &str, invocation: &Invocation) {
    let printer = &invocation.printer;
    if printer.json() {
        let _nobody_reads = printer.document(&json!({ "listening": url, "pid": std::process::id() })).await;
    } else if !invocation.global.quiet {
        printer.message(&format!("listening on {url}")).await;
    }
}
