//! Our children and what is below them, and how all of it is ended.

use crate::marks::Marks;
use crate::message::ADOPTED;
use crate::pids::{Kinship, Pids};
use crate::sys::processes::{self, SIGKILL, reap, signal_child};
use crate::sys::{Errno, Result};

pub(crate) struct Lineage {
    own_pid: i32,
    kinship: Kinship,
    pub(crate) marks: Marks,
    children: &'static mut Pids,
    family: &'static mut Pids,
}

impl Lineage {
    /// With two lists to work with. The result tells whether the kernel has children files.
    pub(crate) fn new(marks: Marks, children: &'static mut Pids, family: &'static mut Pids) -> (Lineage, Result<()>) {
        let own_pid = processes::own_pid();
        let (kinship, has_files) = Kinship::probe(own_pid);
        (Lineage { own_pid, kinship, marks, children, family }, has_files)
    }

    pub(crate) fn own_pid(&self) -> i32 {
        self.own_pid
    }

    /// Our children at one moment.
    pub(crate) fn look(&mut self) {
        self.kinship.own_children(self.own_pid, self.children);
    }

    pub(crate) fn count(&self) -> usize {
        self.children.all().len()
    }

    pub(crate) fn child(&self, index: usize) -> Option<i32> {
        self.children.all().get(index).copied()
    }

    /// The last look saw all of them.
    pub(crate) fn saw_all(&self) -> bool {
        !self.children.is_cut()
    }

    /// Kills what descends from a child of ours and bears a wanted number, but not the child. How many were alive.
    pub(crate) fn kill_below(&mut self, child: i32, wanted: impl Fn(u32) -> bool) -> usize {
        self.kinship.family(child, self.family);
        let below = self.family.all().iter().skip(1);
        below.filter(|pid| self.marks.kill_if(**pid, &wanted)).count()
    }

    /// Releases a child of ours, and what bears its number below it. What is forked meanwhile is found by the next pass.
    pub(crate) fn release(&mut self, child: i32, number: u32) {
        const PASSES: usize = 4;
        let _another_users = self.marks.release(child);
        for _ in 0..PASSES {
            self.kinship.family(child, self.family);
            let marks = self.marks;
            let below = self.family.all().iter().skip(1).filter(|pid| marks.number_of(**pid) == Some(number));
            let mut found = false;
            for pid in below {
                found = true;
                let _gone_or_another_users = marks.release(*pid);
            }
            if !found {
                return;
            }
        }
    }

    /// One round of ending everything, but for children that are to be spared and what was released. Whether nothing
    /// that we can end is left.
    ///
    /// A child that is found to have ended may have had one of its own when it was listed, which is ours now and not in the
    /// list: only a list without any such proves anything.
    pub(crate) fn end_all(&mut self, spare: impl Fn(i32) -> bool) -> bool {
        const LOOKS: u32 = 16;
        for _ in 0..LOOKS {
            self.look();
            let (mut ended, mut left) = (0, 0);
            for index in 0..self.count() {
                let Some(pid) = self.child(index).filter(|pid| !spare(*pid)) else { continue };
                if reap(pid).is_some() {
                    ended += 1;
                } else if !self.marks.is_released(pid) && self.kill_with_family(pid) {
                    left += 1;
                }
            }
            if left > 0 || !self.saw_all() {
                return false;
            }
            if ended == 0 {
                return true;
            }
        }
        false
    }

    /// Not if it became another user's, and we have no power over those.
    fn kill_with_family(&mut self, child: i32) -> bool {
        self.kill_below(child, |number| number != ADOPTED);
        signal_child(child, SIGKILL) != Err(Errno::PERM)
    }
}

/// How long to sleep between two rounds of ending something, in milliseconds: a death wakes us in any case.
pub(crate) fn pause(rounds: u32) -> u64 {
    match rounds {
        0..5 => 1 << rounds,
        5..100 => 20,
        _ => 500,
    }
}
