//! A map by life: found by the number of the seat, in which there are two while one follows the other.

use crate::id::LifeId;

#[derive(Debug)]
pub(super) struct Lives<L> {
    /// By seat; in each, by generation.
    seats: Vec<Vec<(u64, L)>>,
}

impl<L> Default for Lives<L> {
    fn default() -> Lives<L> {
        Lives { seats: Vec::new() }
    }
}

impl<L> Lives<L> {
    pub(super) fn get(&self, life: LifeId) -> Option<&L> {
        let mut seat = self.seats.get(life.seat)?.iter();
        seat.find(|(generation, _)| *generation == life.generation).map(|(_, found)| found)
    }

    pub(super) fn get_mut(&mut self, life: LifeId) -> Option<&mut L> {
        let mut seat = self.seats.get_mut(life.seat)?.iter_mut();
        seat.find(|(generation, _)| *generation == life.generation).map(|(_, found)| found)
    }

    /// Takes the place of what was said of this life before.
    pub(super) fn insert(&mut self, life: LifeId, value: L) {
        if self.seats.len() <= life.seat {
            self.seats.resize_with(life.seat + 1, Vec::new);
        }
        let seat = &mut self.seats[life.seat];
        match seat.binary_search_by_key(&life.generation, |(generation, _)| *generation) {
            Ok(at) => seat[at].1 = value,
            Err(at) => seat.insert(at, (life.generation, value)),
        }
    }

    pub(super) fn remove(&mut self, life: LifeId) -> Option<L> {
        let seat = self.seats.get_mut(life.seat)?;
        let at = seat.iter().position(|(generation, _)| *generation == life.generation)?;
        Some(seat.remove(at).1)
    }

    /// Those in one seat, the elder first.
    pub(super) fn in_seat(&self, seat: usize) -> impl Iterator<Item = (LifeId, &L)> {
        let lives = self.seats.get(seat).into_iter().flatten();
        lives.map(move |(generation, life)| (LifeId { seat, generation: *generation }, life))
    }

    /// By seat, and the elder first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LifeId, &L)> {
        self.seats.iter().enumerate().flat_map(|(seat, lives)| {
            lives.iter().map(move |(generation, life)| (LifeId { seat, generation: *generation }, life))
        })
    }
}
