//! A subscription to events.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::emitter::Subscription;
use super::event::{Event, Heard, Lagged};
use super::filter::EventFilter;

/// A subscription to events. A reader that is slow holds nobody up: it loses the oldest, and can know how many.
#[derive(Debug)]
pub struct Events {
    /// Dropped before the subscription.
    receiver: broadcast::Receiver<Arc<Heard>>,
    filter: EventFilter,
    lost: u64,
    _subscription: Subscription,
}

impl Events {
    pub(super) fn new(
        receiver: broadcast::Receiver<Arc<Heard>>,
        filter: EventFilter,
        subscription: Subscription,
    ) -> Events {
        Events { receiver, filter, lost: 0, _subscription: subscription }
    }

    /// The next event; `None` once the hatchery is gone. Events that were lost because this reader was too slow are
    /// skipped: [`Events::hear`] tells of them, [`Events::lost`] counts them. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let heard = self.hear().await?;
            if !matches!(heard.event, Event::Lagged(_)) {
                return Some(Arc::unwrap_or_clone(heard).event);
            }
        }
    }

    /// The next event with its time; `None` once the hatchery is gone. Where this reader has lost some, an [`Event::Lagged`] stands
    /// in their place, whatever the filter says. All who hear of an event share it. Cancel safe.
    pub async fn hear(&mut self) -> Option<Arc<Heard>> {
        loop {
            match self.receiver.recv().await {
                Ok(heard) if self.filter.matches(&heard.event) => return Some(heard),
                Ok(_unwanted) => {}
                Err(RecvError::Lagged(lost)) => return Some(self.lagged(lost)),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many events this reader has lost so far because it was too slow. Of those of the names that it asked for; whether
    /// they were of the pool, the worker or the call that it asked for, nobody knows.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn lagged(&mut self, lost: u64) -> Arc<Heard> {
        self.lost += lost;
        Arc::new(Heard { at: SystemTime::now(), event: Event::Lagged(Lagged { lost }) })
    }
}
