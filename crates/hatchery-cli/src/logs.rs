//! What workers write, on stderr: `default-1 | text`. And what becomes of workers, and how far tools are.

use std::str::FromStr;
use std::time::Duration;

use hatchery::{Event, Events, FaultEvent, Level, Log, PoolEvent, RunEvent, ServiceEvent, SessionEvent, WorkerEvent};
use tokio::task::JoinHandle;

use crate::printer::Printer;

/// The value of `--log`: which lines are shown, by where they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Lines of workers, from this level on; none if absent.
    worker: Option<Level>,
    /// hatchery's own words about workers, services and sessions.
    hatchery: Option<Level>,
}

impl Filter {
    const SILENT: Filter = Filter { worker: None, hatchery: None };

    /// Whether all that workers print is shown.
    fn shows_workers(self) -> bool {
        self.worker.is_some_and(|least| least <= Level::Info)
    }
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

/// What a command does with its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// One call, which may show its progress, and whose error tells what became of its worker.
    One,
    /// None but to load the app, or many: those that fail are among the results, and the pool lives on.
    Many,
}

/// Shows events until there are no more.
pub(crate) struct Logs {
    task: JoinHandle<()>,
}

impl Logs {
    /// Follows from now on. `quiet` hides all lines.
    pub(crate) fn follow(mut events: Events, filter: Filter, quiet: bool, calls: Calls, printer: &Printer) -> Logs {
        let printer = printer.clone();
        let filter = if quiet { Filter::SILENT } else { filter };
        if filter.shows_workers() {
            printer.workers_are_shown();
        }
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                show(&event, filter, calls, &printer).await;
            }
        });
        Logs { task }
    }

    /// Waits for what is still to come. All that emit must be gone, or this waits for them.
    pub(crate) async fn finish(self) {
        let _a_panic_was_reported = self.task.await;
    }
}

