//! A pool, for threads that wait.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::driver::Driver;
use super::stream::{PayloadStream, ReplyStream};
use crate::call::{Affinity, CallOptions, Priority};
use crate::error::Result;
use crate::pool::{self, PoolStats, PoolStatus, WorkerStatus};
use crate::tool::ToolSpec;
use crate::value::Payload;

/// A handle of a running pool: cheap to clone, usable from any thread. What it does and which errors it has stands at
/// [`hatchery::Pool`](crate::Pool); every method that waits adds `validation`, where an async runtime is.
///
/// A call that waits cannot be dropped: what bounds it is its timeout.
#[derive(Clone)]
pub struct Pool {
    inner: pool::Pool,
    driver: Arc<Driver>,
}

impl Pool {
    pub(super) fn new(inner: pool::Pool, driver: Arc<Driver>) -> Pool {
        Pool { inner, driver }
    }

    /// Calls a unary tool and waits for its result.
    ///
    /// # Errors
    /// As [`crate::Pool::call`].
    pub fn call<T: DeserializeOwned>(&self, tool: &str, args: impl Serialize) -> Result<T> {
        self.driver.run(self.inner.call(tool, args))?
    }

    /// [`Pool::call`] with options.
    ///
    /// # Errors
    /// As [`Pool::call`].
    pub fn call_with<T: DeserializeOwned>(&self, tool: &str, args: impl Serialize, options: &CallOptions) -> Result<T> {
        self.driver.run(self.inner.call_with(tool, args, options))?
    }

    /// [`Pool::call`] without looking into arguments or result.
    ///
    /// # Errors
    /// As [`Pool::call`].
    pub fn call_payload(&self, tool: &str, args: Payload, options: &CallOptions) -> Result<Payload> {
        self.driver.run(self.inner.call_payload(tool, args, options))?
    }

    /// Calls a streaming tool. Chunks come as the tool yields them; a slow reader holds the generator back. Dropping the stream
    /// cancels it.
    ///
    /// # Errors
    /// As [`crate::Pool::stream`].
    pub fn stream<T: DeserializeOwned>(&self, tool: &str, args: impl Serialize) -> Result<ReplyStream<T>> {
        self.stream_with(tool, args, &CallOptions::default())
    }

    /// [`Pool::stream`] with options.
    ///
    /// # Errors
    /// As [`Pool::stream`].
    pub fn stream_with<T: DeserializeOwned>(
        &self,
        tool: &str,
        args: impl Serialize,
        options: &CallOptions,
    ) -> Result<ReplyStream<T>> {
        let stream = self.driver.run(self.inner.stream_with(tool, args, options))??;
        Ok(ReplyStream::new(stream, Arc::clone(&self.driver)))
    }

    /// [`Pool::stream`] without looking into arguments or chunks.
    ///
    /// # Errors
    /// As [`Pool::stream`].
    pub fn stream_payload(&self, tool: &str, args: Payload, options: &CallOptions) -> Result<PayloadStream> {
        let stream = self.driver.run(self.inner.stream_payload(tool, args, options))??;
        Ok(PayloadStream::new(stream, Arc::clone(&self.driver)))
    }

    /// Calls of one session.
    pub fn session(&self, id: &str) -> PoolSession {
        PoolSession { inner: self.inner.session(id), driver: Arc::clone(&self.driver) }
    }

    /// Waits until a worker is ready, at most so long.
    ///
    /// # Errors
    /// As [`crate::Pool::await_ready`].
    pub fn await_ready(&self, within: Duration) -> Result<()> {
        self.driver.run(self.inner.await_ready(within))?
    }

    /// Waits until the first start of every worker has come to an end, at most so long.
    ///
    /// # Errors
    /// As [`crate::Pool::await_all`].
    pub fn await_all(&self, within: Duration) -> Result<()> {
        self.driver.run(self.inner.await_all(within))?
    }

    /// Takes no more calls, and waits until those that it has are served.
    ///
    /// # Errors
    /// `validation` where an async runtime is.
    pub fn drain(&self) -> Result<()> {
        self.driver.run(self.inner.drain())
    }

    /// Takes calls again.
    pub fn resume(&self) {
        self.inner.resume();
    }

    /// From now on it is to have so many workers.
    ///
    /// # Errors
    /// As [`crate::Pool::scale`].
    pub fn scale(&self, workers: usize) -> Result<()> {
        self.inner.scale(workers)
    }

    /// Replaces every worker, in batches. Does not wait.
    pub fn reload(&self) {
        self.inner.reload();
    }

    /// Replaces one worker, named by its id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn recycle(&self, worker: &str) -> Result<()> {
        self.inner.recycle(worker)
    }

    /// The tools of the app, in the app's order.
    pub fn tools(&self) -> Arc<[ToolSpec]> {
        self.inner.tools()
    }

    /// What has become of its calls so far.
    pub fn stats(&self) -> PoolStats {
        self.inner.stats()
    }

    /// How busy the pool is at this moment.
    pub fn status(&self) -> PoolStatus {
        self.inner.status()
    }

    /// The workers, by seat.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.inner.workers()
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.inner.name()
    }
}

/// Calls of one session. Made by [`Pool::session`]; cheap to clone.
#[derive(Clone)]
pub struct PoolSession {
    inner: pool::PoolSession,
    driver: Arc<Driver>,
}

impl PoolSession {
    /// What its calls may do if the session's worker cannot take them. Default: the pool's.
    #[must_use]
    pub fn affinity(mut self, affinity: Affinity) -> PoolSession {
        self.inner = self.inner.affinity(affinity);
        self
    }

    /// Whose turn comes first.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> PoolSession {
        self.inner = self.inner.priority(priority);
        self
    }

    /// As [`Pool::call`].
    ///
    /// # Errors
    /// As [`crate::PoolSession::call`].
    pub fn call<T: DeserializeOwned>(&self, tool: &str, args: impl Serialize) -> Result<T> {
        self.driver.run(self.inner.call(tool, args))?
    }

    /// As [`Pool::stream`].
    ///
    /// # Errors
    /// As [`PoolSession::call`].
    pub fn stream<T: DeserializeOwned>(&self, tool: &str, args: impl Serialize) -> Result<ReplyStream<T>> {
        let stream = self.driver.run(self.inner.stream(tool, args))??;
        Ok(ReplyStream::new(stream, Arc::clone(&self.driver)))
    }
}
