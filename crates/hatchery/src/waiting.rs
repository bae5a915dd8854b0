//! Who waits for whom: calls of workers that wait for calls of other workers, through host tools. A call that would wait for
//! itself is refused.
//!
//! Every such call is made under an [`Errand`], which names the worker's call that waits, and enters a [`Wait`] before it is
//! given to a pool. `waiting/graph.rs` decides, with what the pools say of their workers; this file asks them, with no lock held.

mod graph;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::id::WorkerId;
use graph::{EdgeId, Graph};
pub(crate) use graph::{Life, Occupant, Staff};

/// What a pool says of its workers. Called with no lock held; must not block.
pub(crate) trait Staffed: Send + Sync + 'static {
    /// As it is at this moment.
    fn staff(&self) -> Staff;
}

/// All that wait, in one run. Cheap to clone; every clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Arc<Inner>);

#[derive(Default)]
struct Inner {
    graph: Mutex<Graph>,
    pools: RwLock<HashMap<Arc<str>, Weak<dyn Staffed>>>,
}

impl Waiting {
    /// There is such a pool.
    pub(crate) fn know(&self, pool: Arc<str>, staffed: Weak<dyn Staffed>) {
        self.0.pools.write().unwrap_or_else(PoisonError::into_inner).insert(pool, staffed);
    }

    /// What is done for this call.
    pub(crate) fn errand(&self, from: Occupant) -> Errand {
        Errand { waiting: self.clone(), from }
    }

    /// As far as somebody waits in the line of a pool.
    fn staffs(&self) -> HashMap<Arc<str>, Staff> {
        let wanted = self.graph().pools();
        let asked: Vec<(Arc<str>, Arc<dyn Staffed>)> = {
            let pools = self.0.pools.read().unwrap_or_else(PoisonError::into_inner);
            wanted.into_iter().filter_map(|name| pools.get(&name)?.upgrade().map(|pool| (name, pool))).collect()
        };
        asked.into_iter().map(|(name, pool)| (name, pool.staff())).collect()
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        // Every section leaves the graph whole.
        self.0.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On whose behalf a call is made: of a worker's call, which keeps its place until this one ends.
#[derive(Clone)]
pub(crate) struct Errand {
    waiting: Waiting,
    from: Occupant,
}

impl Errand {
    /// Before a call is given to a pool, and to one worker of it alone, if it is for that.
    ///
    /// # Errors
    /// `conflict`, with the circle, if it could only be served once it is over itself.
    pub(crate) fn wait_for(&self, pool: &Arc<str>, only: Option<&str>) -> Result<Wait> {
        let edge = self.waiting.graph().begin(self.from.clone(), Arc::clone(pool), only);
        // From here on, others count with it: of two that close a circle at the same time, one is refused at least.
        let wait = Wait { waiting: self.waiting.clone(), edge };
        let staffs = self.waiting.staffs();
        let circle = self.waiting.graph().circle(edge, &staffs);
        circle.map_or(Ok(wait), |circle| Err(would_wait_for_itself(pool, &circle)))
    }
}

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Errand({:?})", self.from)
    }
}

/// That somebody waits. Over when this is dropped, however that comes about.
pub(crate) struct Wait {
    waiting: Waiting,
    edge: EdgeId,
}

impl Wait {
    /// What travels with the call.
    pub(crate) fn mark(&self) -> Mark {
        Mark { waiting: self.waiting.clone(), edge: self.edge }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waiting.graph().end(self.edge);
    }
}

/// Says where a call has got to that somebody waits for. Nothing comes of it once nobody does.
pub(crate) struct Mark {
    waiting: Waiting,
    edge: EdgeId,
}

impl Mark {
    /// It has a place in this worker, under this number.
    pub(crate) fn runs_in(&self, worker: &WorkerId, generation: u64, call: u64) {
        let life = Life { worker: worker.clone(), generation };
        self.waiting.graph().runs(self.edge, Occupant { life, call });
    }
}

fn would_wait_for_itself(pool: &str, circle: &[WorkerId]) -> Error {
    let names: Vec<&str> = circle.iter().map(WorkerId::as_str).collect();
    let message = format!(
        "call pool {pool} from a tool: it would wait for itself ({}), and none of these workers has a free place; give one of \
         their pools more workers, or call without waiting",
        names.join(" → ")
    );
    let details = json!({ "reason": "would_deadlock", "pool": pool, "cycle": names });
    Error::new(ErrorKind::Conflict, message).with_details(details)
}

#[cfg(test)]
mod tests;
