//! The same for programs without an async runtime: calls wait in the thread that makes them, streams are iterators.
//!
//! A [`Hatchery`] is configured by the same [`Builder`] as ever, and started by [`Builder::start_blocking`]. It may be used from as
//! many threads as there are, and by none that runs an async task: there every method that waits says `validation`, as waiting
//! would hold up whatever else the runtime does. One runtime is inside; while calls are made, their own threads drive it, so
//! that no other thread lies between a call and its answer (`docs/design/fast-path.md`).
//!
//! ```no_run
//! use std::collections::BTreeMap;
//! use hatchery::blocking::Hatchery;
//! use hatchery::PythonApp;
//! use serde_json::json;
//!
//! # fn example() -> hatchery::Result<()> {
//! let hatchery = Hatchery::builder().pool("default", PythonApp::file("app.py")).workers(4).start_blocking()?;
//! let pool = hatchery.pool("default")?;
//! let counts: BTreeMap<String, u64> = pool.call("word_count", json!({ "text": "a b a" }))?;
//! for tick in pool.stream::<u64>("countdown", json!({ "n": 3 }))? {
//!     println!("{}", tick?);
//! }
//! hatchery.shutdown()?;
//! # Ok(()) }
//! ```

mod driver;
mod pool;
mod stream;

pub use pool::{Pool, PoolSession};
pub use stream::{Events, PayloadStream, ReplyStream};

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::hatchery::{self, Builder, Cleanup, PoolBuilder};
use crate::id::RunId;
use crate::pool::{PoolStats, WorkerStatus};
use crate::process::Guarantee;
use crate::registry::ProcessEntry;
use crate::session::Sessions;
use crate::telemetry::EventFilter;
use driver::Driver;

/// Running pools and the workers in them, as [`hatchery::Hatchery`](crate::Hatchery) has them.
///
/// Dropping it sends SIGKILL to every process before the drop returns; [`Hatchery::shutdown`] lets calls finish and apps clean up.
pub struct Hatchery {
    inner: hatchery::Hatchery,
    // Goes after what it drives.
    driver: Arc<Driver>,
}

impl Hatchery {
    /// Begins a configuration. [`Builder::start_blocking`] ends it.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The pool of this name.
    ///
    /// # Errors
    /// `not_found`.
    pub fn pool(&self, name: &str) -> Result<Pool> {
        Ok(Pool::new(self.inner.pool(name)?, Arc::clone(&self.driver)))
    }

    /// The pools, by name.
    pub fn pools(&self) -> impl Iterator<Item = Pool> {
        self.inner.pools().map(|pool| Pool::new(pool.clone(), Arc::clone(&self.driver)))
    }

    /// As [`hatchery::Hatchery::shutdown`](crate::Hatchery::shutdown).
    ///
    /// # Errors
    /// As there.
    pub fn shutdown(&self) -> Result<()> {
        self.driver.run(self.inner.shutdown())?
    }

    /// [`Hatchery::shutdown`], but no pool's grace is longer than `longest`.
    ///
    /// # Errors
    /// As there.
    pub fn shutdown_within(&self, longest: Duration) -> Result<()> {
        self.driver.run(self.inner.shutdown_within(longest))?
    }

    /// As [`hatchery::Hatchery::cleanup`](crate::Hatchery::cleanup).
    ///
    /// # Errors
    /// `validation` where an async runtime is.
    pub fn cleanup(&self, within: Duration) -> Result<Cleanup> {
        self.driver.run(self.inner.cleanup(within))
    }

    /// Waits until every pool has a worker that is ready, at most so long.
    ///
    /// # Errors
    /// As [`hatchery::Hatchery::await_ready`](crate::Hatchery::await_ready).
    pub fn await_ready(&self, within: Duration) -> Result<()> {
        self.driver.run(self.inner.await_ready(within))?
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> Events {
        Events::new(self.inner.events(), Arc::clone(&self.driver))
    }

    /// As [`hatchery::Hatchery::events_matching`](crate::Hatchery::events_matching).
    pub fn events_matching(&self, filter: &EventFilter) -> Events {
        Events::new(self.inner.events_matching(filter), Arc::clone(&self.driver))
    }

    /// This run's id.
    pub fn run_id(&self) -> RunId {
        self.inner.run_id()
    }

    /// How well its processes are contained on this machine.
    pub fn guarantee(&self) -> Guarantee {
        self.inner.guarantee()
    }

    /// Every process that it has started for its pools and that is not known to be gone.
    pub fn processes(&self) -> Vec<ProcessEntry> {
        self.inner.processes()
    }

    /// What has become of the calls of all pools so far.
    pub fn stats(&self) -> PoolStats {
        self.inner.stats()
    }

    /// The workers of all pools.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.inner.workers()
    }

    /// The sessions of all pools.
    pub fn sessions(&self) -> &Sessions {
        self.inner.sessions()
    }
}

impl Builder {
    /// [`Builder::start`], for a program without an async runtime.
    ///
    /// # Errors
    /// As there; `validation` where an async runtime is, `internal` if no thread can be started.
    pub fn start_blocking(self) -> Result<Hatchery> {
        let driver = Arc::new(Driver::start()?);
        let inner = driver.run(self.start())??;
        Ok(Hatchery { inner, driver })
    }
}

impl PoolBuilder {
    /// As [`Builder::start_blocking`].
    ///
    /// # Errors
    /// As there.
    pub fn start_blocking(self) -> Result<Hatchery> {
        self.done().start_blocking()
    }
}