async fn show(event: &Event, filter: Filter, calls: Calls, printer: &Printer) {
    match event {
        Event::Worker(WorkerEvent::Log(log)) if is_shown(filter.worker, log.level) => {
            printer.message(&line(log, printer)).await;
        }
        Event::Worker(_) | Event::Run(_) | Event::Service(_) | Event::Session(_) | Event::Pool(_) | Event::Fault(_) => {
            if let Some(text) = words(event, filter.hatchery, calls) {
                printer.message(&printer.message_paint().dim(&text)).await;
            }
        }
        Event::Progress(progress) if calls == Calls::One => {
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

/// What happens to workers and to their guardian in words, if it is worth a line at this level.
fn words(event: &Event, least: Option<Level>, calls: Calls) -> Option<String> {
    let (level, text) = match event {
        Event::Worker(event) => of_worker(event, calls)?,
        Event::Run(event) => of_run(event)?,
        Event::Service(event) => of_service(event)?,
        Event::Session(event) => of_session(event)?,
        Event::Pool(event) => of_pool(event, calls)?,
        Event::Fault(event) => of_fault(event)?,
        _ => return None,
    };
    is_shown(least, level).then_some(text)
}

fn of_run(event: &RunEvent) -> Option<(Level, String)> {
    Some(match event {
        RunEvent::Guarded { keeper, guardian } => {
            (Level::Debug, format!("keeper has pid {keeper}, guardian has pid {guardian}"))
        }
        RunEvent::GuardianLost => {
            (Level::Warning, "the guardian was killed, and its workers with it; others take their places".into())
        }
        // A user's own group in cgroup v2 is a luxury; a disk to write to is not.
        RunEvent::LayerLost { layer: "record and sweep", message } => (Level::Warning, format!("warning: {message}")),
        RunEvent::LayerLost { message, .. } => (Level::Debug, format!("containment: {message}")),
        RunEvent::Escaped { worker, ended, left } if left.is_empty() => {
            let left =
                if *ended == 1 { "a process behind; it was" } else { &format!("{ended} processes behind; they were") };
            (Level::Info, format!("{worker} had left {left} ended with it"))
        }
        RunEvent::Escaped { worker, left, .. } => {
            (Level::Warning, format!("{worker} left processes behind, which go on: {left:?}"))
        }
        _ => return None,
    })
}

fn of_service(event: &ServiceEvent) -> Option<(Level, String)> {
    Some(match event {
        ServiceEvent::Failed { service, reason, after, .. } => {
            (Level::Error, format!("service {service} {reason}; it is started again {}", wait(*after)))
        }
        ServiceEvent::Restarted { service, restarts } => {
            (Level::Debug, format!("service {service} is up again, restart {restarts}"))
        }
        _ => return None,
    })
}

fn of_session(event: &SessionEvent) -> Option<(Level, String)> {
    Some(match event {
        SessionEvent::Pruned { count, remaining } => {
            (Level::Debug, format!("{count} sessions have expired, and {remaining} are left"))
        }
        SessionEvent::Accumulating { current, max, is_full, strict } => {
            let level = if *strict { Level::Warning } else { Level::Info };
            let end = if *is_full { "; no other can be made" } else { "" };
            (level, format!("there are {current} sessions of at most {max}{end}"))
        }
        SessionEvent::Lost { message } => (Level::Warning, format!("warning: {message}")),
        _ => return None,
    })
}

fn of_pool(event: &PoolEvent, calls: Calls) -> Option<(Level, String)> {
    Some(match event {
        PoolEvent::Unavailable { pool, reason } => {
            // The error of the one call, or of the start, says the same.
            let level = if calls == Calls::One { Level::Debug } else { Level::Error };
            (level, format!("pool {pool} cannot serve: {reason}; it goes on trying"))
        }
        PoolEvent::Available { pool } => (Level::Warning, format!("pool {pool} serves again")),
        PoolEvent::Draining { pool } => (Level::Info, format!("pool {pool} drains")),
        PoolEvent::Resumed { pool } => (Level::Info, format!("pool {pool} takes calls again")),
        PoolEvent::Scaled { pool, from, to } => (Level::Info, format!("pool {pool} goes from {from} to {to} workers")),
        PoolEvent::CapacityReached { worker } => (Level::Debug, format!("{worker} has as many calls as it can")),
        PoolEvent::Recycled { worker, reason, .. } => {
            (Level::Debug, format!("{worker} is replaced ({})", serde_json::json!(reason).as_str().unwrap_or_default()))
        }
        PoolEvent::TemplateReady { pool, took, .. } => (
            Level::Debug,
            format!("pool {pool} forks its workers from a template, ready after {} ms", took.as_millis()),
        ),
        PoolEvent::TemplateLost { pool, reason } => (Level::Warning, format!("pool {pool}: {reason}; it gets another")),
        PoolEvent::ColdStarts { pool, reason, again } => {
            let until = again.map_or(String::new(), |after| format!("; a template is tried again {}", wait(after)));
            (Level::Warning, format!("pool {pool} starts its workers cold: {reason}{until}"))
        }
        PoolEvent::NotReplaced { worker, after, reason } => {
            (Level::Warning, format!("{worker} is not replaced yet: {reason}; the next try comes {}", wait(*after)))
        }
        _ => return None,
    })
}

fn of_fault(event: &FaultEvent) -> Option<(Level, String)> {
    Some(match event {
        FaultEvent::Crashed { worker, class, .. } => (Level::Debug, format!("{worker} crashed ({})", class.as_str())),
        FaultEvent::Tainted { worker, until, .. } => {
            (Level::Warning, format!("{worker} gets no calls for {} s after a crash", until.as_secs()))
        }
        FaultEvent::DeviceTainted { device, until, .. } => {
            (Level::Warning, format!("{device} is tainted for {} s", until.as_secs()))
        }
        FaultEvent::Retry { tool, attempt, after, reason, .. } => {
            (Level::Info, format!("{tool}: try {attempt} failed: {reason}; the next one comes {}", wait(*after)))
        }
        FaultEvent::BreakerOpened { pool, tool, failures } => {
            (Level::Warning, format!("the breaker of {} opens after {failures} failures", whose(pool, tool.as_deref())))
        }
        FaultEvent::BreakerClosed { pool, tool } => {
            (Level::Info, format!("the breaker of {} closes", whose(pool, tool.as_deref())))
        }
        _ => return None,
    })
}

fn of_worker(event: &WorkerEvent, calls: Calls) -> Option<(Level, String)> {
    Some(match event {
        WorkerEvent::Started { worker, pid } => (Level::Debug, format!("{worker} started, pid {pid}")),
        WorkerEvent::Ready { worker, took } => (Level::Debug, format!("{worker} ready in {} ms", took.as_millis())),
        WorkerEvent::Unkillable { worker, pid, held_by } => (
            Level::Error,
            format!("{worker} (pid {pid}) cannot be ended: {held_by}; its place stays empty until it is gone"),
        ),
        WorkerEvent::HeartbeatMissed { worker, missed } => {
            (Level::Warning, format!("{worker} has not answered {missed} heartbeats in a row"))
        }
        WorkerEvent::Unhealthy { worker, reason, .. } => (Level::Warning, format!("{worker} is not well: {reason}")),
        WorkerEvent::Gone { worker, how, .. } => (Level::Debug, format!("{worker} ended: {how}")),
        WorkerEvent::Restarting { after, reason, .. } => {
            // The error of the one call says the same.
            let level = if calls == Calls::One { Level::Debug } else { Level::Warning };
            (level, format!("{reason}; another worker starts {}", wait(*after)))
        }
        _ => return None,
    })
}

fn whose(pool: &str, tool: Option<&str>) -> String {
    tool.map_or_else(|| format!("pool {pool}"), |tool| format!("{tool} of pool {pool}"))
}

fn wait(time: Duration) -> String {
    if time.is_zero() { "now".into() } else { format!("in {} ms", time.as_millis()) }
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
    fn a_lost_record_is_told_aloud_and_a_lost_luxury_if_asked() {
        let lost = |layer| Event::Run(RunEvent::LayerLost { layer, message: "the disk is full".into() });
        let told = |layer, least| words(&lost(layer), Some(least), Calls::One);
        assert_eq!(told("record and sweep", Level::Warning), Some("warning: the disk is full".to_owned()));
        assert_eq!(told("cgroup leaf", Level::Info), None);
        assert_eq!(told("cgroup leaf", Level::Debug), Some("containment: the disk is full".to_owned()));
    }

    #[test]
    fn sessions_that_accumulate_are_told_aloud_if_the_settings_are_strict() {
        let told = |strict, is_full| {
            let event = SessionEvent::Accumulating { current: 8, max: 10, is_full, strict };
            words(&Event::Session(event), Some(Level::Warning), Calls::Many)
        };
        assert_eq!(told(false, true), None);
        assert_eq!(told(true, false), Some("there are 8 sessions of at most 10".to_owned()));
        assert_eq!(told(true, true), Some("there are 8 sessions of at most 10; no other can be made".to_owned()));
    }

    #[test]
    fn a_service_that_fails_is_told_with_the_wait() {
        let told = |after| {
            let reason = "panicked: out of luck".into();
            let event = ServiceEvent::Failed { service: "upkeep".into(), reason, restarts: 5, after };
            words(&Event::Service(event), Some(Level::Error), Calls::One).unwrap()
        };
        assert_eq!(told(Duration::ZERO), "service upkeep panicked: out of luck; it is started again now");
        assert_eq!(
            told(Duration::from_secs(1)),
            "service upkeep panicked: out of luck; it is started again in 1000 ms"
        );
    }

    #[test]
    fn a_death_is_told_where_the_pool_lives_on() {
        let restarting = |after| {
            Event::Worker(WorkerEvent::Restarting {
                pool: "default".into(),
                after: Duration::from_millis(after),
                reason: "worker default-1 died: exit status 3".into(),
            })
        };
        let told = |event, least, calls| words(&event, Some(least), calls);
        let expected = "worker default-1 died: exit status 3; another worker starts ";
        assert_eq!(told(restarting(100), Level::Warning, Calls::Many), Some(format!("{expected}in 100 ms")));
        assert_eq!(told(restarting(0), Level::Warning, Calls::Many), Some(format!("{expected}now")));
        assert_eq!(told(restarting(0), Level::Error, Calls::Many), None);
        assert_eq!(told(restarting(0), Level::Info, Calls::One), None);
        assert_eq!(words(&restarting(0), None, Calls::Many), None);
    }
}
