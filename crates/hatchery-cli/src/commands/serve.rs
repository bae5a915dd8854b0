mod systemd;

use std::num::NonZeroUsize;
use std::time::Duration;

use hatchery::{Builder, Config, Error, ErrorKind, Hatchery, Reconfigured, StopGraces};
use hatchery_daemon::{Daemon, HandedOver, Phase, Reloader};
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
const GRACES: StopGraces = StopGraces { ask: Duration::from_secs(30), term: Duration::from_secs(2) };

/// The pool that an app without a configuration gets.
const POOL: &str = "default";

/// Serve an app over HTTP and gRPC until SIGTERM or SIGINT, then let running calls finish (30s, or `stop` of the pool in hatchery.toml).
/// SIGHUP reads the configuration again
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    app: AppOptions,
    /// How many worker processes
    #[arg(long, value_name = "N", default_value = "1", value_parser = private_pool::workers)]
    workers: NonZeroUsize,
    /// Where to listen; port 0 is any free one. Beyond loopback it takes tokens or certificates, and TLS [default: `[server] listen` in hatchery.toml, else 127.0.0.1:7411]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

/// The daemon, from its binding to its end.
pub(crate) async fn serve(args: ServeArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let global = &invocation.global;
    let config = args.config(global)?;
    let data_dir = configuration::records(global)?.0;
    let manager = systemd::of_process()?;
    let opened = Daemon::open(&data_dir, &config.server, HandedOver::from_environment()?).await;
    let daemon = opened.map_err(|error| Failure::from(error).hinted(of_claim))?;
    let logs = Logs::start(global, Calls::Many, &invocation.printer)?;
    let builder = Hatchery::builder().usual_stop(GRACES).configure(&config).data_dir(data_dir);
    let builder = builder.bridging(hatchery_snakepit::configured).require_registry(args.app.require_registry);
    let daemon = systemd::told(daemon, manager).reloaded_by(args.reading(global)).exporting(&config.otlp)?;
    let outcome = watched(daemon, builder, longest_stop(&config), invocation).await;
    // A stderr that nobody reads does not hold up the end.
    let _held_by_its_reader = tokio::time::timeout(PARTING, logs.finish()).await;
    outcome.map_err(|error| Failure::from(error).hinted(private_pool::of_start))?;
    Ok(Exit::Drained)
}

impl ServeArgs {
    /// What is served: the pools of the configuration, or the one pool of an app. All that is wrong is found here, at the start as
    /// well as when it is read again.
    fn config(&self, global: &GlobalOptions) -> hatchery::Result<Config> {
        let mut config = configuration::checked(global.config.as_deref())?;
        if self.listen.is_some() {
            config.server.listen.clone_from(&self.listen);
        }
        if self.app.app.is_some() {
            let mut pool = self.app.resolve(global)?.into_pool(POOL);
            pool.workers = Some(self.workers.get());
            config.pools = vec![pool];
        }
        if config.pools.is_empty() {
            let nothing = "serve: nothing to serve: give an app with --app app.py, or [[pools]] in hatchery.toml";
            return Err(Error::new(ErrorKind::Validation, nothing));
        }
        Ok(config)
    }

    /// Reads it again.
    fn reading(&self, global: &GlobalOptions) -> impl Fn() -> hatchery::Result<Config> + Send + Sync + 'static {
        let (args, global) = (self.clone(), global.clone());
        move || args.config(&global)
    }
}

/// What calls that run have to finish at the end, in the pool that gives most.
fn longest_stop(config: &Config) -> Duration {
    config.pools.iter().map(|pool| pool.stop.over(GRACES).ask).max().unwrap_or_default()
}

/// A directory that has a daemon says so itself; one that cannot be written is somebody else's, or the wrong one.
fn of_claim(error: &Error) -> Option<String> {
    let is_of_claim = error.kind() == ErrorKind::Validation && error.message().starts_with("write ");
    is_of_claim.then(|| configuration::OTHER_DATA_DIR.to_owned())
}

/// Serves; tells of the phases meanwhile, and reloads when it is told to.
async fn watched(daemon: Daemon, pools: Builder, grace: Duration, invocation: &Invocation) -> hatchery::Result<()> {
    let (url, bridge) = (daemon.url(), daemon.bridge().map(str::to_owned));
    let (phases, reloader) = (daemon.phases(), daemon.reloader());
    let beside = async {
        tokio::join!(tell(phases, (&url, bridge.as_deref()), grace, invocation), reload(reloader, invocation));
        std::future::pending().await
    };
    tokio::select! {
        outcome = daemon.start(pools, invocation.told_to_end()) => outcome,
        outcome = beside => outcome,
    }
}

async fn tell(
    mut phases: watch::Receiver<Phase>,
    (url, bridge): (&str, Option<&str>),
    grace: Duration,
    invocation: &Invocation,
) {
    while phases.changed().await.is_ok() {
        let phase = *phases.borrow_and_update();
        match phase {
            Phase::Serving => say_listening(url, bridge, invocation).await,
            Phase::Sweeping => say("sweeping: ending what earlier runs have left"),
            Phase::Filling => say("filling: workers are starting"),
            Phase::Draining => {
                let grace = hatchery::format_duration(grace);
                say(&format!("draining: calls that run have {grace} to finish; a second signal ends them"));
            }
            Phase::Starting | Phase::Closed => {}
        }
    }
}

fn say(text: &str) {
    tracing::info!(target: "hatchery::daemon", "{text}");
}

/// A daemon serves on though nobody reads what it says.
async fn say_listening(url: &str, bridge: Option<&str>, invocation: &Invocation) {
    let printer = &invocation.printer;
    if printer.json() {
        let mut document = json!({ "listening": url, "pid": std::process::id() });
        if let Some(bridge) = bridge {
            document["bridge"] = bridge.into();
        }
        let _nobody_reads = printer.document(&document).await;
    } else {
        let bridge = bridge.map(|bridge| format!(", bridge on {bridge}")).unwrap_or_default();
        say(&format!("listening on {url}{bridge}"));
    }
}

/// For ever. What is wrong with a configuration is an error that ends nothing.
async fn reload(reloader: Reloader, invocation: &Invocation) {
    let mut hangups = invocation.hangups();
    while hangups.changed().await.is_ok() {
        match reloader.reload().await {
            Ok(report) => say(&in_words(&report)),
            Err(error) => tracing::error!(target: "hatchery::daemon", "reload: nothing was taken: {error}"),
        }
    }
}

fn in_words(report: &Reconfigured) -> String {
    let keys = if report.applied.is_empty() { "nothing".to_owned() } else { report.applied.join(", ") };
    let mut text = format!("reload: applied {keys}; {} unchanged", report.unchanged);
    for left in &report.needs_restart {
        text += &format!("\nreload: {} needs a restart: {}", left.key, left.reason);
    }
    text
}
