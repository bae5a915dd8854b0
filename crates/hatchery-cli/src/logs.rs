//! What workers write, on stderr: `default-1 | text`. And what becomes of workers, and how far tools are.

use std::str::FromStr;

use hatchery::{Event, Events, Level, Log, WorkerEvent};
use tokio::task::JoinHandle;

use crate::printer::Printer;

/// The value of `--log`: which lines are shown, by where they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Lines of workers, from this level on; none if absent.
    worker: Option<Level>,
    /// hatchery's own words about workers.
    hatchery: Option<Level>,
}

impl Filter {
    const SILENT: Filter = Filter { worker: None, hatchery: None };
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let mut filter = Filter { worker: Some(Level::Info), hatchery: Some(Level::Info) };
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None => filter = Filter { worker: level(part)?, hatchery: level(part)? },
                Some(("worker", part)) => filter.worker = level(part)?,
                Some(("hatchery", part)) => filter.hatchery = level(part)?,
                Some((other, _)) => return Err(format!("no log category `{other}`: there are worker and hatchery")),
            }
        }
        Ok(filter)
    }
}

fn level(name: &str) -> Result<Option<Level>, String> {
    match name {
        "off" => Ok(None),
        "error" => Ok(Some(Level::Error)),
        "warning" | "warn" => Ok(Some(Level::Warning)),
        "info" => Ok(Some(Level::Info)),
        "debug" => Ok(Some(Level::Debug)),
        other => Err(format!("no log level `{other}`: there are error, warning, info, debug and off")),
    }
}

/// Shows events until there are no more.
pub(crate) struct Logs {
    task: JoinHandle<()>,
}

impl Logs {
    /// Follows from now on. `quiet` hides all lines; `tool_progress` says whether tools may draw the progress line.
    pub(crate) fn follow(
        mut events: Events,
        filter: Filter,
        quiet: bool,
        tool_progress: bool,
        printer: &Printer,
    ) -> Logs {
        let printer = printer.clone();
        let filter = if quiet { Filter::SILENT } else { filter };
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                show(&event, filter, tool_progress, &printer).await;
            }
        });
        Logs { task }
    }

    /// Waits for what is still to come. All that emit must be gone, or this waits for them.
    pub(crate) async fn finish(self) {
        let _a_panic_was_reported = self.task.await;
    }
}

async fn show(event: &Event, filter: Filter, tool_progress: bool, printer: &Printer) {
    match event {
        Event::Worker(WorkerEvent::Log(log)) if is_shown(filter.worker, log.level) => {
            printer.message(&line(log, printer)).await;
        }
        Event::Worker(event) => {
            if let Some(text) = words(event, filter.hatchery) {
                printer.message(&printer.message_paint().dim(&text)).await;
            }
        }
        Event::Progress(progress) if tool_progress => {
            let message = progress.message.as_deref().unwrap_or_default();
            printer.progress().tool(progress.worker.as_str(), progress.fraction, message);
        }
        _ => {}
    }
}

fn is_shown(least: Option<Level>, level: Level) -> bool {
    least.is_some_and(|least| level >= least)
}

fn line(log: &Log, printer: &Printer) -> String {
    printer.message_paint().dim(&format!("{} | {}", log.worker, log.message))
}

/// The life of a worker in words, if it is worth a line at this level.
fn words(event: &WorkerEvent, least: Option<Level>) -> Option<String> {
    let (level, text) = match event {
        WorkerEvent::Started { worker, pid } => (Level::Debug, format!("{worker} started, pid {pid}")),
        WorkerEvent::Ready { worker, took } => (Level::Debug, format!("{worker} ready in {} ms", took.as_millis())),
        WorkerEvent::Gone { worker, how, expected: true } => (Level::Debug, format!("{worker} ended: {how}")),
        WorkerEvent::Gone { worker, how, expected: false } => (Level::Warning, format!("{worker} died: {how}")),
        WorkerEvent::Restarting { pool, after, reason } => {
            (Level::Info, format!("{pool}: another worker starts in {} ms: {reason}", after.as_millis()))
        }
        _ => return None,
    };
    is_shown(least, level).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_holds_for_all_and_a_category_for_itself() {
        let expected = Filter { worker: None, hatchery: Some(Level::Warning) };
        assert_eq!("warning,worker=off".parse(), Ok(expected));
        assert_eq!("worker=off".parse(), Ok(Filter { worker: None, hatchery: Some(Level::Info) }));
        assert_eq!("debug".parse(), Ok(Filter { worker: Some(Level::Debug), hatchery: Some(Level::Debug) }));
    }

    #[test]
    fn what_does_not_exist_is_named_beside_what_does() {
        assert_eq!(
            "loud".parse::<Filter>().unwrap_err(),
            "no log level `loud`: there are error, warning, info, debug and off"
        );
        assert!("info,pool=debug".parse::<Filter>().unwrap_err().contains("no log category `pool`"));
    }

    #[test]
    fn a_death_is_told_and_an_ordered_end_is_not() {
        let restarting = WorkerEvent::Restarting {
            pool: "default".into(),
            after: std::time::Duration::from_millis(100),
            reason: "killed by signal 9 (SIGKILL)".into(),
        };
        let told = words(&restarting, Some(Level::Info)).unwrap();
        assert_eq!(told, "default: another worker starts in 100 ms: killed by signal 9 (SIGKILL)");
        assert_eq!(words(&restarting, Some(Level::Error)), None);
        assert_eq!(words(&restarting, None), None);
    }
}
