//! The heart of one worker that serves: when it is asked, what its answers and silences mean, and who is told.

use std::sync::Arc;

use tokio::time::Instant;

use super::heartbeat::{Act, Beat};
use super::life::Seat;
use super::{Pulse, Vitals};
use crate::telemetry::{Event, WorkerEvent};

pub(super) struct Heart {
    seat: Arc<Seat>,
    vitals: Arc<Vitals>,
    /// `None`: nobody asks.
    beat: Option<Beat>,
}

/// What is to be done about a heart.
pub(super) enum Look {
    /// Put this question to the worker.
    Ask(u64),
    /// It has missed so many.
    GiveUp(u32),
}

impl Heart {
    pub(super) fn new(seat: &Arc<Seat>, vitals: &Arc<Vitals>) -> Heart {
        let beat = Beat::new(seat.config.heartbeat, Instant::now());
        beat.iter().for_each(|_| vitals.listened_to());
        Heart { seat: Arc::clone(seat), vitals: Arc::clone(vitals), beat }
    }

    /// When it is to be looked at. `None`: never.
    pub(super) fn due(&self) -> Option<Instant> {
        self.beat.as_ref().and_then(Beat::due)
    }

    /// It is time to ask the worker whether it lives, or to find that it has not answered.
    pub(super) fn look(&mut self, is_excused: bool) -> Option<Look> {
        match self.beat.as_mut()?.act(Instant::now(), is_excused) {
            Act::Ask(id) => Some(self.ask(id)),
            Act::Missed(missed, id) => {
                self.missed(missed);
                Some(self.ask(id))
            }
            Act::GiveUp(missed) => {
                self.missed(missed);
                self.seat.owner.beat(Pulse::Failed);
                self.tell(WorkerEvent::HeartbeatFailed { worker: self.seat.id.clone(), missed });
                Some(Look::GiveUp(missed))
            }
        }
    }

    pub(super) fn answered(&mut self, id: u64) {
        let took = self.beat.as_mut().and_then(|beat| beat.answered(id, Instant::now()));
        if let Some(took) = took {
            self.vitals.answered(took);
            self.seat.owner.beat(Pulse::Answered);
            self.tell(WorkerEvent::Heartbeat { worker: self.seat.id.clone(), took });
        }
    }

    fn ask(&self, id: u64) -> Look {
        self.seat.owner.beat(Pulse::Asked);
        self.tell(WorkerEvent::HeartbeatAsked { worker: self.seat.id.clone() });
        Look::Ask(id)
    }

    fn missed(&self, missed: u32) {
        self.vitals.missed(missed);
        self.seat.owner.beat(Pulse::Missed);
        self.tell(WorkerEvent::HeartbeatMissed { worker: self.seat.id.clone(), missed });
    }

    fn tell(&self, event: WorkerEvent) {
        self.seat.emitter.emit(Event::Worker(event));
    }
}
