//! How a worker ends: in rounds, between which other orders are obeyed.
//!
//! A round kills what can be seen of every worker that is ending, then looks at all our children. A worker is gone when
//! its leader had ended before such a look and the look found nothing else of it, dead or alive: at every moment, whatever
//! lives of a worker whose leader has ended is a child of ours or below one that bears the worker's mark, and what ends after
//! the look leaves us children that the look has not seen.

use super::Guardian;
use super::table::{Ending, Slot, State};
use crate::cgroup::{Leaves, is_gone};
use crate::lineage::MAX_LOOKS;
use crate::message::{Fact, OnEscape};
use crate::sys::Result;
use crate::sys::processes::{self, SIGKILL, SIGSTOP, reap, signal_child, signal_group};
use crate::sys::sockets::now;

/// A tree that forks faster than it can be pruned is cut down all the same; what it left counts as escaped.
const MAX_PRUNING: u32 = 100;

/// Then others are heard.
const MAX_LOOKS_MS: u64 = 1000;

/// How many rounds the kernel may call an empty leaf busy. The keeper removes it at the end.
const MAX_BUSY: u32 = 64;

impl Guardian {
    /// Everything that is going on, as far as it goes without waiting. Reaps adopted children that have ended.
    pub(super) fn carry_on(&mut self) -> Result<()> {
        let began = now();
        for _ in 0..MAX_LOOKS {
            if !self.look_round()? || now() - began > MAX_LOOKS_MS {
                break;
            }
        }
        Ok(())
    }

    /// Whether something of an ending worker was reaped, so that another look is due at once.
    fn look_round(&mut self) -> Result<bool> {
        for index in 0..self.table.count() {
            self.strike(index);
        }
        self.lineage.look();
        let mut has_reaped = false;
        for index in 0..self.lineage.count() {
            has_reaped |= self.inspect(index);
        }
        for index in (0..self.table.count()).rev() {
            self.conclude(index)?;
        }
        Ok(has_reaped)
    }

    /// Kills what is known of a worker that is ending.
    fn strike(&mut self, index: usize) {
        let slot = *self.table.slot(index);
        let Slot { worker, pid, on_escape, state, .. } = slot;
        let State::Ending(mut ending) = state else { return };
        ending.leader_has_ended = processes::has_ended(pid).is_some();
        ending.left = 0;
        ending.rounds += 1;
        match on_escape {
            OnEscape::Kill => self.kill_tree(&slot, ending.leader_has_ended),
            OnEscape::Report | OnEscape::Adopt => {
                ending.is_pruned =
                    ending.is_pruned || ending.leader_has_ended || self.prune(worker, pid, ending.rounds);
            }
        }
        if ending.is_pruned {
            let _nobody_left_in_it = signal_group(pid, SIGKILL);
        }
        self.table.slot(index).state = State::Ending(ending);
    }

    fn kill_tree(&mut self, slot: &Slot, leader_has_ended: bool) {
        match self.leaf_to_kill(slot) {
            Some(leaves) => leaves.kill(slot.leaf),
            None if leader_has_ended => {}
            None => drop(self.lineage.kill_below(slot.pid, |number| number == slot.worker)),
        }
    }

    /// Where others live on, each is ended by its group and its mark alone, as where there are no leaves.
    fn leaf_to_kill(&self, slot: &Slot) -> Option<&Leaves> {
        self.leaves.as_ref().filter(|_| !self.table.shares_leaf(slot, Slot::is_running))
    }

    /// Kills what descends from the leader, which is stopped meanwhile: once it has ended, nobody could tell its
    /// descendants from those that had left before. Whether nothing was alive any more.
    fn prune(&mut self, worker: u32, leader: i32, rounds: u32) -> bool {
        let _ended_just_now = signal_child(leader, SIGSTOP);
        self.lineage.kill_below(leader, |number| number == worker) == 0 || rounds > MAX_PRUNING
    }

    /// A child of ours that leads no worker: reaps it if it has ended; else it may have to. Whether one that belonged to an
    /// ending worker was reaped.
    fn inspect(&mut self, index: usize) -> bool {
        let Some(pid) = self.lineage.child(index).filter(|pid| !self.table.is_leader(*pid)) else { return false };
        let owner = self.owner(pid);
        let is_reaped = reap(pid).is_some();
        let Some(owner) = owner else { return false };
        match is_reaped {
            false => self.end_remnant(owner, pid),
            true => self.ending(owner.index, |ending| {
                ending.left += 1;
                ending.escaped += u32::from(owner.has_left_group);
            }),
        }
        is_reaped
    }

