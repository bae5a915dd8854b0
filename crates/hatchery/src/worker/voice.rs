//! What a worker says, from all its mouths: LOG frames, descriptor 1, descriptor 2. Keeps the last lines for error
//! messages, and passes on no more than people can read.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::id::WorkerId;
use crate::process::{Admission, Dropped, Tail, Throttle};
use crate::telemetry::{Emitter, Event, Kind, Level, Log, LogSource, WorkerEvent};

/// Lines that get through in a second on end, and at once.
const LINES_PER_SECOND: u32 = 1000;
const BURST: u32 = 5000;

/// A line of LOG is cut here; the lines of descriptors come cut.
const MAX_LINE: usize = 8 << 10;

const LOG: Kind = Kind::named("worker.log");

pub(super) struct Voice {
    worker: WorkerId,
    emitter: Emitter,
    state: Mutex<State>,
}

struct State {
    tail: Tail,
    throttle: Throttle,
}

impl Voice {
    pub(super) fn new(worker: WorkerId, emitter: Emitter) -> Voice {
        let throttle = Throttle::new(LINES_PER_SECOND, BURST, Instant::now());
        Voice { worker, emitter, state: Mutex::new(State { tail: Tail::default(), throttle }) }
    }

    pub(super) fn said(&self, level: Level, source: LogSource, message: &str, correlation_id: Option<String>) {
        let message = &message[..message.floor_char_boundary(MAX_LINE)];
        let admission = {
            let mut state = self.lock();
            state.tail.push(message);
            state.throttle.admit(Instant::now())
        };
        match admission {
            Admission::Drop => return,
            Admission::PassAfter(dropped) => self.confess(dropped),
            Admission::Pass => {}
        }
        self.emit(level, source, message, correlation_id);
    }

    /// The last lines, oldest first.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.lock().tail.lines()
    }

    /// Says at the very end how many lines were dropped since the last that passed.
    pub(super) fn fell_silent(&self) {
        if let Some(dropped) = self.lock().throttle.take_dropped() {
            self.confess(dropped);
        }
    }

    fn confess(&self, dropped: Dropped) {
        self.emit(Level::Warning, LogSource::Host, &dropped.to_string(), None);
    }

    fn emit(&self, level: Level, source: LogSource, message: &str, correlation_id: Option<String>) {
        self.emitter.emit_at(LOG, level, || {
            let log = Log { worker: self.worker.clone(), level, source, message: message.to_owned(), correlation_id };
            Event::Worker(WorkerEvent::Log(log))
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "logs"))]
mod tests {
    use super::*;
    use crate::logs::Logs;
    use std::sync::mpsc::channel;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn a_log_has_the_lines_of_its_level_though_nobody_subscribes_to_events() {
        let (said, lines) = channel();
        let logs = Logs::new("error,output=info".parse().unwrap()).to(move |line| drop(said.send(line.words())));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(logs.layer()), || {
            let voice = Voice::new(WorkerId::new("a", 0), Emitter::new(4));
            for (level, line) in [(Level::Debug, "hm"), (Level::Info, "hello"), (Level::Error, "oh")] {
                voice.said(level, LogSource::Stdout, line, None);
            }
        });
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["hello", "oh"]);
    }
}
