//! Whether who was let in still would be. It is asked again, for each answer under way, when what decides has changed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hatchery::Error;

use super::{Access, Arrival, Caller};

/// That of a caller, for as long as an answer is under way.
pub(crate) struct Standing {
    access: Arc<Access>,
    arrival: Arc<Arrival>,
    caller: Caller,
    /// As of which change it was let in.
    seen: u64,
    /// The next one. Most answers are over before anybody waits for it.
    change: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Standing {
    /// Of a caller who was let in as of this change.
    pub(crate) fn new(access: &Arc<Access>, arrival: &Arc<Arrival>, caller: Caller, seen: u64) -> Standing {
        Standing { access: Arc::clone(access), arrival: Arc::clone(arrival), caller, seen, change: None }
    }

    /// Why it is let in no more, if so.
    pub(crate) fn lost(&mut self) -> Option<Error> {
        let now = self.access.changes();
        if now == self.seen {
            return None;
        }
        (self.seen, self.change) = (now, None);
        self.access.again(&self.arrival, &self.caller).err()
    }

    /// Waits until it is let in no more.
    pub(crate) fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        loop {
            if let Some(error) = self.lost() {
                return Poll::Ready(error);
            }
            let (access, seen) = (&self.access, self.seen);
            let change = self.change.get_or_insert_with(|| Box::pin(Arc::clone(access).changed(seen)));
            if change.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
