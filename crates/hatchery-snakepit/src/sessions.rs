//! Which sessions a worker knows: its own, of which nobody else hears, and those of the run's store that it has seen.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hatchery::{Error, ErrorKind, Result, Sessions};

/// A worker that makes up more sessions than these has lost its way.
const MOST_OWN: usize = 10_000;

pub(crate) struct WorkerSessions {
    store: Sessions,
    /// Of calls that are no session's.
    private: String,
    /// Those that the worker made itself, and not the run.
    own: Mutex<HashMap<String, Own>>,
    /// Those that the worker was given calls of, and keeps a heartbeat for.
    seen: Mutex<HashSet<String>>,
}

struct Own {
    metadata: BTreeMap<String, String>,
    created_at: SystemTime,
}

/// What there is to say of a session.
pub(crate) struct Known {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) created_at: SystemTime,
}

impl WorkerSessions {
    pub(crate) fn new(store: Sessions) -> WorkerSessions {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let now = SystemTime::now();
        let micros = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let private = format!("session_{}_{micros}", NEXT.fetch_add(1, Ordering::Relaxed));
        let own = HashMap::from([(private.clone(), Own { metadata: BTreeMap::new(), created_at: now })]);
        WorkerSessions { store, private, own: Mutex::new(own), seen: Mutex::default() }
    }

    /// The id under which calls run that are no session's.
    pub(crate) fn private(&self) -> &str {
        &self.private
    }

    /// The worker is about to get a call of it.
    pub(crate) fn sees(&self, id: &str) {
        lock(&self.seen).insert(id.to_owned());
    }

    /// Whether it was seen; it is not any more.
    pub(crate) fn forget(&self, id: &str) -> bool {
        lock(&self.seen).remove(id)
    }

    /// A worker begins with it. There is one afterwards, whether there was one before or not: what a worker begins with by itself is
    /// its own, and in no store.
    pub(crate) fn initialize(&self, id: &str, metadata: BTreeMap<String, String>) -> Result<()> {
        if id.is_empty() {
            return Err(Error::new(ErrorKind::Validation, "expected the id of a session, found an empty one"));
        }
        if self.is_stored(id) {
            return Ok(());
        }
        let mut own = lock(&self.own);
        if own.contains_key(id) {
            return Ok(());
        }
        if own.len() >= MOST_OWN {
            let message = format!("a worker may have {MOST_OWN} sessions of its own");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        own.insert(id.to_owned(), Own { metadata, created_at: SystemTime::now() });
        Ok(())
    }

    /// Whether there is one.
    pub(crate) fn is_known(&self, id: &str) -> bool {
        lock(&self.own).contains_key(id) || self.is_stored(id)
    }

    pub(crate) fn get(&self, id: &str) -> Option<Known> {
        if let Some(Own { metadata, created_at }) = lock(&self.own).get(id) {
            return Some(Known { metadata: metadata.clone(), created_at: *created_at });
        }
        let session = self.store.get(id).ok()?;
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let metadata = session.metadata.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        Some(Known { metadata, created_at: session.created_at })
    }

    /// The worker is done with it. The run's sessions are not a worker's to end, and its private one is needed for as long as it lives.
    pub(crate) fn clean_up(&self, id: &str) {
        self.forget(id);
        if id != self.private {
            lock(&self.own).remove(id);
        }
    }

    fn is_stored(&self, id: &str) -> bool {
        self.store.exists(id)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
