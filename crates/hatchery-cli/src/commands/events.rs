mod catalogue;
mod words;

use std::num::NonZeroU64;
use std::time::Duration;

use hatchery::{Error, ErrorKind};

use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::private_pool::Limit;
use crate::remote::{DaemonOptions, Feed, START_ONE};

/// How long is looked if nothing else is said. The daemon keeps no events: there are only those that happen meanwhile.
const MOMENT: Duration = Duration::from_secs(1);

/// Show what happens in the running daemon, for a second, or until Ctrl-C; or list the events that there are
#[derive(clap::Args, Debug)]
pub(crate) struct EventsArgs {
    /// Go on until Ctrl-C, or the daemon's end
    #[arg(long, short, conflicts_with = "lasting")]
    follow: bool,
    /// How long to look, like 30s or 5m [default: 1s]
    #[arg(long = "for", id = "lasting", value_name = "DURATION")]
    lasting: Option<Limit>,
    /// End after so many
    #[arg(long, value_name = "N")]
    count: Option<NonZeroU64>,
    /// Only events of this name, like worker.ready, worker.* or !worker.log; more than once: of any of them. Events of every call come
    /// only if they are asked for: call.*
    #[arg(long, value_name = "NAME")]
    kind: Vec<String>,
    /// Only what is about this pool
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Only what is about this worker
    #[arg(long, value_name = "ID")]
    worker: Option<String>,
    /// Only what is about the call of this correlation id
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// List the events that there are, with what stands in them. Needs no daemon
    #[arg(long, conflicts_with_all = ["follow", "lasting", "count", "pool", "worker", "correlation_id"])]
    catalogue: bool,
    /// With --catalogue: the page that names every event, as Markdown
    #[arg(long, requires = "catalogue", conflicts_with = "kind")]
    markdown: bool,
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// Listens, or reads the catalogue.
pub(crate) async fn events(args: EventsArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    if args.catalogue {
        return catalogue::catalogue(&args.kind, args.markdown, invocation).await;
    }
    let daemon = args.daemon.find(invocation, START_ONE)?;
    let kinds = args.kind.join(",");
    let said = [
        ("kind", (!kinds.is_empty()).then_some(kinds.as_str())),
        ("pool", args.pool.as_deref()),
        ("worker", args.worker.as_deref()),
        ("correlation_id", args.correlation_id.as_deref()),
    ];
    let said: Vec<(&str, &str)> = said.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let mut feed = invocation.unless_interrupted(daemon.events(&said)).await?;
    if args.follow && !invocation.global.quiet {
        let text = format!("events of the daemon at {} from now on; Ctrl-C ends this", daemon.address());
        invocation.printer.message(&invocation.printer.message_paint().dim(&text)).await;
    }
    let shown = invocation.while_read(show(&mut feed, args.count, invocation));
    invocation.unless_interrupted(within(args.time(), shown)).await?;
    Ok(Exit::Success)
}

impl EventsArgs {
    /// `None` is without end.
    fn time(&self) -> Option<Duration> {
        if self.follow || (self.count.is_some() && self.lasting.is_none()) {
            return None;
        }
        self.lasting.map_or(Some(MOMENT), |Limit(time)| time)
    }
}

/// A time that is over is no failure.
async fn within(time: Option<Duration>, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    match time {
        None => work.await,
        Some(time) => tokio::time::timeout(time, work).await.unwrap_or(Ok(())),
    }
}

async fn show(feed: &mut Feed, count: Option<NonZeroU64>, invocation: &Invocation) -> Result<(), Failure> {
    let printer = &invocation.printer;
    let mut shown = 0;
    while count.is_none_or(|count| shown < count.get()) {
        let ended = || Error::new(ErrorKind::Unavailable, "the daemon has ended, and its events with it");
        let event = feed.next().await?.ok_or_else(ended)?;
        if printer.json() {
            printer.line(&event.data).await?;
        } else {
            printer.text(&words::line(&event.name, &event.data, printer.result_paint())).await?;
        }
        shown += 1;
    }
    Ok(())
}
