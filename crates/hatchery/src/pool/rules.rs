//! What a pool obeys just now. Exchanged as a whole while it runs: who has begun under the old rules ends under them.

use std::sync::Arc;

use super::Config;
use super::guard::Guard;
use super::roster;
use crate::app::App;

pub(crate) struct Rules {
    pub(crate) app: Arc<dyn App>,
    pub(crate) config: Config,
    pub(super) guard: Guard,
}

impl Rules {
    pub(super) fn new(pool: &str, app: Arc<dyn App>, config: Config) -> Rules {
        let guard = Guard::new(pool, config.faults.clone());
        Rules { app, config: counted(config), guard }
    }

    /// Those that follow these. What is known of faults stays, as far as it is known under the same settings.
    pub(super) fn followed_by(&self, pool: &str, app: Arc<dyn App>, config: Config) -> Rules {
        let guard = self.guard.under(pool, &self.config.faults, &config.faults);
        Rules { app, config: counted(config), guard }
    }

    pub(super) fn of_roster(&self) -> roster::Config {
        roster::Config {
            per_worker: self.config.per_worker(),
            max_queue: self.config.max_queue,
            max_requests: self.config.recycle.max_requests.map(|limit| limit.max(1)),
        }
    }
}

fn counted(mut config: Config) -> Config {
    config.worker.max_in_flight = config.per_worker();
    config
}
