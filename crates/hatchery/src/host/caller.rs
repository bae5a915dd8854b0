//! Who calls a host tool, and what its call hands down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::table::Seen;
use crate::call::CallOptions;
use crate::id::WorkerId;
use crate::waiting::{Errand, Life, Occupant, Waiting};

/// Who calls a host tool: a call of a worker, or this program itself.
#[derive(Clone, Debug, Default)]
pub struct HostCaller {
    worker: Option<Life>,
    call: Option<u64>,
    session: Option<Arc<str>>,
    correlation_id: Option<Arc<str>>,
    trace_parent: Option<Arc<str>>,
    deadline: Option<Instant>,
    errand: Option<Errand>,
    hosts: bool,
}

/// Whoever makes a call of these options: its session, its time from now on, its correlation id or a new one, and its span. The
/// rest is for pools.
impl From<&CallOptions> for HostCaller {
    fn from(options: &CallOptions) -> HostCaller {
        let CallOptions { timeout, correlation_id, session, trace_parent, .. } = options.identified();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        HostCaller { session: session.map(Arc::from), correlation_id, trace_parent, deadline, ..HostCaller::default() }
    }
}

impl HostCaller {
    /// This program, for nobody in particular, for as long as it takes.
    pub fn new() -> HostCaller {
        HostCaller::default()
    }

    /// It is a worker, in this life of it: sees only what is [exposed](crate::HostTool::exposed). `call` is the number of the call
    /// that it runs and that waits for the tool ([`ProfileCall::number`](crate::ProfileCall)); without one, nobody can tell
    /// whether that waits for itself.
    #[must_use]
    pub fn on_behalf_of(mut self, worker: &str, generation: u64, call: Option<u64>) -> HostCaller {
        self.worker = Some(Life { worker: WorkerId::read(worker), generation });
        self.call = call;
        self
    }

    /// Looks at the host's own tools only: what a worker has registered under the same name neither is called nor hides one.
    #[must_use]
    pub fn hosts_tools_only(mut self) -> HostCaller {
        self.hosts = true;
        self
    }

    /// Of this session.
    #[must_use]
    pub fn session(mut self, id: impl Into<Arc<str>>) -> HostCaller {
        self.session = Some(id.into());
        self
    }

    /// Under this id.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<Arc<str>>) -> HostCaller {
        self.correlation_id = Some(id.into());
        self
    }

    /// As part of this span, which is one of the W3C's `traceparent`.
    #[must_use]
    pub fn trace_parent(mut self, text: impl Into<Arc<str>>) -> HostCaller {
        self.trace_parent = Some(text.into());
        self
    }

    /// Until then.
    #[must_use]
    pub fn deadline(mut self, at: Instant) -> HostCaller {
        self.deadline = Some(at);
        self
    }

    /// The worker that calls, if one does.
    pub fn worker(&self) -> Option<&str> {
        self.worker.as_ref().map(|life| life.worker.as_str())
    }

    /// Which life of it.
    pub fn generation(&self) -> Option<u64> {
        self.worker.as_ref().map(|life| life.generation)
    }

    /// The session that the call is of.
    pub fn session_id(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The correlation id of the call.
    pub fn correlation(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }

    /// The span that the call is part of.
    pub fn span(&self) -> Option<&str> {
        self.trace_parent.as_deref()
    }

    /// When the call's time is over.
    pub fn deadline_at(&self) -> Option<Instant> {
        self.deadline
    }

    /// How long that is from now.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// For calls that the tool makes to answer this one: they are part of it, last no longer, and are refused if they would wait for
    /// themselves. The session is not passed on: [`CallOptions::session`] does.
    pub fn options(&self) -> CallOptions {
        let mut options = CallOptions::new();
        options.timeout = self.time_left();
        options.correlation_id = self.correlation_id.clone();
        options.trace_parent = self.trace_parent.clone();
        options.errand = self.errand.clone();
        options
    }

    /// As a call of these has it.
    pub(crate) fn inheriting(
        self,
        session: Option<String>,
        correlation_id: Arc<str>,
        trace_parent: Option<Arc<str>>,
        deadline: Option<Instant>,
    ) -> HostCaller {
        let (session, correlation_id) = (session.map(Arc::from), Some(correlation_id));
        HostCaller { session, correlation_id, trace_parent, deadline, ..self }
    }

    pub(super) fn sees(&self) -> Seen {
        Seen { exposed: self.worker.is_some(), hosts: self.hosts }
    }

    /// With what those calls are known by to others who wait.
    pub(super) fn known_to(&self, waiting: &Waiting) -> HostCaller {
        let occupant = self.worker.clone().zip(self.call).map(|(life, call)| Occupant { life, call });
        HostCaller { errand: occupant.map(|occupant| waiting.errand(occupant)), ..self.clone() }
    }
}
