//! The two guards of an entry: before its process exists, and after.

use std::sync::Arc;

use super::entry::EntryState;
use super::record::Line;
use super::{Shared, unix_millis};
use crate::process::{Identity, Standing, redacted};

/// A number for a process that does not exist yet. Dropped, nothing was started, and the entry goes.
#[derive(Debug)]
#[must_use]
pub(crate) struct Reservation {
    shared: Arc<Shared>,
    number: u32,
    is_used: bool,
}

/// What is known of a process once it runs.
#[derive(Debug)]
pub(crate) struct Started<'a> {
    pub(crate) identity: Identity,
    pub(crate) process_group: Option<u32>,
    pub(crate) cgroup: Option<String>,
    /// Its arguments, the program first. Secrets are taken out here.
    pub(crate) command: &'a [String],
}

/// A process that runs, or has not been seen to end.
///
/// Dropped without [`release`](Entry::release), the entry goes if the process has ended; else it stays as terminating
/// until [`Registry::release_dead`](super::Registry::release_dead) finds that it has.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entry {
    shared: Arc<Shared>,
    number: u32,
    identity: Identity,
    is_released: bool,
}

impl Reservation {
    pub(super) fn new(shared: Arc<Shared>, number: u32) -> Reservation {
        Reservation { shared, number, is_used: false }
    }

    /// The worker's number in the mark: 1 or more, never used twice in a run.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The process runs.
    pub(crate) fn activate(mut self, started: Started<'_>) -> Entry {
        self.is_used = true;
        let (shared, number, identity) = (Arc::clone(&self.shared), self.number, started.identity);
        let command = redacted(started.command.iter().map(String::as_str));
        shared.write_down(Line::Started { number, identity: identity.remembered(), command: command.clone() });
        shared.roll().activate(number, identity);
        shared.change(number, |entry| {
            entry.state = EntryState::Active;
            entry.pid = Some(identity.pid().get().unsigned_abs());
            entry.identity = Some(identity.remembered().to_string());
            entry.process_group = started.process_group;
            entry.cgroup = started.cgroup;
            entry.command = Some(command);
            entry.activated_at = Some(unix_millis());
        });
        Entry { shared, number, identity, is_released: false }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_used {
            self.shared.release(self.number);
        }
    }
}

impl Entry {
    #[cfg(test)]
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The end of the process begins. Saying it twice is fine.
    pub(crate) fn terminating(&self) {
        self.shared.change(self.number, |entry| {
            entry.state = EntryState::Terminating;
            entry.terminating_at.get_or_insert_with(unix_millis);
        });
    }

    /// The process was seen to end, and nothing of it is left: a leader that is reaped, a cgroup that is empty.
    pub(crate) fn release(mut self) {
        self.is_released = true;
        self.shared.release(self.number);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // In a host's fork the process is still the original's.
        if self.is_released || !self.shared.is_in_owner() {
            return;
        }
        match self.identity.standing() {
            Standing::Dead(_) => self.shared.release(self.number),
            _ => {
                self.shared.roll().let_go(self.number);
                self.terminating();
            }
        }
    }
}
