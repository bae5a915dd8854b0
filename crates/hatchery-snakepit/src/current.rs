//! The calls that a worker runs at this moment, as far as what it asks of its host is for one of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hatchery::{HostCaller, ProfileCall, WorkerId};

/// Of one worker, in one life of it.
pub(crate) struct Current {
    worker: WorkerId,
    generation: u64,
    calls: Mutex<Vec<ProfileCall>>,
}

/// A call that runs, for as long as this lives.
pub(crate) struct Running<'a> {
    current: &'a Current,
    number: u64,
}

impl Current {
    pub(crate) fn new(worker: WorkerId, generation: u64) -> Current {
        Current { worker, generation, calls: Mutex::default() }
    }

    pub(crate) fn worker(&self) -> &WorkerId {
        &self.worker
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn runs(&self, call: &ProfileCall) -> Running<'_> {
        self.lock().push(call.clone());
        Running { current: self, number: call.number }
    }

    /// Who asks: the call with this correlation id, else the only one that runs; else the worker, for nobody can tell which.
    pub(crate) fn caller(&self, session: &str, correlation_id: Option<&str>) -> HostCaller {
        let call = self.call(correlation_id);
        let number = call.as_ref().map(|call| call.number);
        let caller = HostCaller::new().on_behalf_of(self.worker.as_str(), self.generation, number).session(session);
        let Some(call) = call else { return caller };
        let caller = caller.correlation_id(Arc::clone(&call.correlation_id));
        let caller = match call.trace_parent {
            Some(span) => caller.trace_parent(span),
            None => caller,
        };
        match call.deadline {
            Some(at) => caller.deadline(at),
            None => caller,
        }
    }

    fn call(&self, correlation_id: Option<&str>) -> Option<ProfileCall> {
        let calls = self.lock();
        let named = correlation_id.and_then(|id| calls.iter().find(|call| &*call.correlation_id == id));
        named.or_else(|| calls.first().filter(|_| calls.len() == 1)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ProfileCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let number = self.number;
        self.current.lock().retain(|call| call.number != number);
    }
}
