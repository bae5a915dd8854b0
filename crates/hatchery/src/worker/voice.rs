//! What a worker says, from all its mouths: LOG frames, descriptor 1, descriptor 2. Keeps the last lines for error
//! messages, and passes on no more than people can read.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::id::WorkerId;
use crate::process::{Tail, Throttle, cut};
use crate::telemetry::{Emitter, Event, Level, Log, LogSource, WorkerEvent};

pub(super) struct Voice {
    worker: WorkerId,
    emitter: Emitter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tail: Tail,
    throttle: Throttle,
}

impl Voice {
    pub(super) fn new(worker: WorkerId, emitter: Emitter) -> Voice {
        Voice { worker, emitter, state: Mutex::default() }
    }

    pub(super) fn said(&self, level: Level, source: LogSource, message: String, correlation_id: Option<String>) {
        let message = cut(message);
        let (passes, dropped) = {
            let mut state = self.lock();
            state.tail.push(&message);
            state.throttle.admit(Instant::now())
        };
        if let Some(lines) = dropped {
            self.emit(Level::Warning, LogSource::Host, format!("{lines} lines of log were dropped: too many a second"), None);
        }
        if passes {
            self.emit(level, source, message, correlation_id);
        }
    }

    /// The last lines, oldest first.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.lock().tail.lines()
    }

    /// Says how many lines were dropped at the very end.
    pub(super) fn fell_silent(&self) {
        if let Some(lines) = self.lock().throttle.rest() {
            self.emit(Level::Warning, LogSource::Host, format!("{lines} lines of log were dropped: too many a second"), None);
        }
    }

    fn emit(&self, level: Level, source: LogSource, message: String, correlation_id: Option<String>) {
        if self.emitter.is_heard() {
            let log = Log { worker: self.worker.clone(), level, source, message, correlation_id };
            self.emitter.emit(Event::Worker(WorkerEvent::Log(log)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
