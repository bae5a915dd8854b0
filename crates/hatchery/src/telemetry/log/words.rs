//! What each event is in words, and how much it matters.

use std::fmt;
use std::time::Duration;

use tracing_core::Level as Weight;

use crate::telemetry::event::{
    AgentRunEvent, CallEvent, Event, FaultEvent, Log, PoolEvent, RunEvent, ServiceEvent, SessionEvent, SharedEvent,
    WorkerEvent,
};

/// Told once for each event, at its level. The words are put together only by whoever wants them.
pub(super) type Say<'a> = &'a mut dyn FnMut(Weight, fmt::Arguments<'_>);

pub(super) fn tell(event: &Event, say: Say<'_>) {
    match event {
        Event::Worker(event) => of_worker(event, say),
        Event::Run(event) => of_run(event, say),
        Event::Pool(event) => of_pool(event, say),
        Event::Fault(event) => of_fault(event, say),
        Event::Service(event) => of_service(event, say),
        Event::Agent(event) => of_agent(event, say),
        Event::Session(event) => of_session(event, say),
        Event::Shared(event) => of_shared(event, say),
        Event::Call(event) => of_call(event, say),
        Event::Tool(event) => say(Weight::DEBUG, format_args!("{} tells of {}", event.worker, event.name)),
        Event::Progress(event) => {
            say(Weight::TRACE, format_args!("{} {}", event.worker, event.message.as_deref().unwrap_or("goes on")))
        }
        // Of one reader alone.
        Event::Lagged(_) => {}
    }
}

fn of_worker(event: &WorkerEvent, say: Say<'_>) {
    match event {
        WorkerEvent::Started { worker, pid } => say(Weight::DEBUG, format_args!("{worker} started, pid {pid}")),
        WorkerEvent::Ready { worker, took } => {
            say(Weight::DEBUG, format_args!("{worker} ready in {} ms", took.as_millis()))
        }
        WorkerEvent::HeartbeatAsked { worker } => {
            say(Weight::TRACE, format_args!("{worker} is asked whether it lives"))
        }
        WorkerEvent::Heartbeat { worker, took } => {
            say(Weight::TRACE, format_args!("{worker} answered a heartbeat after {} ms", took.as_millis()));
        }
        WorkerEvent::HeartbeatMissed { worker, missed } => {
            say(Weight::WARN, format_args!("{worker} has not answered {missed} heartbeats in a row"));
        }
        WorkerEvent::HeartbeatFailed { worker, missed } => {
            say(Weight::DEBUG, format_args!("{worker} is taken to be dead after {missed} heartbeats"));
        }
        WorkerEvent::Unhealthy { worker, reason, .. } => {
            say(Weight::WARN, format_args!("{worker} is not well: {reason}"))
        }
        WorkerEvent::Log(log) => of_line(log, say),
        WorkerEvent::Unkillable { worker, pid, held_by } => say(
            Weight::ERROR,
            format_args!("{worker} (pid {pid}) cannot be ended: {held_by}; its place stays empty until it is gone"),
        ),
        WorkerEvent::Gone { worker, how, .. } => say(Weight::DEBUG, format_args!("{worker} ended: {how}")),
        WorkerEvent::Restarting { after, reason, .. } => {
            say(Weight::WARN, format_args!("{reason}; another worker starts {}", Wait(*after)));
        }
    }
}

/// A line as the worker wrote it.
fn of_line(log: &Log, say: Say<'_>) {
    say(super::weight(log.level), format_args!("{}", log.message));
}

fn of_run(event: &RunEvent, say: Say<'_>) {
    match event {
        RunEvent::Guarded { keeper, guardian } => {
            say(Weight::DEBUG, format_args!("keeper has pid {keeper}, guardian has pid {guardian}"));
        }
        RunEvent::GuardianLost => {
            say(
                Weight::WARN,
                format_args!("the guardian was killed, and its workers with it; others take their places"),
            );
        }
        // A user's own group in cgroup v2 is a luxury; a disk to write to is not.
        RunEvent::LayerLost { layer: "record and sweep", message } => {
            say(Weight::WARN, format_args!("warning: {message}"))
        }
        RunEvent::LayerLost { message, .. } => say(Weight::DEBUG, format_args!("containment: {message}")),
        RunEvent::Reserved { worker } => say(Weight::TRACE, format_args!("{worker} is written down, to be started")),
        RunEvent::Activated { worker, pid } => {
            say(Weight::TRACE, format_args!("{worker} is written down as pid {pid}"))
        }
        RunEvent::Released { worker } => say(Weight::TRACE, format_args!("{worker} is gone, and written off")),
        RunEvent::Swept { found, terminated, notes } => {
            let weight = if *terminated > 0 { Weight::INFO } else { Weight::DEBUG };
            let notes = notes.iter().map(|note| format!("; {note}")).collect::<String>();
            say(weight, format_args!("dead runs had left {found} processes; {terminated} were ended{notes}"));
        }
        RunEvent::Escaped { worker, ended: 1, left } if left.is_empty() => {
            say(Weight::INFO, format_args!("{worker} had left a process behind; it was ended with it"));
        }
        RunEvent::Escaped { worker, ended, left } if left.is_empty() => {
            say(Weight::INFO, format_args!("{worker} had left {ended} processes behind; they were ended with it"));
        }
        RunEvent::Escaped { worker, left, .. } => {
            say(Weight::WARN, format_args!("{worker} left processes behind, which go on: {left:?}"));
        }
        ending => of_ending(ending, say),
    }
}

fn of_ending(event: &RunEvent, say: Say<'_>) {
    match event {
        RunEvent::ShutdownFinished { took, .. } => {
            say(Weight::DEBUG, format_args!("everything has ended, within {} ms", took.as_millis()));
        }
        RunEvent::CleanupStarted { processes } => say(Weight::DEBUG, format_args!("{processes} processes are killed")),
        RunEvent::CleanupFinished { ended, survivors: 0, .. } => {
            say(Weight::DEBUG, format_args!("{ended} processes were killed"));
        }
        RunEvent::CleanupFinished { ended, survivors, .. } => {
            say(Weight::WARN, format_args!("{ended} processes were killed; the kernel still holds {survivors}"));
        }
        RunEvent::ScriptStopping { reason } => say(Weight::DEBUG, format_args!("the script is over ({reason})")),
        RunEvent::ScriptCleanup => {
            say(Weight::DEBUG, format_args!("the script's workers did not end in time, and are killed"));
        }
        RunEvent::ScriptEnded { took, .. } => {
            say(Weight::DEBUG, format_args!("the script's workers have ended, within {} ms", took.as_millis()));
        }
        _ => say(Weight::DEBUG, format_args!("everything is to end")),
    }
}

fn of_service(event: &ServiceEvent, say: Say<'_>) {
    match event {
        ServiceEvent::Failed { service, reason, after, .. } => {
            say(Weight::ERROR, format_args!("service {service} {reason}; it is started again {}", Wait(*after)));
        }
        ServiceEvent::Restarted { service, restarts } => {
            say(Weight::DEBUG, format_args!("service {service} is up again, restart {restarts}"));
        }
    }
}

fn of_agent(event: &AgentRunEvent, say: Say<'_>) {
    match event {
        AgentRunEvent::Started { run, adapter, pid } => {
            say(Weight::DEBUG, format_args!("agent run {run} ({adapter}) is there, pid {pid}"));
        }
        AgentRunEvent::State { run, state, reason } if reason.is_empty() => {
            say(Weight::DEBUG, format_args!("agent run {run} is {state}"));
        }
        AgentRunEvent::State { run, state, reason } => {
            say(Weight::DEBUG, format_args!("agent run {run} is {state}: {reason}"));
        }
        AgentRunEvent::Session { run, session } => {
            say(Weight::DEBUG, format_args!("agent run {run} calls its conversation {session}"));
        }
        AgentRunEvent::Warned { run, message } => say(Weight::WARN, format_args!("agent run {run}: {message}")),
        AgentRunEvent::Exited { run, outcome, reason, .. } if reason.is_empty() => {
            say(Weight::INFO, format_args!("agent run {run} is over: {outcome}"));
        }
        AgentRunEvent::Exited { run, outcome, reason, .. } => {
            say(Weight::INFO, format_args!("agent run {run} is over: {outcome}: {reason}"));
        }
    }
}

fn of_session(event: &SessionEvent, say: Say<'_>) {
    match event {
        SessionEvent::Created { session } => say(Weight::DEBUG, format_args!("session {session} begins")),
        SessionEvent::Destroyed { session, reason } => {
            say(Weight::DEBUG, format_args!("session {session} is {reason}"))
        }
        SessionEvent::AffinityAssigned { session, worker, .. } => {
            say(Weight::DEBUG, format_args!("session {session} goes to {worker}"));
        }
        SessionEvent::AffinityBroken { session, worker, .. } => {
            say(Weight::DEBUG, format_args!("session {session} has lost {worker}"));
        }
        SessionEvent::Pruned { count, remaining } => {
            say(Weight::DEBUG, format_args!("{count} sessions have expired, and {remaining} are left"));
        }
        SessionEvent::Accumulating { current, max, is_full, strict } => {
            let weight = if *strict { Weight::WARN } else { Weight::INFO };
            let end = if *is_full { "; no other can be made" } else { "" };
            say(weight, format_args!("there are {current} sessions of at most {max}{end}"));
        }
        SessionEvent::Lost { message } => say(Weight::WARN, format_args!("warning: {message}")),
    }
}

fn of_shared(event: &SharedEvent, say: Say<'_>) {
    match event {
        SharedEvent::Exported { worker, bytes } => {
            say(Weight::TRACE, format_args!("{bytes} bytes are lent to {worker}"))
        }
        SharedEvent::Imported { worker, bytes } => {
            say(Weight::TRACE, format_args!("{bytes} bytes of {worker} are taken over"));
        }
        SharedEvent::FellBack { bytes, reason, .. } => {
            say(Weight::DEBUG, format_args!("{bytes} bytes are copied, not shared: {reason}"));
        }
    }
}

fn of_call(event: &CallEvent, say: Say<'_>) {
    match event {
        CallEvent::Queued { pool, tool, queued, .. } => {
            say(Weight::DEBUG, format_args!("{tool} waits in pool {pool}, where {queued} wait"));
        }
        CallEvent::Started { tool, worker, queued, .. } => {
            say(Weight::DEBUG, format_args!("{tool} goes to {worker} after {} ms", queued.as_millis()));
        }
        CallEvent::Finished { tool, outcome, took, .. } => {
            say(Weight::DEBUG, format_args!("{tool} is over after {} ms: {outcome}", took.as_millis()));
        }
    }
}

fn of_pool(event: &PoolEvent, say: Say<'_>) {
    match event {
        PoolEvent::Starting { pool, workers } => {
            say(Weight::DEBUG, format_args!("pool {pool} starts {workers} workers"))
        }
        PoolEvent::Started { pool, workers, ready, took } => {
            let took = took.as_millis();
            say(Weight::DEBUG, format_args!("pool {pool} has {ready} of {workers} workers ready after {took} ms"));
        }
        PoolEvent::Unavailable { pool, reason } => {
            say(Weight::ERROR, format_args!("pool {pool} cannot serve: {reason}; it goes on trying"));
        }
        PoolEvent::Available { pool } => say(Weight::WARN, format_args!("pool {pool} serves again")),
        PoolEvent::Draining { pool } => say(Weight::INFO, format_args!("pool {pool} drains")),
        PoolEvent::Resumed { pool } => say(Weight::INFO, format_args!("pool {pool} takes calls again")),
        PoolEvent::Scaled { pool, from, to } => {
            say(Weight::INFO, format_args!("pool {pool} goes from {from} to {to} workers"));
        }
        PoolEvent::Saturated { pool, tool, queued, .. } => {
            say(Weight::DEBUG, format_args!("{tool} is refused: {queued} calls wait in pool {pool}"));
        }
        PoolEvent::QueueTimeout { pool, tool, waited, .. } => {
            let waited = waited.as_millis();
            say(Weight::DEBUG, format_args!("{tool} waited {waited} ms in pool {pool}, and will not run"));
        }
        of_one => of_worker_and_template(of_one, say),
    }
}

fn of_worker_and_template(event: &PoolEvent, say: Say<'_>) {
    match event {
        PoolEvent::CapacityReached { worker } => {
            say(Weight::DEBUG, format_args!("{worker} has as many calls as it can"))
        }
        PoolEvent::Recycled { worker, reason, .. } => {
            let reason = serde_json::json!(reason);
            say(Weight::DEBUG, format_args!("{worker} is replaced ({})", reason.as_str().unwrap_or_default()));
        }
        PoolEvent::NotReplaced { worker, after, reason } => {
            let wait = Wait(*after);
            say(Weight::WARN, format_args!("{worker} is not replaced yet: {reason}; the next try comes {wait}"));
        }
        PoolEvent::TemplateReady { pool, took, .. } => {
            let took = took.as_millis();
            say(Weight::DEBUG, format_args!("pool {pool} forks its workers from a template, ready after {took} ms"));
        }
        PoolEvent::TemplateLost { pool, reason } => {
            say(Weight::WARN, format_args!("pool {pool}: {reason}; it gets another"));
        }
        PoolEvent::ColdStarts { pool, reason, again: Some(after) } => {
            let wait = Wait(*after);
            let cold = "starts its workers cold";
            say(Weight::WARN, format_args!("pool {pool} {cold}: {reason}; a template is tried again {wait}"));
        }
        PoolEvent::ColdStarts { pool, reason, .. } => {
            say(Weight::WARN, format_args!("pool {pool} starts its workers cold: {reason}"));
        }
        _ => {}
    }
}

fn of_fault(event: &FaultEvent, say: Say<'_>) {
    match event {
        FaultEvent::Crashed { worker, class, .. } => {
            say(Weight::DEBUG, format_args!("{worker} crashed ({})", class.as_str()))
        }
        FaultEvent::Tainted { worker, until, .. } => {
            say(Weight::WARN, format_args!("{worker} gets no calls for {} s after a crash", until.as_secs()));
        }
        FaultEvent::DeviceTainted { device, until, .. } => {
            say(Weight::WARN, format_args!("{device} is tainted for {} s", until.as_secs()));
        }
        FaultEvent::Restarted { worker, .. } => {
            say(Weight::DEBUG, format_args!("{worker} is ready in the place of a tainted one"));
        }
        FaultEvent::Retry { tool, attempt, after, reason, .. } => {
            say(
                Weight::INFO,
                format_args!("{tool}: try {attempt} failed: {reason}; the next one comes {}", Wait(*after)),
            );
        }
        FaultEvent::Recovered { tool, attempts, .. } => {
            say(Weight::DEBUG, format_args!("{tool} has succeeded after {attempts} tries"));
        }
        FaultEvent::Exhausted { tool, attempts, reason, .. } => {
            say(Weight::DEBUG, format_args!("{tool} has failed for good after {attempts} tries: {reason}"));
        }
        FaultEvent::BreakerOpened { pool, tool, failures } => {
            let whose = Whose { pool, tool };
            say(Weight::WARN, format_args!("the breaker of {whose} opens after {failures} failures"));
        }
        FaultEvent::BreakerHalfOpened { pool, tool } => {
            say(Weight::DEBUG, format_args!("the breaker of {} lets a few calls pass", Whose { pool, tool }));
        }
        FaultEvent::BreakerClosed { pool, tool } => {
            say(Weight::INFO, format_args!("the breaker of {} closes", Whose { pool, tool }));
        }
        FaultEvent::ShapeMismatch { tool, worker, .. } => {
            say(Weight::DEBUG, format_args!("{tool} raised in {worker}: shapes do not fit"));
        }
        FaultEvent::DeviceMismatch { tool, worker, .. } => {
            say(Weight::DEBUG, format_args!("{tool} raised in {worker}: devices do not fit"));
        }
        FaultEvent::OutOfMemory { tool, worker, device, .. } => {
            say(Weight::DEBUG, format_args!("{tool} raised in {worker}: {device} has no memory left"));
        }
        FaultEvent::Raised { tool, worker, python_type, .. } => {
            let what = python_type.as_deref().unwrap_or("an error");
            say(Weight::DEBUG, format_args!("{tool} raised {what} in {worker}"));
        }
    }
}

/// How long until then.
struct Wait(Duration);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { f.write_str("now") } else { write!(f, "in {} ms", self.0.as_millis()) }
    }
}

/// A pool, or one tool of it.
struct Whose<'a> {
    pool: &'a str,
    tool: &'a Option<String>,
}

impl fmt::Display for Whose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tool) = self.tool {
            write!(f, "{tool} of ")?;
        }
        write!(f, "pool {}", self.pool)
    }
}
