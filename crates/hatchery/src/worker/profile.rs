//! Workers of an embedder's own kind: not a process that speaks the wire, but whatever the embedder makes of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use super::own::ProfileItems;
use crate::error::{Error, ErrorKind, Result};
use crate::id::WorkerId;
use crate::process::Escalation;
use crate::tool::ToolSpec;
use crate::value::Payload;
use crate::wire::Telemetry;

/// A future that a trait can return.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How the workers of a pool are made, where they are not processes that speak the native wire: threads of the host, connections to
/// a service elsewhere, a model in this very process. Everything else is the pool's as ever: queue, affinity, deadlines,
/// recycling, breakers, retries.
///
/// The built-in profiles are [`Concurrency::Process`](crate::Concurrency::Process) and
/// [`Concurrency::Thread`](crate::Concurrency::Thread). `cargo run --example own_profile` runs one of this kind.
pub trait Profile: Send + Sync + 'static {
    /// What it is called, and what there is to know of it.
    fn metadata(&self) -> ProfileMetadata;

    /// Calls that one worker may have at once. Asked once, when the pool starts. Default: 1.
    fn capacity(&self) -> usize {
        1
    }

    /// Makes a worker, and returns when it takes calls. Dropped when the pool ends first, or the start takes too long; nothing of
    /// it may be left then.
    ///
    /// # Errors
    /// Why there is none; [`ErrorKind::Validation`](crate::ErrorKind::Validation) if trying again cannot help. The pool puts
    /// the worker's name in front of the message.
    fn start(&self, worker: WorkerContext) -> Later<'_, Result<Arc<dyn ProfileWorker>>>;
}

/// What a [`Profile`] says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileMetadata {
    /// One word, like `threads`.
    pub name: String,
    /// A sentence for people.
    pub description: String,
}

/// For whom a worker is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerContext {
    /// Its id; one that replaces another has the same.
    pub worker: WorkerId,
    /// Which of those with this id it is, from 1.
    pub generation: u64,
}

/// One worker of a [`Profile`]. Dropped by the pool when it is over.
pub trait ProfileWorker: Send + Sync + 'static {
    /// What it can be asked. Asked once.
    fn tools(&self) -> Vec<ToolSpec>;

    /// Whether it is given calls of tools, too, that are not among its [`tools`](ProfileWorker::tools): it knows of more than it says, and
    /// refuses what it does not know. Asked once. Default: no, such calls are refused by the pool.
    fn takes_any_tool(&self) -> bool {
        false
    }

    /// Runs one call. The future is dropped if the call is cancelled; its place is free then. (Where the worker is a process that a
    /// [`Transport`](crate::Transport) speaks to, a unary call may go on for the pool's `cancel_grace`; one that is not over then is dropped, and its worker
    /// replaced.) A panic fails the call, and nothing else.
    fn execute(&self, call: ProfileCall) -> Later<'_, Result<Payload>>;

    /// Runs one streaming call, and returns when its last item was sent. As [`execute`](ProfileWorker::execute) in everything else.
    /// Default: refuses, as it serves no streams.
    fn stream(&self, call: ProfileCall, items: ProfileItems) -> Later<'_, Result<()>> {
        drop(items);
        let message = format!("{}: this pool's profile serves no streams", call.tool);
        Box::pin(std::future::ready(Err(Error::new(ErrorKind::Unavailable, message).with_retryable(false))))
    }

    /// Calls that it has at this moment, if others than the pool give it calls. Only told, in
    /// [`WorkerStatus::in_flight`](crate::WorkerStatus::in_flight).
    fn load(&self) -> Option<usize> {
        None
    }

    /// Sets which telemetry events it sends from now on; what is `None` stays as it is. Told before its first call, if it is to send less than
    /// all. Must not block. Default: it sends none, and so cannot be told.
    ///
    /// # Errors
    /// `unavailable` if it cannot be told.
    fn telemetry(&self, settings: &Telemetry) -> Result<()> {
        let _for_nobody = settings;
        Err(Error::new(ErrorKind::Unavailable, "it sends no telemetry").with_retryable(false))
    }

    /// Whether it is well. Asked when it has nothing to do. Default: yes.
    fn health(&self) -> Later<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Whether it still answers: the question of a heartbeat, asked of those that live in a process of their own. An error, or no
    /// answer in time, is a miss. Default: it does.
    fn answers(&self) -> Later<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Resolves when it is over by itself, with the reason; another follows. Default: never.
    fn ended(&self) -> Later<'_, Error> {
        Box::pin(std::future::pending())
    }

    /// Ends it, within these graces. Its calls are over by then. Nothing of it may be left when this returns.
    fn stop(&self, graces: ProfileGraces) -> Later<'_, ()>;
}

/// What a worker of a [`Profile`] has to leave: as [`StopGraces`](crate::StopGraces) says, or nothing when everything ends at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileGraces {
    /// By itself.
    pub ask: std::time::Duration,
    /// After that, if it is pressed.
    pub term: std::time::Duration,
}

impl From<Escalation> for ProfileGraces {
    fn from(how: Escalation) -> ProfileGraces {
        ProfileGraces { ask: how.ask, term: how.term }
    }
}

/// One call of a tool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProfileCall {
    /// Its number, which no other call of this worker has: to say in a
    /// [`HostCaller`](crate::HostCaller::on_behalf_of) on whose behalf a host tool is run.
    pub number: u64,
    /// The tool.
    pub tool: Arc<str>,
    /// Its arguments, a JSON object.
    pub arguments: Payload,
    /// The id under which the call appears everywhere.
    pub correlation_id: Arc<str>,
    /// The session, if it is one's.
    pub session: Option<String>,
    /// The span that it is part of, as the W3C's `traceparent`.
    pub trace_parent: Option<Arc<str>>,
    /// What else it is told of the call: see [`CallOptions::metadata`](crate::CallOptions::metadata).
    pub metadata: BTreeMap<String, String>,
    /// When its caller waits no longer. The pool sees to it.
    pub deadline: Option<Instant>,
}
