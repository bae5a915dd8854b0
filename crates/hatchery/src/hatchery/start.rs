//! How everything starts: what is wrong is found first, then a run begins, then its pools are filled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use super::pool_tools::Reach;
use super::{AgentOptions, Builder, Configured, EVENT_BACKLOG, Hatchery, SWEEP_EVERY};
use crate::agent::{self, Agents};
use crate::app::App;
use crate::doctor;
use crate::error::{Error, ErrorKind, Result};
use crate::host::HostTools;
use crate::id::RunId;
use crate::pool::{self, Concurrency, Crew, Hiring, Pool, Shared, TaintBook};
use crate::process::Containment;
use crate::run::{self, Run};
use crate::service::{Intensity, Services};
use crate::session::{SessionSettings, Sessions};
use crate::telemetry::{Emitter, Event, SessionEvent};

/// The least that a handshake and an error need.
const MIN_BODY: usize = 16 << 10;

/// A run that has begun: what dead runs of its instance left is swept, its sessions are open, and none of its pools is filled.
/// Dropping it ends the run.
pub struct Begun {
    run: Arc<Run>,
    sessions: Sessions,
    emitter: Emitter,
    host_tools: HostTools,
    reach: Reach,
    pools: Vec<(String, Arc<dyn App>, pool::Config)>,
    sweep_every: Duration,
    configured: Option<Configured>,
    agents: Agents,
}

impl Builder {
    /// Starts all workers, in batches, and waits until the first start of each has come to an end. Without a pool it starts what
    /// pools stand on. [`Builder::begin`] and [`Begun::fill`] are its halves.
    ///
    /// A pool that cannot serve does not hurt the others: its calls fail at once with the reason, and it goes on trying.
    ///
    /// Dropping the future ends what was started.
    ///
    /// # Errors
    /// `validation` for a mistake in the configuration. If no pool can serve, why the first cannot: `validation` for an app that
    /// does not load or a missing interpreter; `deadline` if no worker is ready in time; `worker_died` or `protocol` if they
    /// end before. The worker's last output is in the error.
    pub async fn start(self) -> Result<Hatchery> {
        self.begin().await?.fill().await
    }

    /// The first half of a start: checks everything, begins the run, and sweeps what dead runs of the instance left.
    ///
    /// # Errors
    /// `validation` for a mistake in the configuration.
    pub async fn begin(mut self) -> Result<Begun> {
        self.bridge_pools()?;
        self.check()?;
        self.agents.settle()?;
        let host_tools = HostTools::new(self.host_tool_limits);
        let reach = Reach::default();
        let of_pools = self.pool_tools.iter().map(|tool| reach.host_tool(tool));
        host_tools.register_all(self.host_tools.into_iter().chain(of_pools).collect())?;
        let emitter = self.emitter.unwrap_or_else(|| Emitter::new(EVENT_BACKLOG));
        let sweep_every = self.run.sweep_every.unwrap_or(SWEEP_EVERY);
        let config = self.run.config(enclosed(&self.pools))?;
        let (run, sessions, agents) = begun(emitter.clone(), config, self.sessions, self.agents).await?;
        let (usual_stop, bridging) = (self.usual_stop, self.bridging);
        let configured = self.configured.map(|config| Configured { config, usual_stop, bridging });
        Ok(Begun { run, sessions, emitter, host_tools, reach, pools: self.pools, sweep_every, configured, agents })
    }

    fn check(&self) -> Result<()> {
        self.check_pools()?;
        self.check_pool_tools()?;
        doctor::require_critical()
    }

    pub(super) fn check_pools(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Validation, message));
        for (n, (name, _, config)) in self.pools.iter().enumerate() {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || name.len() > 64 || !name.chars().all(is_word) {
                return wrong(format!("pool name {name:?}: expected 1 to 64 letters, digits, `-` or `_`"));
            }
            if self.pools[..n].iter().any(|(other, _, _)| other == name) {
                return wrong(format!("there are two pools named {name}"));
            }
            if !(1..=pool::MAX_WORKERS).contains(&config.workers) {
                return wrong(format!("pool {name}: expected 1 to 1024 workers, found {}", config.workers));
            }
            if config.stop.ask == Duration::MAX || config.stop.term == Duration::MAX {
                return wrong(format!("pool {name}: expected a stop whose graces end, found {:?}", config.stop));
            }
            if let Concurrency::Thread { threads_per_worker } = config.concurrency
                && !(1..=pool::MAX_WORKERS).contains(&threads_per_worker)
            {
                return wrong(format!(
                    "pool {name}: expected 1 to 1024 threads per worker, found {threads_per_worker}"
                ));
            }
            if config.worker.heartbeat.max_missed == 0 || config.restarts.max_failures == 0 || config.batches.size == 0
            {
                return wrong(format!(
                    "pool {name}: expected a heartbeat's max_missed, a restart's max_failures and a batch's size above 0"
                ));
            }
            if config.worker.limits.max_body < MIN_BODY {
                return wrong(format!("pool {name}: expected a max_body of at least {MIN_BODY} bytes"));
            }
        }
        Ok(())
    }
}

