//! A pool as one session sees it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Pool, ReplyStream};
use crate::call::{Affinity, CallOptions, Priority};
use crate::error::Result;

/// Calls of one session. Made by [`Pool::session`]; cheap to clone. The session itself is made by its first call, if there is none,
/// and looked at in [`Hatchery::sessions`](crate::Hatchery::sessions).
#[derive(Clone)]
pub struct PoolSession {
    pool: Pool,
    options: CallOptions,
}

impl PoolSession {
    pub(super) fn new(pool: Pool, id: &str) -> PoolSession {
        PoolSession { pool, options: CallOptions::new().session(id) }
    }

    /// What its calls may do if the session's worker cannot take them. Default: the pool's.
    #[must_use]
    pub fn affinity(mut self, affinity: Affinity) -> PoolSession {
        self.options = self.options.affinity(affinity);
        self
    }

    /// Whose turn comes first.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> PoolSession {
        self.options = self.options.priority(priority);
        self
    }

    /// As [`Pool::call`].
    ///
    /// # Errors
    /// As [`Pool::call`]; `unavailable` with `details.reason` `session_state_lost` if a strict affinity asks for a worker that is
    /// gone; `conflict` if it does not wait for one that is busy; `limit` if there are too many sessions.
    pub async fn call<T: DeserializeOwned>(&self, tool: &str, args: impl Serialize) -> Result<T> {
        self.pool.call_with(tool, args, &self.options).await
    }

    /// As [`Pool::stream`].
    ///
    /// # Errors
    /// As [`PoolSession::call`].
    pub async fn stream<T: DeserializeOwned>(&self, tool: &str, args: impl Serialize) -> Result<ReplyStream<T>> {
        self.pool.stream_with(tool, args, &self.options).await
    }
}
