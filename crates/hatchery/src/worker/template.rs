//! The template of a pool: a process that has imported what the pool's workers have in common, and forks them on order.
//!
//! It is nobody's failure domain. It is started when the first worker is wanted, and again when a worker is wanted after it
//! has died; while there is none to be had, workers are started cold. Only a module of `preload` that cannot be imported
//! fails starts, as an app that does not load would.

mod life;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::app::Launch;
use crate::error::{Error, Result};
use crate::id::WorkerId;
use crate::process::{Confinement, ForkError, Forker, OnEscape};
use crate::run::Run;
use crate::telemetry::{Emitter, Event, PoolEvent};

/// What a template is to have in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateSettings {
    /// Whether there is one. Default: yes.
    pub(crate) enabled: bool,
    /// The modules that it imports, in this order.
    pub(crate) preload: Vec<String>,
    /// Whether it imports the app as well.
    pub(crate) app: bool,
}

impl Default for TemplateSettings {
    fn default() -> TemplateSettings {
        TemplateSettings { enabled: true, preload: Vec::new(), app: false }
    }
}

/// What a pool's workers are forked from.
pub(crate) struct Template {
    pool: Arc<str>,
    id: WorkerId,
    run: Arc<Run>,
    emitter: Emitter,
    plan: Mutex<Plan>,
    state: watch::Sender<State>,
    /// Counts the reloads, each of which wants another one.
    reloads: watch::Sender<u64>,
}

/// How the next one is made.
#[derive(Clone)]
struct Plan {
    settings: TemplateSettings,
    confinement: Confinement,
    /// How long it may take to come up. `None`: no limit.
    patience: Option<Duration>,
}

impl Plan {
    fn of(config: &super::Config) -> Plan {
        // It ends with its last process, whatever its workers may leave.
        let confinement = Confinement { on_escape: OnEscape::Kill, ..config.confinement.clone() };
        Plan { settings: config.template.clone(), confinement, patience: config.start }
    }
}

#[derive(Clone)]
enum State {
    /// There is none, and nobody has asked for one.
    Unasked,
    Asked(Launch),
    /// It comes up.
    Starting,
    Up(Arc<Upright>),
    /// It cannot come up, and workers would not either.
    Faulty(Error),
    /// Workers are started cold: for good, or until then.
    Off(Option<Instant>),
}

/// A template that is up.
pub(super) struct Upright {
    /// It forks workers of this launch, and of no other.
    launch: Launch,
    forker: Forker,
    /// That others are started cold.
    has_told: AtomicBool,
    /// A worker has come of it: if it dies now, the next one may do as well.
    has_forked: AtomicBool,
    /// Why it is to go.
    verdict: watch::Sender<Option<Verdict>>,
}

/// What is wrong with a template.
#[derive(Clone, Debug)]
enum Verdict {
    /// No other would do better.
    Unfit(String),
    /// Another may do better, later.
    Failed(String),
}

impl Template {
    /// For a pool that is to have one, and can.
    pub(crate) fn of(pool: &Arc<str>, run: &Arc<Run>, emitter: &Emitter, config: &super::Config) -> Option<Template> {
        let settings = config.template.clone();
        let (pool, run, emitter) = (Arc::clone(pool), Arc::clone(run), emitter.clone());
        if !settings.enabled {
            return None;
        }
        if config.confinement.on_escape == OnEscape::Adopt {
            let reason = "what may outlive the run (on_escape = adopt) cannot live in the control group of a template";
            // Whoever has not asked for one need not be told that there is none.
            if settings != TemplateSettings::default() {
                emitter.emit(cold_starts(&pool, reason.to_owned(), None));
            }
            return None;
        }
        let (state, reloads) = (watch::Sender::new(State::Unasked), watch::Sender::new(0));
        let id = WorkerId::template(&pool);
        Some(Template { pool, id, run, emitter, plan: Mutex::new(Plan::of(config)), state, reloads })
    }

