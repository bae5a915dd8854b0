//! Orders to one worker, which have the same form.

use serde::Deserialize;
use serde_json::json;

use crate::exit::Failure;
use crate::remote::Daemon;

/// A worker was told.
#[derive(Deserialize)]
pub(crate) struct Told {
    pub(crate) worker: String,
    pub(crate) pool: String,
    generation: u64,
}

impl Told {
    /// Which worker, which life of it, and what becomes of that.
    pub(crate) fn line(&self, fate: &str) -> String {
        format!("{} (generation {}) {fate}", self.worker, self.generation)
    }
}

impl Daemon {
    /// `recycle`, `restart` or `stop`.
    pub(crate) async fn order_worker(&self, worker: &str, order: &str) -> Result<String, Failure> {
        self.of_worker(worker, self.order(&["workers", worker, order], json!({}))).await
    }
}
