//! Worker processes that speak something else than the native wire: what an embedder, or another crate, has to bring.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Owner;
use super::heartbeat::Heartbeat;
use super::profile::{Later, ProfileWorker};
use super::voice::Voice;
use crate::app::Launch;
use crate::call::CallOptions;
use crate::error::Result;
use crate::host::HostTools;
use crate::id::{RunId, WorkerId};
use crate::session::Sessions;
use crate::telemetry::{Emitter, Event, Level, LogSource, ToolEvent};
use crate::tool::ToolItems;
use crate::value::Payload;

/// How the worker processes of a pool are spoken to, where it is not by the native wire. What is started is the pool's
/// [`App`](crate::App), as ever, and so is all that a process has: an owner that outlives the host, a record, limits, recycling.
///
/// See [`PoolBuilder::transport`](crate::PoolBuilder::transport).
pub trait Transport: Send + Sync + 'static {
    /// One word for people, like `grpc`.
    fn name(&self) -> &str;

    /// Makes what must be there before the process is: a listener that it connects to, a folder that it writes to.
    ///
    /// # Errors
    /// Why the worker cannot be started; [`ErrorKind::Validation`](crate::ErrorKind::Validation) if trying again cannot help.
    fn prepare(&self, worker: TransportContext) -> Later<'_, Result<Box<dyn Berth>>>;
}

/// What is ready for one process. Lives as long as the process, whether that was ever ready or not; dropped, nothing of it may be left.
pub trait Berth: Send + Sync + 'static {
    /// What the process is told, beside what its app says.
    fn launch(&self, launch: Launch) -> Launch;

    /// Returns when the process takes calls, with what executes them. Dropped when the process ends first, the pool ends, or the start
    /// takes too long.
    ///
    /// A call that loses its connection does not return: [`ProfileWorker::ended`] does, and the pool tells the call what became of the process,
    /// which it knows better.
    ///
    /// # Errors
    /// What is wrong with the process; it is ended then.
    fn connect(&self, process: LinkedProcess) -> Later<'_, Result<Arc<dyn ProfileWorker>>>;
}

/// For whom a transport prepares, and what it may use of the host.
#[derive(Clone)]
#[non_exhaustive]
pub struct TransportContext {
    /// The worker's id; one that replaces another has the same.
    pub worker: WorkerId,
    /// Which of those with this id it is, from 1.
    pub generation: u64,
    /// The pool.
    pub pool: Arc<str>,
    /// The supervisor's run.
    pub run: RunId,
    /// Calls that the worker is given at once, at most.
    pub max_in_flight: usize,
    /// As the pool is configured. The questions are asked through [`ProfileWorker::answers`].
    pub heartbeat: Heartbeat,
    /// How long a cancelled call may go on.
    pub cancel_grace: Duration,
    /// The session store of the run.
    pub sessions: Sessions,
    /// What workers may call back.
    pub host_tools: HostTools,
    /// Where files of this run may lie: a folder of this user's alone, which is removed after the run with the files that are in it, by the
    /// next one if need be. `None` if there is none.
    pub folder: Option<PathBuf>,
    /// What is said in the worker's name.
    pub voice: WorkerVoice,
    /// Has the worker run tools for others, through its pool.
    pub calls: WorkerCalls,
}

/// The process that a transport prepared for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LinkedProcess {
    /// Its process id, as the host sees it. It is not reaped while this is of use.
    pub pid: i32,
}

/// Has one worker run tools, as calls of its pool that are directed to it: they wait for their turn there.
#[derive(Clone)]
pub struct WorkerCalls {
    worker: WorkerId,
    owner: Arc<dyn Owner>,
}

impl WorkerCalls {
    pub(super) fn new(worker: &WorkerId, owner: &Arc<dyn Owner>) -> WorkerCalls {
        WorkerCalls { worker: worker.clone(), owner: Arc::clone(owner) }
    }

    /// A unary call. Dropping the future cancels it.
    ///
    /// # Errors
    /// As [`Pool::call`](crate::Pool::call).
    pub fn call(&self, tool: &str, arguments: Payload, options: CallOptions) -> Later<'static, Result<Payload>> {
        Arc::clone(&self.owner).ask(&self.worker, tool.to_owned(), arguments, options)
    }

    /// A streaming call. Dropping its items cancels it.
    ///
    /// # Errors
    /// As [`Pool::stream`](crate::Pool::stream).
    pub fn stream(&self, tool: &str, arguments: Payload, options: CallOptions) -> Result<ToolItems> {
        Arc::clone(&self.owner).ask_stream(&self.worker, tool, arguments, options)
    }
}

/// Says something in a worker's name: as its log, or as an event of its tools.
#[derive(Clone)]
pub struct WorkerVoice {
    worker: WorkerId,
    emitter: Emitter,
    voice: Arc<Voice>,
}

impl WorkerVoice {
    pub(super) fn new(worker: &WorkerId, emitter: &Emitter) -> WorkerVoice {
        let voice = Arc::new(Voice::new(worker.clone(), emitter.clone()));
        WorkerVoice { worker: worker.clone(), emitter: emitter.clone(), voice }
    }

    /// A line about the worker, of the host's own making. Longer ones are cut at 8 KiB, and no more pass than people can read.
    pub fn log(&self, level: Level, message: &str) {
        self.voice.said(level, LogSource::Host, message, None);
    }

    /// An event that the worker's tools have sent: as [`Event::Tool`]. Never blocks.
    pub fn tool_event(&self, name: &str, facts: ToolFacts) {
        let ToolFacts { measurements, metadata, correlation_id } = facts;
        let (worker, name) = (self.worker.clone(), name.to_owned());
        self.emitter.emit(Event::Tool(ToolEvent { worker, name, measurements, metadata, correlation_id }));
    }
}

/// What an event of a tool says beside its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolFacts {
    /// Numbers by name.
    pub measurements: Map<String, Value>,
    /// Facts by name.
    pub metadata: Map<String, Value>,
    /// The call that sent it, if one did.
    pub correlation_id: Option<String>,
}
