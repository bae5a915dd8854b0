//! What is in memory and not yet on disk: of each session the last thing only, so that it is bounded however slow the disk is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::super::conversation::Session;

/// What must be done to the file.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::session) enum Change {
    /// The session is this.
    Put(Session),
    /// It is only its last access that is new.
    Touch(Session),
    /// Somebody said so.
    Delete(Arc<str>),
    /// Its time is over, unless another run has accessed it later than this one knows.
    Expire(Arc<str>, SystemTime),
}

#[derive(Debug)]
pub(super) struct Changes {
    is_durable: bool,
    pending: HashMap<Arc<str>, Kind>,
    /// Whether there is something that should not wait, and nobody was woken for it.
    is_urgent: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Changed,
    /// Not urgent: a call must not cost a write. It goes with the next thing that is, or at the next cleanup.
    Touched,
    Deleted,
    Expired(SystemTime),
}

impl Changes {
    pub(super) fn new(is_durable: bool) -> Changes {
        Changes { is_durable, pending: HashMap::new(), is_urgent: false }
    }

    pub(super) fn changed(&mut self, id: &Arc<str>) {
        self.urgent(id, Kind::Changed);
    }

    pub(super) fn touched(&mut self, id: &Arc<str>) {
        // Cheap where it was touched before: that is every call.
        if self.is_durable && !self.pending.contains_key(id) {
            self.pending.insert(Arc::clone(id), Kind::Touched);
        }
    }

    pub(super) fn deleted(&mut self, id: &str) {
        if self.is_durable {
            self.urgent(&Arc::from(id), Kind::Deleted);
        }
    }

    pub(super) fn expired(&mut self, id: &Arc<str>, last_accessed: SystemTime) {
        self.urgent(id, Kind::Expired(last_accessed));
    }

    fn urgent(&mut self, id: &Arc<str>, kind: Kind) {
        if self.is_durable {
            self.pending.insert(Arc::clone(id), kind);
            self.is_urgent = true;
        }
    }

    pub(super) fn want_writer(&mut self) -> bool {
        std::mem::take(&mut self.is_urgent)
    }

    pub(super) fn take<'a>(&mut self, current: impl Fn(&str) -> Option<&'a Session>) -> Vec<Change> {
        let change = |(id, kind): (Arc<str>, Kind)| match kind {
            Kind::Changed => current(&id).cloned().map(Change::Put),
            Kind::Touched => current(&id).cloned().map(Change::Touch),
            Kind::Deleted => Some(Change::Delete(id)),
            Kind::Expired(last_accessed) => Some(Change::Expire(id, last_accessed)),
        };
        std::mem::take(&mut self.pending).into_iter().filter_map(change).collect()
    }

    /// What has come since is newer, but that a session was only touched since does not undo that it was changed before.
    pub(super) fn give_back(&mut self, unwritten: Vec<Change>) {
        for change in unwritten {
            let (id, kind) = match change {
                Change::Put(session) => (session.id, Kind::Changed),
                Change::Touch(session) => (session.id, Kind::Touched),
                Change::Delete(id) => (id, Kind::Deleted),
                Change::Expire(id, last_accessed) => (id, Kind::Expired(last_accessed)),
            };
            let newer = self.pending.entry(id).or_insert(kind);
            if matches!((kind, *newer), (Kind::Changed, Kind::Touched)) {
                *newer = Kind::Changed;
            }
        }
    }
}
