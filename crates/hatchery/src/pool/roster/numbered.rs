//! Maps by numbers that rise: neighbours lie beside each other, so that first in, first out touches memory in order, however
//! many wait. The numbers are our own; nobody can choose them so that they collide.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::id::CallId;

pub(super) type ByNumber<V> = HashMap<CallId, V, BuildHasherDefault<InOrder>>;

/// The number itself, which chooses the bucket by its low bits. The map tells entries of a group apart by the highest seven
/// bits, which are the lowest here: they differ among neighbours.
#[derive(Debug, Default)]
pub(super) struct InOrder(u64);

impl Hasher for InOrder {
    fn write_u64(&mut self, number: u64) {
        self.0 = number ^ number.rotate_right(7);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
