//! Which workers can take calls: the least loaded one is found at once, however many there are.

use std::collections::BTreeSet;

use crate::id::LifeId;

/// Those with room, by load.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// One for each load.
    levels: Vec<Level>,
    count: usize,
    /// Of these, those with a call that waits for them alone.
    eager: BTreeSet<LifeId>,
}

/// How one worker stands to calls that come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// `None` if it can take none.
    pub(super) load: Option<usize>,
    /// Has room, and a call waits for it alone.
    pub(super) is_eager: bool,
}

/// Lives of one load: a bit for each seat, and there the generations, of which there are seldom two.
#[derive(Debug, Default)]
struct Level {
    bits: Vec<u64>,
    seats: Vec<Vec<u64>>,
}

impl Rooms {
    pub(super) fn moved(&mut self, life: LifeId, before: Room, after: Room) {
        if before.load != after.load {
            if let Some(load) = before.load {
                self.levels[load].remove(life);
                self.count -= 1;
            }
            if let Some(load) = after.load {
                self.level(load).insert(life);
                self.count += 1;
            }
        }
        match (before.is_eager, after.is_eager) {
            (true, false) => _ = self.eager.remove(&life),
            (false, true) => _ = self.eager.insert(life),
            _ => {}
        }
    }

    /// The lowest number among equals.
    pub(super) fn least_loaded(&self) -> Option<LifeId> {
        self.levels.iter().find_map(Level::first)
    }

    pub(super) fn first_eager(&self) -> Option<LifeId> {
        self.eager.first().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn level(&mut self, load: usize) -> &mut Level {
        if self.levels.len() <= load {
            self.levels.resize_with(load + 1, Level::default);
        }
        &mut self.levels[load]
    }
}

impl Level {
    fn insert(&mut self, LifeId { seat, generation }: LifeId) {
        if self.seats.len() <= seat {
            self.seats.resize_with(seat + 1, Vec::new);
            self.bits.resize(seat / 64 + 1, 0);
        }
        self.bits[seat / 64] |= 1 << (seat % 64);
        let generations = &mut self.seats[seat];
        generations.push(generation);
        generations.sort_unstable();
    }

    fn remove(&mut self, LifeId { seat, generation }: LifeId) {
        self.seats[seat].retain(|found| *found != generation);
        if self.seats[seat].is_empty() {
            self.bits[seat / 64] &= !(1 << (seat % 64));
        }
    }

    fn first(&self) -> Option<LifeId> {
        let (word, bits) = self.bits.iter().enumerate().find(|(_, bits)| **bits != 0)?;
        let seat = word * 64 + bits.trailing_zeros() as usize;
        Some(LifeId { seat, generation: *self.seats[seat].first()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Held against a set that is searched.
        #[test]
        fn the_first_is_the_least_loaded_and_of_equals_the_lowest(
            moves in proptest::collection::vec((0..200usize, 1..3u64, proptest::option::of(0..3usize), any::<bool>()), 0..300)
        ) {
            let (mut rooms, mut model) = (Rooms::default(), std::collections::BTreeMap::new());
            for (seat, generation, load, is_eager) in moves {
                let life = LifeId { seat, generation };
                let after = Room { load, is_eager: is_eager && load.is_some() };
                let before = model.insert(life, after).unwrap_or_default();
                rooms.moved(life, before, after);
                let free = || model.iter().filter_map(|(life, room)| Some((room.load?, *life)));
                prop_assert_eq!(rooms.least_loaded(), free().min().map(|(_, life)| life));
                prop_assert_eq!(rooms.len(), free().count());
                let eager = model.iter().find(|(_, room)| room.is_eager).map(|(life, _)| *life);
                prop_assert_eq!(rooms.first_eager(), eager);
            }
        }
    }
}