    /// What a worker of this launch is to be forked from; `None`: it is to be started cold. Waits while one comes up.
    ///
    /// # Errors
    /// `validation`, if what it is to have in it cannot be imported.
    pub(super) async fn upright(&self, launch: &Launch) -> Result<Option<Arc<Upright>>> {
        match self.settled(launch).await {
            State::Up(upright) if upright.launch == *launch => Ok(Some(upright)),
            State::Up(upright) => {
                self.tell_of_others(&upright);
                Ok(None)
            }
            State::Faulty(error) => Err(error),
            _ => Ok(None),
        }
    }

    /// What came of asking for one; asked again if a reload, or its end, came between that and our look.
    async fn settled(&self, launch: &Launch) -> State {
        let mut state = self.state.subscribe();
        self.ask(launch);
        loop {
            let seen = state.borrow_and_update().clone();
            match seen {
                State::Unasked => self.ask(launch),
                State::Asked(_) | State::Starting => {}
                settled => return settled,
            }
            // The sender is our own.
            let _changed = state.changed().await;
        }
    }

    fn ask(&self, launch: &Launch) {
        self.state.send_if_modified(|state| {
            let is_asked = state.may_be_asked(Instant::now());
            if is_asked {
                *state = State::Asked(launch.clone());
            }
            is_asked
        });
    }

    /// Once, that its app does not start all workers alike.
    fn tell_of_others(&self, upright: &Upright) {
        if !upright.has_told.swap(true, Ordering::Relaxed) {
            let reason =
                "some are started with other arguments or variables than the one that their template was made for";
            self.emitter.emit(cold_starts(&self.pool, reason.to_owned(), None));
        }
    }

    /// The next one is made like this.
    pub(crate) fn obey(&self, config: &super::Config) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Plan::of(config);
    }

    fn plan(&self) -> Plan {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another one is to be made, of what can be imported now. What the old one has forked lives on.
    pub(crate) fn renew(&self) {
        self.state.send_if_modified(|state| {
            let was_given_up = matches!(state, State::Off(_) | State::Faulty(_));
            if was_given_up {
                *state = State::Unasked;
            }
            was_given_up
        });
        self.reloads.send_modify(|count| *count += 1);
    }
}

impl State {
    fn may_be_asked(&self, now: Instant) -> bool {
        match self {
            State::Unasked | State::Faulty(_) => true,
            State::Off(until) => until.is_some_and(|until| until <= now),
            State::Asked(_) | State::Starting | State::Up(_) => false,
        }
    }
}

impl Upright {
    fn new(launch: Launch, forker: Forker) -> Upright {
        let (has_told, has_forked) = (AtomicBool::new(false), AtomicBool::new(false));
        Upright { launch, forker, has_told, has_forked, verdict: watch::Sender::new(None) }
    }

    pub(super) fn forker(&self) -> &Forker {
        &self.forker
    }

    /// A worker was forked from it.
    pub(super) fn served(&self) {
        self.has_forked.store(true, Ordering::Relaxed);
    }

    /// A fork was not to be had from it.
    pub(super) fn missed(&self, error: &ForkError) {
        let verdict = match error {
            // Its death is seen by who waits for it; the rest is no fault of its.
            ForkError::Lost | ForkError::Spawn(_) => return,
            ForkError::Unfit(what) => Verdict::Unfit(what.clone()),
            ForkError::Silent | ForkError::Failed(_) | ForkError::Refused { .. } => Verdict::Failed(error.to_string()),
        };
        self.verdict.send_if_modified(|said| {
            let is_first = said.is_none();
            said.get_or_insert(verdict);
            is_first
        });
    }
}

fn cold_starts(pool: &str, reason: String, again: Option<Duration>) -> Event {
    Event::Pool(PoolEvent::ColdStarts { pool: pool.to_owned(), reason, again })
}
