//! What happens, to those who want to hear of it. Nobody is held up by a reader that is slow: it is told how many it has lost.

use hatchery::{EventFilter, EventKind, Events, Result};

use crate::house::House;

/// Which events somebody wants; absent: whichever.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Names and patterns, like `worker.*`, with commas between.
    pub(crate) kind: Option<&'a str>,
    pub(crate) pool: Option<&'a str>,
    pub(crate) worker: Option<&'a str>,
    pub(crate) correlation_id: Option<&'a str>,
}

impl Wanted<'_> {
    /// # Errors
    /// `validation` for a name that no event has.
    pub(crate) fn filter(&self) -> Result<EventFilter> {
        let kinds = self.kind.unwrap_or_default().split(',').map(str::trim).filter(|kind| !kind.is_empty());
        let filter = kinds.into_iter().try_fold(EventFilter::new(), EventFilter::name)?;
        let filter = self.pool.map_or(filter.clone(), |pool| filter.pool(pool));
        let filter = self.worker.map_or(filter.clone(), |worker| filter.worker(worker));
        Ok(self.correlation_id.map_or(filter.clone(), |id| filter.correlation_id(id)))
    }
}

/// Everything of that kind from now on.
///
/// # Errors
/// `unavailable` before the pools are filled.
pub(crate) fn subscribe(house: &House, filter: &EventFilter) -> Result<Events> {
    Ok(house.filled()?.events_matching(filter))
}

/// Every kind of event that there is.
pub(crate) fn catalogue() -> &'static [EventKind] {
    hatchery::catalogue()
}