    fn end_remnant(&mut self, Owner { index, has_left_group }: Owner, pid: i32) {
        let slot = *self.table.slot(index);
        let Slot { worker, on_escape, .. } = slot;
        if on_escape == OnEscape::Kill {
            if self.leaf_to_kill(&slot).is_none() {
                self.lineage.kill_below(pid, |number| number == worker);
            }
            let _quarantined_if_it_may_not = signal_child(pid, SIGKILL);
        }
        if on_escape == OnEscape::Kill || !has_left_group {
            self.ending(index, |ending| ending.left += 1);
        }
    }

    /// The worker that is ending and to which a child of ours belongs: by its group, for which it needs no mark, or by
    /// its mark.
    fn owner(&self, pid: i32) -> Option<Owner> {
        self.table.rounds_of_youngest_ending()?;
        let group = processes::group_of(pid).ok();
        let number = self.lineage.marks.number_of(pid);
        let is_its = |slot: &Slot| {
            let is_ending = matches!(slot.state, State::Ending(_));
            is_ending && (group == Some(slot.pid) || number == Some(slot.worker))
        };
        let index = self.table.all().iter().position(is_its)?;
        Some(Owner { index, has_left_group: group != Some(self.table.all()[index].pid) })
    }

    fn ending(&mut self, index: usize, change: impl FnOnce(&mut Ending)) {
        if let State::Ending(ending) = &mut self.table.slot(index).state {
            change(ending);
        }
    }

    /// Reaps the leader, last of all, if nothing else is left of the worker, and says so.
    fn conclude(&mut self, index: usize) -> Result<()> {
        let slot = *self.table.slot(index);
        let State::Ending(ending) = slot.state else { return Ok(()) };
        let is_over = ending.leader_has_ended && ending.is_pruned && ending.left == 0 && self.lineage.saw_all();
        if !is_over || !self.leaf_is_gone(&slot, ending.rounds) {
            return Ok(());
        }
        if slot.on_escape != OnEscape::Kill {
            self.let_go(&slot)?;
        }
        self.write_down_the_end_of(&slot);
        let Some(processes::Ended { code, status }) = reap(slot.pid) else { return Ok(()) };
        self.table.remove(index);
        self.channel.say(&Fact::Gone { worker: slot.worker, code, status, escaped: ending.escaped }, &[])
    }

    /// What is busy has a process in it, and is not gone, but for a moment in which the kernel only says so.
    fn leaf_is_gone(&self, slot: &Slot, rounds: u32) -> bool {
        match (&self.leaves, slot.on_escape) {
            (None, _) | (_, OnEscape::Adopt) => true,
            // The last one sees to it.
            _ if self.table.shares_leaf(slot, |_| true) => true,
            (Some(leaves), OnEscape::Kill) => {
                is_gone(&leaves.remove(slot.leaf)) || (rounds > MAX_BUSY && leaves.is_populated(slot.leaf) == Ok(false))
            }
            (Some(leaves), OnEscape::Report) => {
                let _not_while_somebody_is_in_it = leaves.remove(slot.leaf);
                true
            }
        }
    }

    /// Reports what outlives the worker.
    fn let_go(&mut self, slot: &Slot) -> Result<()> {
        for index in 0..self.lineage.count() {
            let Some(pid) = self.lineage.child(index).filter(|pid| !self.table.is_leader(*pid)) else { continue };
            if self.lineage.marks.number_of(pid) != Some(slot.worker) {
                continue;
            }
            let pidfd = processes::open_pidfd(pid).ok();
            let fact = Fact::Escaped { worker: slot.worker, pid: pid.cast_unsigned() };
            self.channel.say(&fact, pidfd.as_ref().as_slice())?;
            if slot.on_escape == OnEscape::Adopt {
                self.lineage.release(pid, slot.worker);
            }
        }
        Ok(())
    }
}

/// An ending worker's place in the table.
#[derive(Clone, Copy)]
struct Owner {
    index: usize,
    has_left_group: bool,
}
