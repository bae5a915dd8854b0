//! One session, as plain data.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;

use super::check::{self, Checked};
use crate::error::Result;
use crate::id::{RunId, WorkerId};

/// A named conversation: what is known of it, apart from what its worker keeps in its own memory.
///
/// It is a copy, cheap to make; changing it changes nothing in the store. [`Sessions::update`](super::Sessions::update) does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Session {
    /// 1 to 256 bytes. It never changes.
    pub id: Arc<str>,
    /// Stored programs by name.
    pub programs: Entries,
    /// Facts by name.
    pub metadata: Entries,
    /// By the wall clock.
    pub created_at: SystemTime,
    /// By the wall clock, for people and for the next run. In this run the session's time is told by a clock that nobody sets.
    pub last_accessed: SystemTime,
    /// So long after its last access it is gone; `None` is never.
    pub ttl: Option<Duration>,
    /// Which worker served it last.
    pub last_worker: Option<SessionWorker>,
}

/// One life of one worker. Another run or another generation is another memory: what a session had in this one is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionWorker {
    /// The run that the worker belongs to.
    pub run: RunId,
    /// Its name, which its successors share.
    pub worker: WorkerId,
    /// Which of them it was.
    pub generation: u64,
}

/// What a session amounts to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionStats {
    /// Since it was created.
    pub age: Duration,
    /// Since it was last accessed.
    pub since_access: Duration,
    /// How many programs it has.
    pub programs: usize,
    /// How many facts it has.
    pub metadata: usize,
    /// Both together.
    pub items: usize,
    /// How much memory it takes, estimated.
    pub memory_bytes: usize,
}

impl Session {
    /// A new one, without anything in it.
    pub(crate) fn new(id: impl Into<Arc<str>>, ttl: Option<Duration>, now: SystemTime) -> Session {
        Session {
            id: id.into(),
            programs: Entries::default(),
            metadata: Entries::default(),
            created_at: now,
            last_accessed: now,
            ttl,
            last_worker: None,
        }
    }

    /// Whether the store would take it.
    ///
    /// # Errors
    /// [`Validation`](crate::ErrorKind::Validation) or, if there is too much in it, [`Limit`](crate::ErrorKind::Limit), with
    /// `details.reason` one of `invalid_id`, `invalid_programs`, `invalid_metadata`, `invalid_created_at`,
    /// `invalid_last_accessed`, `invalid_timestamps` and `invalid_ttl`.
    pub fn validate(&self) -> Result<()> {
        Checked::of(self.clone()).map(drop)
    }

    /// Accesses it now. The clock may have been set back: it is never accessed before it was created.
    pub fn touch(&mut self, now: SystemTime) {
        self.last_accessed = now.max(self.created_at);
    }

    /// Whether it is gone by then, if nobody accesses it and nobody sets the clock.
    pub fn is_expired(&self, at: SystemTime) -> bool {
        self.ttl.and_then(|ttl| self.last_accessed.checked_add(ttl)).is_some_and(|end| end < at)
    }

    /// What it amounts to.
    pub fn stats(&self, now: SystemTime) -> SessionStats {
        let since = |then| now.duration_since(then).unwrap_or_default();
        SessionStats {
            age: since(self.created_at),
            since_access: since(self.last_accessed),
            programs: self.programs.len(),
            metadata: self.metadata.len(),
            items: self.programs.len() + self.metadata.len(),
            memory_bytes: check::memory_of(self),
        }
    }
}

/// JSON values by name: a `BTreeMap` whose clone costs nothing until one of the two is changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries(Arc<BTreeMap<String, Value>>);

impl Entries {
    /// Whether they are the very same, without looking at what is in them.
    pub(super) fn is(&self, other: &Entries) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Entries {
    type Target = BTreeMap<String, Value>;

    fn deref(&self) -> &BTreeMap<String, Value> {
        &self.0
    }
}

impl DerefMut for Entries {
    fn deref_mut(&mut self) -> &mut BTreeMap<String, Value> {
        Arc::make_mut(&mut self.0)
    }
}

impl From<BTreeMap<String, Value>> for Entries {
    fn from(map: BTreeMap<String, Value>) -> Entries {
        Entries(Arc::new(map))
    }
}
