//! A tool of a pool as a host tool, as data.

use std::time::Duration;

/// A tool of one pool that the workers of others may call: through the queue of its pool, with the deadline of the call on whose
/// behalf they do, not as part of its session. For [`Builder::with_pool_tool`](crate::Builder::with_pool_tool), or one of
/// `[[host_tools]]` in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolTool {
    /// What workers call it by.
    pub name: String,
    /// The pool that runs it.
    pub pool: String,
    /// The tool, as that pool's app calls it.
    pub tool: String,
    /// What it is for. Default: what the app says of it.
    pub description: Option<String>,
    /// Whether workers see it. Default: true.
    pub exposed: bool,
    /// Whether running it twice does no harm. Default: false.
    pub idempotent: bool,
    /// How long a call of it may take, if its caller has as long. Default: as the pool says.
    pub timeout: Option<Duration>,
}

impl PoolTool {
    /// With the defaults.
    pub fn new(name: impl Into<String>, pool: impl Into<String>, tool: impl Into<String>) -> PoolTool {
        let (description, exposed, idempotent, timeout) = (None, true, false, None);
        PoolTool { name: name.into(), pool: pool.into(), tool: tool.into(), description, exposed, idempotent, timeout }
    }
}