impl Begun {
    /// The second half of a start: fills the pools, and waits as [`Builder::start`] does.
    ///
    /// # Errors
    /// Those of [`Builder::start`] about pools that cannot serve.
    pub async fn fill(self) -> Result<Hatchery> {
        let sizes: Vec<usize> = self.pools.iter().map(|(_, _, config)| config.workers).collect();
        let sweep_every = self.sweep_every;
        // Exists before the first process and the first wait: dropping this future drops it, and it ends what was started.
        let hatchery = self.hatchery();
        hatchery.serve(sweep_every);
        for (crew, workers) in hatchery.crews.iter().zip(sizes) {
            crew.shared.tell_starting(workers);
            crew.resize(workers);
        }
        if let Err(error) = hatchery.await_starts().await {
            // What went wrong first is the news.
            let _ended = hatchery.shutdown_within(Duration::ZERO).await;
            return Err(error);
        }
        Ok(hatchery)
    }

    /// With pools that are empty.
    fn hatchery(self) -> Hatchery {
        let Begun { run, sessions, emitter, host_tools, reach, pools, configured, agents, .. } = self;
        host_tools.know_sessions(sessions.births());
        sessions.on_end(host_tools.session_ended());
        let (of_run, of_sessions, tell) = (Arc::clone(&run), sessions.clone(), emitter.clone());
        let of_tools = host_tools.clone();
        let hiring = Hiring { run: of_run, emitter: tell, host_tools: of_tools, sessions: of_sessions, template: None };
        let taints: Arc<TaintBook> = Arc::default();
        let crew = |(name, app, config): (String, Arc<dyn App>, pool::Config)| {
            let shared = Shared::new(&name, app, config, emitter.clone(), sessions.clone(), Arc::clone(&taints));
            Arc::new(Crew::new(Arc::new(shared), hiring.clone()))
        };
        let crews: Vec<Arc<Crew>> = pools.into_iter().map(crew).collect();
        for crew in &crews {
            let staffed: Weak<Shared> = Arc::downgrade(&crew.shared);
            host_tools.waiting().know(Arc::clone(&crew.shared.name), staffed);
        }
        let pool = |crew: &Arc<Crew>| (crew.shared.name.to_string(), Pool::new(Arc::clone(crew)));
        let pools: BTreeMap<String, Pool> = crews.iter().map(pool).collect();
        reach.begin(pools.values());
        let services = Services::new(Intensity::default(), emitter.clone());
        let (started_at, configured) = (SystemTime::now(), Mutex::new(configured));
        Hatchery {
            run,
            pools,
            crews,
            agents,
            taints,
            sessions,
            host_tools,
            reach,
            emitter,
            started_at,
            services,
            configured,
        }
    }
}

/// Begins a run, and opens its sessions, where it may block.
async fn begun(
    emitter: Emitter,
    config: run::Config,
    sessions: SessionSettings,
    agents: AgentOptions,
) -> Result<(Arc<Run>, Sessions, Agents)> {
    let begin = move || {
        let run = Run::begin(RunId::random(), &emitter, &config)?;
        // Before anything is started: what dead runs left may hold a port, or the memory of a GPU.
        run.sweep();
        let sessions = Sessions::open(Some(&config.data_dir), run.id, sessions, Some(emitter.clone()))?;
        for message in sessions.losses() {
            emitter.emit(Event::Session(SessionEvent::Lost { message }));
        }
        let run = Arc::new(run);
        let (instance, data_dir) = (config.instance, config.data_dir);
        let AgentOptions { adapters, most, .. } = agents;
        let settings = agent::Settings { run: Arc::clone(&run), instance, data_dir, adapters, emitter, most };
        Ok((run, sessions, Agents::open(settings)))
    };
    let begun = tokio::task::spawn_blocking(begin).await;
    begun.map_err(|error| Error::new(ErrorKind::Internal, format!("start the guardian: {error}")))?
}

/// The pools that asked for a PID namespace.
fn enclosed(pools: &[(String, Arc<dyn App>, pool::Config)]) -> Vec<String> {
    let asked = pools.iter().filter(|(_, _, config)| config.containment == Containment::PidNamespace);
    asked.map(|(name, _, _)| name.clone()).collect()
}
