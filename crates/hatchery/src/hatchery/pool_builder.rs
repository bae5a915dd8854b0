//! Configures one pool.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Builder, Hatchery, ScriptTimeouts};
use crate::app::App;
use crate::call::Affinity;
use crate::config::PoolConfig;
use crate::error::{Error, Result};
use crate::fault::{BreakerPolicy, CrashBarrier, HealthPolicy, RetryPolicy};
use crate::memory::ArenaSettings;
use crate::pool::{
    self, Capacity, Concurrency, HealthCheck, OnTimeout, Recycle, Restarts, StartBatches, StopGraces, Timeouts,
};
use crate::process::{Containment, OnEscape, ResourceLimits};
use crate::registry::Instance;
use crate::session::SessionSettings;
use crate::telemetry::{EventFilter, Events};
use crate::tool::ToolSpec;
use crate::wire::{Limits, Telemetry};
use crate::worker::{Heartbeat, Transport};

/// Configures one pool of a [`Builder`], the one named last.
pub struct PoolBuilder {
    pub(super) builder: Builder,
    pub(super) name: String,
    pub(super) app: Arc<dyn App>,
    pub(super) config: pool::Config,
}

impl PoolBuilder {
    /// Everything that a configuration file says about a pool, but for its name and app. What it does not say stays; nor does it
    /// switch off what is on.
    #[must_use]
    pub fn configure(mut self, pool: &PoolConfig) -> PoolBuilder {
        let own = &mut self.config;
        own.workers = pool.workers.unwrap_or(own.workers);
        own.max_queue = pool.max_queue.unwrap_or(own.max_queue);
        own.containment = pool.containment.unwrap_or(own.containment);
        let confinement = &mut own.worker.confinement;
        confinement.on_escape = pool.on_escape.unwrap_or(confinement.on_escape);
        let (said, before) = (pool.limits, confinement.resources);
        confinement.resources = ResourceLimits {
            memory: said.memory.or(before.memory),
            cpu: said.cpu.or(before.cpu),
            processes: said.processes.or(before.processes),
            open_files: said.open_files.or(before.open_files),
        };
        confinement.no_new_privileges = pool.no_new_privileges.unwrap_or(confinement.no_new_privileges);
        confinement.user = pool.run_as.or(confinement.user);
        own.worker.cancel_grace = pool.cancel_grace.unwrap_or(own.worker.cancel_grace);
        own.stop = pool.stop.over(own.stop);
        own.concurrency = pool.concurrency.unwrap_or(own.concurrency);
        own.capacity = pool.capacity.unwrap_or(own.capacity);
        own.affinity = pool.affinity.unwrap_or(own.affinity);
        own.on_timeout = pool.on_timeout.unwrap_or(own.on_timeout);
        own.tool_timeouts.extend(pool.tool_timeouts.clone());
        let usual = Recycle::default();
        own.recycle = Recycle {
            ttl: pool.recycle.ttl.or(own.recycle.ttl),
            max_requests: pool.recycle.max_requests.or(own.recycle.max_requests),
            max_rss: pool.recycle.max_rss.or(own.recycle.max_rss),
            check: if pool.recycle.check == usual.check { own.recycle.check } else { pool.recycle.check },
        };
        own.worker.heartbeat = pool.heartbeat.over(own.worker.heartbeat);
        own.health = pool.health.over(own.health);
        own.telemetry = pool.telemetry.clone().over(std::mem::take(&mut own.telemetry));
        own.batches = pool.start.over(own.batches);
        own.restarts = pool.restarts.over(own.restarts);
        own.arena = pool.arena.over(own.arena);
        let template = &mut own.worker.template;
        template.enabled = pool.template.unwrap_or(template.enabled);
        template.app = pool.preload_app.unwrap_or(template.app);
        if !pool.preload.is_empty() {
            template.preload.clone_from(&pool.preload);
        }
        own.worker.thread_limits.extend(pool.thread_limits.said());
        own.worker.thread_safety_checks = pool.thread_safety_checks.unwrap_or(own.worker.thread_safety_checks);
        let faults = &mut own.faults;
        faults.retry = pool.retry.policy().or(faults.retry.take());
        faults.breaker = pool.breaker.map(|breaker| breaker.policy()).or(faults.breaker.take());
        faults.gate = pool.health_gate.map(|gate| gate.policy()).or(faults.gate.take());
        if let Some(barrier) = &pool.crash_barrier {
            faults.barrier = barrier.barrier();
        }
        let timeouts = pool.timeouts.over(own.timeouts.clone());
        self.timeouts(timeouts)
    }

