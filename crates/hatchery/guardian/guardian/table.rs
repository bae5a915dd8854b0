//! The workers whose leaders were not reaped.

use crate::message::OnEscape;

/// More would be refused.
const CAPACITY: usize = 2048;

pub(super) struct Table {
    slots: [Slot; CAPACITY],
    count: usize,
}

#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) worker: u32,
    /// The leader's, and its group's.
    pub(super) pid: i32,
    pub(super) on_escape: OnEscape,
    /// The worker whose leaf it lives in: its own, or its template's.
    pub(super) leaf: u32,
    pub(super) state: State,
}

/// The layout makes a table of nothing but zeros, which costs no memory until it is used.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum State {
    /// Or ended by itself, and kept until the host says so.
    Running,
    Ending(Ending),
}

#[derive(Clone, Copy)]
pub(super) struct Ending {
    /// Nothing that still descends from the leader is to be spared, or nothing is left of it.
    pub(super) is_pruned: bool,
    /// Before the children were listed in this round: what the leader leaves behind is in the list.
    pub(super) leader_has_ended: bool,
    /// Processes that were found in this round and must go.
    pub(super) left: u32,
    /// Those that had left the group and were ended, in all rounds.
    pub(super) escaped: u32,
    pub(super) rounds: u32,
}

impl Slot {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running)
    }
}

impl Table {
    pub(super) const fn new() -> Table {
        let free = Slot { worker: 0, pid: 0, on_escape: OnEscape::Kill, leaf: 0, state: State::Running };
        Table { slots: [free; CAPACITY], count: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.count == CAPACITY
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn all(&self) -> &[Slot] {
        &self.slots[..self.count]
    }

    pub(super) fn find(&self, worker: u32) -> Option<&Slot> {
        self.all().iter().find(|slot| slot.worker == worker)
    }

    pub(super) fn is_leader(&self, pid: i32) -> bool {
        self.all().iter().any(|slot| slot.pid == pid)
    }

    /// Whether others live in its leaf, of which `counts` is true.
    pub(super) fn shares_leaf(&self, slot: &Slot, counts: impl Fn(&Slot) -> bool) -> bool {
        self.all().iter().any(|other| other.worker != slot.worker && other.leaf == slot.leaf && counts(other))
    }

    pub(super) fn slot(&mut self, index: usize) -> &mut Slot {
        &mut self.slots[..self.count][index]
    }

    /// Only if it is not full.
    pub(super) fn add(&mut self, worker: u32, pid: i32, on_escape: OnEscape, leaf: u32) {
        self.slots[self.count] = Slot { worker, pid, on_escape, leaf, state: State::Running };
        self.count += 1;
    }

    pub(super) fn remove(&mut self, index: usize) {
        self.count -= 1;
        self.slots[index] = self.slots[self.count];
    }

    pub(super) fn begin_ending(&mut self, worker: u32) {
        let slots = &mut self.slots[..self.count];
        let running = |slot: &&mut Slot| slot.worker == worker && matches!(slot.state, State::Running);
        if let Some(slot) = slots.iter_mut().find(running) {
            let is_pruned = slot.on_escape == OnEscape::Kill;
            let ending = Ending { is_pruned, leader_has_ended: false, left: 0, escaped: 0, rounds: 0 };
            slot.state = State::Ending(ending);
        }
    }

    pub(super) fn rounds_of_youngest_ending(&self) -> Option<u32> {
        let rounds = |slot: &Slot| match slot.state {
            State::Running => None,
            State::Ending(ending) => Some(ending.rounds),
        };
        self.all().iter().filter_map(rounds).min()
    }
}
