//! The processes of this run, in memory. What is asked here is the truth; the disk follows.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::{EntryState, ProcessEntry};
use crate::process::Identity;

/// Found by number, by worker or by pid, each without a walk.
#[derive(Debug, Default)]
pub(super) struct Roll {
    members: HashMap<u32, Member>,
    /// The newest of each worker id: its predecessor may still be ending.
    by_worker: HashMap<String, u32>,
    by_pid: HashMap<u32, u32>,
}

/// An entry, and how its process can be found again.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) entry: Arc<ProcessEntry>,
    pub(super) identity: Option<Identity>,
    /// Whether somebody still holds it, and will say when it is gone.
    pub(super) is_held: bool,
}

impl Roll {
    pub(super) fn insert(&mut self, member: Member) {
        let entry = &member.entry;
        self.by_worker.insert(entry.worker.clone(), entry.number);
        self.by_pid.extend(entry.pid.map(|pid| (pid, entry.number)));
        self.members.insert(entry.number, member);
    }

    /// Changes an entry, and gives it back as it is now.
    pub(super) fn change(&mut self, number: u32, change: impl FnOnce(&mut ProcessEntry)) -> Option<Arc<ProcessEntry>> {
        let member = self.members.get_mut(&number)?;
        change(Arc::make_mut(&mut member.entry));
        Some(Arc::clone(&member.entry))
    }

    pub(super) fn activate(&mut self, number: u32, identity: Identity) {
        if let Some(member) = self.members.get_mut(&number) {
            member.identity = Some(identity);
            self.by_pid.insert(identity.pid().get().unsigned_abs(), number);
        }
    }

    pub(super) fn let_go(&mut self, number: u32) {
        if let Some(member) = self.members.get_mut(&number) {
            member.is_held = false;
        }
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Arc<ProcessEntry>> {
        let entry = self.members.remove(&number)?.entry;
        if let Some(pid) = entry.pid.filter(|pid| self.by_pid.get(pid) == Some(&number)) {
            self.by_pid.remove(&pid);
        }
        if self.by_worker.get(&entry.worker) == Some(&number) {
            let others = self.members.values().filter(|other| other.entry.worker == entry.worker);
            match others.map(|other| other.entry.number).max() {
                Some(other) => self.by_worker.insert(entry.worker.clone(), other),
                None => self.by_worker.remove(&entry.worker),
            };
        }
        Some(entry)
    }

    pub(super) fn by_number(&self, number: u32) -> Option<&Member> {
        self.members.get(&number)
    }

    pub(super) fn by_worker(&self, worker: &str) -> Option<Arc<ProcessEntry>> {
        self.entry(*self.by_worker.get(worker)?)
    }

    pub(super) fn by_pid(&self, pid: u32) -> Option<Arc<ProcessEntry>> {
        self.entry(*self.by_pid.get(&pid)?)
    }

    pub(super) fn entry(&self, number: u32) -> Option<Arc<ProcessEntry>> {
        Some(Arc::clone(&self.members.get(&number)?.entry))
    }

    /// In the order of their numbers.
    pub(super) fn members(&self) -> Vec<Member> {
        let mut members: Vec<Member> = self.members.values().cloned().collect();
        members.sort_unstable_by_key(|member| member.entry.number);
        members
    }

    /// The pids of entries in these states, in the order of their numbers.
    pub(super) fn pids(&self, is_wanted: impl Fn(EntryState) -> bool) -> Vec<u32> {
        let members = self.members();
        members.iter().filter(|member| is_wanted(member.entry.state)).filter_map(|member| member.entry.pid).collect()
    }
}
