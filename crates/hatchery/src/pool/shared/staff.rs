//! What a pool says of its workers to those who wait for it.

use crate::pool::shared::Shared;
use crate::waiting::{Life, Staff, Staffed};

impl Staffed for Shared {
    fn staff(&self) -> Staff {
        let (ready, places) = {
            let roster = self.roster();
            let life = |line: &crate::worker::Line| Life { worker: line.id.clone(), generation: line.life.generation };
            (roster.ready_workers().map(|(_, line)| life(line)).collect(), roster.places())
        };
        Staff { ready, wanted: self.lock_seats().wanted.len(), places }
    }
}