    /// How many workers. Default: 1.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> PoolBuilder {
        self.config.workers = workers;
        self
    }

    /// How many calls may wait for a free worker before others are refused with `saturated`. Default: 1000.
    #[must_use]
    pub fn max_queue(mut self, calls: usize) -> PoolBuilder {
        self.config.max_queue = calls;
        self
    }

    /// How long things may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> PoolBuilder {
        self.config.worker.start = timeouts.start;
        self.config.timeouts = timeouts;
        self
    }

    /// So many calls at once in each worker, each in a thread of its own; coroutines overlap on its loop and count too.
    /// Default: one call at a time ([`Concurrency::Process`]).
    #[must_use]
    pub fn threads_per_worker(mut self, threads: usize) -> PoolBuilder {
        self.config.concurrency = Concurrency::Thread { threads_per_worker: threads };
        self
    }

    /// Which worker may have how many calls. Default: [`Capacity::Pool`].
    #[must_use]
    pub fn capacity(mut self, capacity: Capacity) -> PoolBuilder {
        self.config.capacity = capacity;
        self
    }

    /// Whether workers that run several calls at once are to warn of libraries that do not bear it. Default: false.
    #[must_use]
    pub fn thread_safety_checks(mut self, yes: bool) -> PoolBuilder {
        self.config.worker.thread_safety_checks = yes;
        self
    }

    /// Imports these modules once, in a process from which the workers are then forked: the template. Starts take a millisecond or
    /// two then, and the workers share the memory of what was imported. Of two calls, the later one holds. Only for Python apps.
    ///
    /// A module that leaves threads behind, or opens a device or a socket, is named in a warning, and the workers are started
    /// cold; one that cannot be imported fails the start.
    #[must_use]
    pub fn preload<S: Into<String>>(mut self, modules: impl IntoIterator<Item = S>) -> PoolBuilder {
        self.config.worker.template.preload = modules.into_iter().map(Into::into).collect();
        self
    }

    /// Whether the template imports the app's own module as well. Default: no.
    #[must_use]
    pub fn preload_app(mut self, yes: bool) -> PoolBuilder {
        self.config.worker.template.app = yes;
        self
    }

    /// Whether the workers of a Python app are forked from a template, which at least has the runtime in it, where that can be done.
    /// Default: yes.
    #[must_use]
    pub fn template(mut self, yes: bool) -> PoolBuilder {
        self.config.worker.template.enabled = yes;
        self
    }

    /// How many threads a numeric library in a worker may start, by the variable that tells it: `("OMP_NUM_THREADS", 4)`. Default:
    /// what the host's environment says, else as many as the worker runs calls at once. A variable of the app's own goes before.
    #[must_use]
    pub fn thread_limit(mut self, variable: &str, threads: u32) -> PoolBuilder {
        self.config.worker.thread_limits.push((variable.to_owned(), threads.to_string()));
        self
    }

    /// What calls of a session may do if the session's worker cannot take them. Default: [`Affinity::Hint`].
    #[must_use]
    pub fn affinity(mut self, affinity: Affinity) -> PoolBuilder {
        self.config.affinity = affinity;
        self
    }

    /// Speaks to its workers by this, and not by the native wire. Such workers are started cold, share no memory with the host, and are
    /// told to leave by SIGTERM. Default: the native wire.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> PoolBuilder {
        self.config.transport = Some(Arc::new(transport));
        self
    }

    /// What becomes of a worker that goes on with a call whose deadline has passed. Default: [`OnTimeout::Kill`].
    #[must_use]
    pub fn on_timeout(mut self, on_timeout: OnTimeout) -> PoolBuilder {
        self.config.on_timeout = on_timeout;
        self
    }

    /// How long calls of one tool may take. Beats the app's and the pool's; the caller's own beats it.
    #[must_use]
    pub fn tool_timeout(mut self, tool: &str, timeout: Duration) -> PoolBuilder {
        self.config.tool_timeouts.insert(tool.to_owned(), timeout);
        self
    }

    /// When a worker is replaced though nothing is wrong with it. Default: never.
    ///
    /// ```no_run
    /// # async fn example() -> hatchery::Result<()> {
    /// use std::time::Duration;
    /// use hatchery::{Hatchery, PythonApp, Recycle};
    ///
    /// // Its libraries leak a little.
    /// let recycle = Recycle { ttl: Some(Duration::from_secs(3600)), max_requests: Some(10_000), ..Recycle::default() };
    /// let pool = Hatchery::builder().pool("default", PythonApp::file("app.py")).workers(4).recycle(recycle);
    /// # pool.start().await?; Ok(()) }
    /// ```
    #[must_use]
    pub fn recycle(mut self, recycle: Recycle) -> PoolBuilder {
        self.config.recycle = recycle;
        self
    }

    /// The memory that is shared with its workers, through which large values go without being copied; `None`: they go through
    /// pipes. Default: [`ArenaSettings::default`].
    ///
    /// ```no_run
    /// # async fn example() -> hatchery::Result<()> {
    /// use hatchery::{ArenaSettings, Hatchery, PythonApp};
    ///
    /// // Its pictures are large, and there are many of them.
    /// let arena = ArenaSettings { limit: 8 << 30, ..ArenaSettings::default() };
    /// let pool = Hatchery::builder().pool("default", PythonApp::file("app.py")).workers(4).arena(arena);
    /// # pool.start().await?; Ok(()) }
    /// ```
    #[must_use]
    pub fn arena(mut self, settings: impl Into<Option<ArenaSettings>>) -> PoolBuilder {
        self.config.arena = settings.into();
        self
    }

    /// Whether and when a worker is taken to be dead though it lives. Default: after three questions that it did not answer
    /// within 10 s.
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Heartbeat) -> PoolBuilder {
        self.config.worker.heartbeat = heartbeat;
        self
    }

    /// When the app's own `health()` is asked, and what follows. Default: every 30 s, and nothing but an event.
    #[must_use]
    pub fn health(mut self, health: HealthCheck) -> PoolBuilder {
        self.config.health = health;
        self
    }

    /// Which events of their own its workers send; what is `None` stays as it is. Default: all.
    /// [`Pool::set_telemetry`](crate::Pool::set_telemetry) changes it while they run.
    #[must_use]
    pub fn telemetry(mut self, settings: Telemetry) -> PoolBuilder {
        self.config.telemetry = settings.over(self.config.telemetry);
        self
    }

    /// Calls that fail are made again: those that no worker has seen, and those that are said to be idempotent. Default: only
    /// idempotent ones that lost their worker, until their deadline.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> PoolBuilder {
        self.config.faults.retry = Some(policy);
        self
    }

    /// Calls fail at once for a while after too many have failed: of the pool, and of each tool. Default: never.
    #[must_use]
    pub fn breaker(mut self, policy: BreakerPolicy) -> PoolBuilder {
        self.config.faults.breaker = Some(policy);
        self
    }

    /// What follows from a crash. Default: nothing is tainted.
    #[must_use]
    pub fn crash_barrier(mut self, barrier: CrashBarrier) -> PoolBuilder {
        self.config.faults.barrier = barrier;
        self
    }

    /// Calls fail at once while too many workers have crashed of late. Default: no.
    #[must_use]
    pub fn health_gate(mut self, policy: HealthPolicy) -> PoolBuilder {
        self.config.faults.gate = Some(policy);
        self
    }

    /// How starts are spread. Default: eight at once, 750 ms apart.
    #[must_use]
    pub fn start_batches(mut self, batches: StartBatches) -> PoolBuilder {
        self.config.batches = batches;
        self
    }

    /// When a pool whose workers die before they are ready fails its calls at once, and how long it waits between tries.
    /// Default: after five such deaths one after another; 30 s at most.
    #[must_use]
    pub fn restarts(mut self, restarts: Restarts) -> PoolBuilder {
        self.config.restarts = restarts;
        self
    }

    /// How long a cancelled call may go on before its worker is replaced. Default: 2 s.
    #[must_use]
    pub fn cancel_grace(mut self, grace: Duration) -> PoolBuilder {
        self.config.worker.cancel_grace = grace;
        self
    }

    /// What its workers have to leave by themselves when they are told to end. Default: 5 s after the word, 2 s after
    /// SIGTERM.
    ///
    /// ```no_run
    /// # async fn example() -> hatchery::Result<()> {
    /// use std::time::Duration;
    /// use hatchery::{Hatchery, PythonApp, StopGraces};
    ///
    /// // An epoch takes minutes, and is worth waiting for.
    /// let graces = StopGraces { ask: Duration::from_secs(600), ..StopGraces::default() };
    /// let pool = Hatchery::builder().pool("training", PythonApp::file("train.py")).stop(graces);
    /// # pool.start().await?; Ok(()) }
    /// ```
    #[must_use]
    pub fn stop(mut self, graces: StopGraces) -> PoolBuilder {
        self.config.stop = graces;
        self
    }

    /// What keeps its processes together. Default: [`Containment::Default`].
    #[must_use]
    pub fn containment(mut self, containment: Containment) -> PoolBuilder {
        self.config.containment = containment;
        self
    }

    /// What becomes of processes that left their worker's group and outlive it. Default: [`OnEscape::Kill`].
    #[must_use]
    pub fn on_escape(mut self, on_escape: OnEscape) -> PoolBuilder {
        self.config.worker.confinement.on_escape = on_escape;
        self
    }

    /// Its workers, and whatever they run, gain no rights by running a program (`PR_SET_NO_NEW_PRIVS`): sudo and the
    /// like do not work. Default: false.
    #[must_use]
    pub fn no_new_privileges(mut self, yes: bool) -> PoolBuilder {
        self.config.worker.confinement.no_new_privileges = yes;
        self
    }

    /// The user and group that its workers become, without supplementary groups. Needs root. Default: this program's.
    #[must_use]
    pub fn run_as(mut self, user: u32, group: u32) -> PoolBuilder {
        self.config.worker.confinement.user = Some((user, group));
        self
    }

    /// What each worker may use of the machine. Default: no limits.
    #[must_use]
    pub fn resources(mut self, limits: ResourceLimits) -> PoolBuilder {
        self.config.worker.confinement.resources = limits;
        self
    }

    /// What frames to and from the workers may weigh.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> PoolBuilder {
        self.config.worker.limits = limits;
        self
    }

    /// Adds another pool.
    pub fn pool(self, name: &str, app: impl App) -> PoolBuilder {
        self.done().pool(name, app)
    }

    /// See [`Builder::host_tool`].
    #[must_use]
    pub fn host_tool<A, R, F, Fut>(mut self, spec: impl Into<ToolSpec>, run: F) -> PoolBuilder
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Fn(A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        self.builder = self.builder.host_tool(spec, run);
        self
    }

    /// See [`Builder::instance`].
    #[must_use]
    pub fn instance(mut self, instance: Instance) -> PoolBuilder {
        self.builder = self.builder.instance(instance);
        self
    }

    /// See [`Builder::data_dir`].
    #[must_use]
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> PoolBuilder {
        self.builder = self.builder.data_dir(folder);
        self
    }

    /// See [`Builder::sweep_every`].
    #[must_use]
    pub fn sweep_every(mut self, period: Duration) -> PoolBuilder {
        self.builder = self.builder.sweep_every(period);
        self
    }

    /// See [`Builder::sessions`].
    #[must_use]
    pub fn sessions(mut self, settings: SessionSettings) -> PoolBuilder {
        self.builder = self.builder.sessions(settings);
        self
    }

    /// See [`Builder::require_registry`].
    #[must_use]
    pub fn require_registry(mut self, yes: bool) -> PoolBuilder {
        self.builder = self.builder.require_registry(yes);
        self
    }

    /// See [`Builder::events`].
    pub fn events(&mut self) -> Events {
        self.builder.events()
    }

    /// See [`Builder::events_matching`].
    pub fn events_matching(&mut self, filter: &EventFilter) -> Events {
        self.builder.events_matching(filter)
    }

    /// See [`Builder::run`].
    ///
    /// # Errors
    /// See [`Builder::run`].
    pub async fn run<T, E: From<Error>>(
        self,
        timeouts: ScriptTimeouts,
        stop: impl Future<Output = ()>,
        work: impl AsyncFnOnce(&Hatchery) -> Result<T, E>,
    ) -> Result<T, E> {
        self.done().run(timeouts, stop, work).await
    }

    /// See [`Builder::start`].
    pub async fn start(self) -> Result<Hatchery> {
        self.done().start().await
    }

    /// Nothing more is to be said of this pool.
    pub fn done(mut self) -> Builder {
        self.builder.pools.push((self.name, self.app, self.config));
        self.builder
    }
}
