//! What a pool tells of its start, and of sessions whose worker is gone.

use std::time::Duration;

use super::Shared;
use crate::id::LifeId;
use crate::telemetry::{Event, Kind, PoolEvent, SessionEvent};

const BROKEN: Kind = Kind::named("session.affinity_broken");

impl Shared {
    /// Who has served these sessions serves nobody any more.
    pub(super) fn tell_broken(&self, life: LifeId) {
        if !self.emitter.is_wanted(BROKEN) {
            return;
        }
        let sessions = self.roster().sessions_of(life);
        let (worker, generation) = (self.worker(life), life.generation);
        for session in sessions {
            let (session, worker) = (session.to_string(), worker.clone());
            self.emitter.emit(Event::Session(SessionEvent::AffinityBroken { session, worker, generation }));
        }
    }

    /// Its first workers are to come.
    pub(crate) fn tell_starting(&self, workers: usize) {
        self.tell(PoolEvent::Starting { pool: self.name.to_string(), workers });
    }

    /// The first start of each of them has come to an end.
    pub(super) fn tell_started(&self, ready: usize, took: Duration) {
        let workers = self.lock_seats().wanted.len();
        self.tell(PoolEvent::Started { pool: self.name.to_string(), workers, ready, took });
    }
}
