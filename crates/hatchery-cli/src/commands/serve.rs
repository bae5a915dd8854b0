use std::num::NonZeroUsize;
use std::time::Duration;

use hatchery::{Builder, Error, ErrorKind, Hatchery, ServerConfig, SessionSettings, StopGraces};
use hatchery_daemon::{Daemon, Phase, Record};
use serde_json::json;
use tokio::sync::watch;

use crate::cli::GlobalOptions;
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
    let global = &invocation.global;
    let Plan { build, listen, stop } = plan(&args, global)?;
    let data_dir = configuration::records(global)?.0;
    let daemon = Daemon::bind(listen.as_deref().unwrap_or(ServerConfig::LISTEN)).await?;
    let claimed = Record::claim(&data_dir, daemon.address());
    let _until_the_end = claimed.map_err(|error| Failure::from(error).hinted(of_claim))?;
    let mut builder = Hatchery::builder();
    let logs = Logs::follow(builder.events(), global.log, global.quiet, Calls::Many, &invocation.printer);
    let filling = build(builder).start();
    let outcome = watched(daemon, filling, stop, invocation).await;
    // A stderr that nobody reads does not hold up the end.
    let _held_by_its_reader = tokio::time::timeout(PARTING, logs.finish()).await;
    outcome.map_err(|error| Failure::from(error).hinted(private_pool::of_start))?;
    Ok(Exit::Drained)
}

/// What is served, and where.
struct Plan {
    build: Box<dyn FnOnce(Builder) -> Builder>,
    listen: Option<String>,
    /// What calls that run have to finish at the end, in the pool that gives most.
    stop: Duration,
}

/// The one pool of an app, or those of the configuration.
fn plan(args: &ServeArgs, global: &GlobalOptions) -> hatchery::Result<Plan> {
    let graces = StopGraces { ask: GRACE, ..StopGraces::default() };
    if args.app.app.is_some() {
        let (setting, workers) = (args.app.resolve(global)?, args.workers.get());
        let stop = setting.stop(graces);
        let listen = args.listen.clone().or(setting.listen.clone());
        let build = Box::new(move |builder| setting.pool(builder, POOL).workers(workers).stop(stop).done());
        return Ok(Plan { build, listen, stop: stop.ask });
    }
    let config = configuration::load(global.config.as_deref())?;
    let stop = config.pools.iter().map(|pool| pool.stop.over(graces).ask).max();
    let nothing = "serve: nothing to serve: give an app with --app app.py, or [[pools]] in hatchery.toml";
    let stop = stop.ok_or_else(|| Error::new(ErrorKind::Validation, nothing))?;
    let listen = args.listen.clone().or(config.server.listen.clone());
    let (data_dir, instance) = configuration::records(global)?;
    let require = args.app.require_registry;
    let build = Box::new(move |builder: Builder| {
        let sessions = config.sessions.over(SessionSettings::default());
        let builder = builder.data_dir(data_dir).instance(instance).require_registry(require).sessions(sessions);
        config.pools.iter().fold(builder, |builder, pool| {
            let begun = builder.pool(&pool.name, pool.app.clone()).timeouts(config.timeouts());
            begun.stop(graces).configure(pool).done()
        })
    });
    Ok(Plan { build, listen, stop })
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
