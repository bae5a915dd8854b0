//! What is logged, on stderr: lines of workers as `default-1 | text`, everything else as a sentence; or each line as JSON.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use hatchery::logs::{LogFilter, LogLine};
use hatchery::{Event, Events};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::Level;

use crate::cli::GlobalOptions;
use crate::colour::Paint;
use crate::printer::Printer;

/// The value of `--log`: which lines are shown, by what they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter(LogFilter);

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let usual = LogFilter::from_level(Level::INFO);
        usual.with(text).map(Filter).map_err(|error| error.message().to_owned())
    }
}

/// The value of `--log-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, with the time, the level and all fields.
    Json,
}

/// What a command does with its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// One call, which may show its progress, and whose error tells what became of its worker.
    One,
    /// None but to load the app, or many: those that fail are among the results, and the pool lives on.
    Many,
}

/// Lines that wait for whoever reads stderr. Who logs does not: what is more is counted.
const WAITING: usize = 4096;

/// What the error of the one call, or of the start, says too.
const SAID_BY_THE_ERROR: [&str; 2] = ["worker.restarting", "pool.unavailable"];

/// Shows lines, from now to the end of the command.
pub(crate) struct Logs {
    lines: mpsc::Sender<Item>,
    showing: JoinHandle<()>,
}

enum Item {
    Line(LogLine),
    End(oneshot::Sender<()>),
}

/// How lines look.
#[derive(Clone, Copy)]
struct Look {
    filter: LogFilter,
    format: LogFormat,
    calls: Calls,
    paint: Paint,
}

impl Logs {
    /// Becomes the subscriber of this process.
    pub(crate) fn start(options: &GlobalOptions, calls: Calls, printer: &Printer) -> hatchery::Result<Logs> {
        let filter = if options.quiet { LogFilter::NONE } else { options.log.0 };
        let look = Look { filter, format: options.log_format, calls, paint: printer.message_paint() };
        if filter.shows("output", Level::INFO) {
            printer.workers_are_shown();
        }
        let (lines, waiting) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let (queue, losing) = (lines.clone(), Arc::clone(&lost));
        let logs = hatchery::logs::Logs::new(filter).to(move |line| {
            if look.shows(line) && queue.try_send(Item::Line(line.clone())).is_err() {
                losing.fetch_add(1, Ordering::Relaxed);
            }
        });
        logs.install()?;
        let showing = tokio::spawn(show(waiting, look, lost, printer.clone()));
        Ok(Logs { lines, showing })
    }

    /// Waits until all that was logged so far is on its way.
    pub(crate) async fn finish(self) {
        let (done, shown) = oneshot::channel();
        let _ended = self.lines.send(Item::End(done)).await;
        let _ended = shown.await;
        self.showing.abort();
    }
}

/// Shows what the one call of a command says of its progress, until there is no more.
pub(crate) fn follow_progress(mut events: Events, printer: &Printer) -> JoinHandle<()> {
    let printer = printer.clone();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let Event::Progress(progress) = event {
                let message = progress.message.as_deref().unwrap_or_default();
                printer.progress().tool(progress.worker.as_str(), progress.fraction, message);
            }
        }
    })
}

async fn show(mut waiting: mpsc::Receiver<Item>, look: Look, lost: Arc<AtomicU64>, printer: Printer) {
    while let Some(item) = waiting.recv().await {
        match item {
            Item::Line(line) => printer.message(&look.text(&line)).await,
            Item::End(done) => drop(done.send(())),
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            printer.message(&look.text(&LogLine::new(Level::WARN, "daemon", lost_words(lost)))).await;
        }
    }
}

fn lost_words(lost: u64) -> String {
    format!("{lost} lines of the log were lost: stderr is read too slowly")
}

impl Look {
    fn shows(&self, line: &LogLine) -> bool {
        let is_said = self.calls == Calls::One && line.event.is_some_and(|event| SAID_BY_THE_ERROR.contains(&event));
        !is_said || self.filter.shows(&line.category, Level::DEBUG)
    }

    fn text(&self, line: &LogLine) -> String {
        match self.format {
            LogFormat::Json => line.to_json().to_string(),
            LogFormat::Text => self.paint.dim(&in_words(line)),
        }
    }
}

fn in_words(line: &LogLine) -> String {
    match line.fields.get("worker").and_then(|worker| worker.as_str()) {
        Some(worker) if line.category == "output" => format!("{worker} | {}", line.message),
        _ if line.message.is_empty() => format!("{}: {}", line.category, line.words()),
        _ => line.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &'static str, category: &str, message: &str) -> LogLine {
        LogLine { event: Some(event), ..LogLine::new(Level::WARN, category, message) }
    }

    #[test]
    fn a_filter_says_what_differs_from_the_usual() {
        let filter = |text: &str| text.parse::<Filter>().unwrap().0;
        assert_eq!(filter("worker=none"), LogFilter::from_level(Level::INFO).with("worker=off").unwrap());
        assert_eq!(filter("debug"), LogFilter::from_level(Level::DEBUG));
        assert_eq!(filter("none"), LogFilter::NONE);
        assert!("info,kitchen=debug".parse::<Filter>().unwrap_err().contains("no log category `kitchen`"));
    }

    #[test]
    fn a_death_is_told_where_the_pool_lives_on() {
        let shows = |text: &str, calls| {
            let filter = text.parse::<Filter>().unwrap().0;
            let look = Look { filter, format: LogFormat::Text, calls, paint: Paint::PLAIN };
            look.shows(&line("worker.restarting", "worker", "it died; another worker starts now"))
        };
        assert!(shows("info", Calls::Many));
        assert!(!shows("info", Calls::One), "the error of the call says it");
        assert!(shows("info,worker=debug", Calls::One));
    }

    #[test]
    fn text_is_the_sentence_and_for_a_worker_its_name_before_its_words() {
        assert_eq!(in_words(&line("pool.draining", "pool", "pool a drains")), "pool a drains");
        let mut said = line("worker.log", "output", "hello");
        said.fields.insert("worker".into(), "a-1".into());
        assert_eq!(in_words(&said), "a-1 | hello");
        let mut audit = line("", "audit", "");
        audit.fields.insert("order".into(), "stop".into());
        assert_eq!(in_words(&audit), "audit: order=stop");
    }
}
