//! What a newly read configuration changes in a hatchery that runs.

use std::sync::{Arc, PoisonError};

use serde::Serialize;

use super::{Bridging, Hatchery};
use crate::app::App;
use crate::config::{AppConfig, Config, PoolConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::pool::{self, Crew, StopGraces, Takes};

/// What came of a [`Hatchery::reconfigure`], by the paths of the keys: `pools.default.workers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reconfigured {
    /// These have changed, and hold now.
    pub applied: Vec<String>,
    /// So many are as they were.
    pub unchanged: usize,
    /// These have changed, and do not hold before the next start.
    pub needs_restart: Vec<NeedsRestart>,
}

/// A key that cannot be changed in a hatchery that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NeedsRestart {
    /// Its path.
    pub key: String,
    /// Why it cannot.
    pub reason: String,
}

/// The configuration that holds, and what holds where it says nothing.
pub(super) struct Configured {
    pub(super) config: Config,
    pub(super) usual_stop: Option<StopGraces>,
    pub(super) bridging: Option<Arc<Bridging>>,
}

/// What one pool is to obey.
struct Step {
    crew: Arc<Crew>,
    /// What it runs, and as it was said.
    app: Arc<dyn App>,
    said: AppConfig,
    config: pool::Config,
    is_resized: bool,
    is_renewed: bool,
}

impl Hatchery {
    /// Has running pools obey a configuration that was read anew: their size, timeouts, queues, and what they do about faults, from
    /// the next call on; an app, its variables and what its workers may use, by replacing the workers as
    /// [`Pool::reload`](crate::Pool::reload) does, without losing a call. A call that runs ends under what held when it was made. A
    /// key that the configuration does not change is left alone, whatever [`Pool::scale`](crate::Pool::scale) has made of it since.
    /// Host tools come and go at once.
    /// What cannot be changed while it runs is named, with the reason; it is compared with what holds, and so named every time.
    /// Does not wait for the new workers. Of `[server]` nothing is said: that is a daemon's.
    ///
    /// Every pool is checked before one of them is changed.
    ///
    /// # Errors
    /// `validation` if the configuration is wrong, or if this hatchery was not made from one
    /// ([`Builder::configure`](crate::Builder::configure)); `conflict` if a host tool has a name that another one has taken meanwhile;
    /// `unavailable` after the shutdown. Then nothing has changed.
    pub fn reconfigure(&self, config: &Config) -> Result<Reconfigured> {
        let mut held = self.configured.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_mut().ok_or_else(not_configured)?;
        let mut report = Reconfigured::default();
        compare_top(&held.config, config, &mut report);
        let steps = self.steps(held, config, &mut report)?;
        let exchange = self.compare_host_tools(&held.config, config, &mut report);
        self.exchange_host_tools(&exchange)?;
        held.config.host_tools = exchange.held;
        for step in steps {
            let pool = held.config.pools.iter_mut().find(|pool| *pool.name == *step.crew.shared.name);
            if let Some(pool) = pool {
                pool.app = step.said.clone();
            }
            step.take();
        }
        Ok(report)
    }

    fn steps(&self, held: &Configured, config: &Config, report: &mut Reconfigured) -> Result<Vec<Step>> {
        let mut wanted = Hatchery::builder();
        (wanted.usual_stop, wanted.bridging) = (held.usual_stop, held.bridging.clone());
        let mut wanted = wanted.configure(config);
        wanted.bridge_pools()?;
        wanted.check_pools()?;
        report.compare_names(&held.config.pools, &config.pools);
        let mut steps = Vec::new();
        for (pool, (name, app, wanted)) in config.pools.iter().zip(&wanted.pools) {
            let before = held.config.pools.iter().find(|before| before.name == *name);
            let crew = self.crews.iter().find(|crew| *crew.shared.name == **name);
            if let (Some(before), Some(crew)) = (before, crew) {
                if crew.is_ending() {
                    return Err(Error::new(ErrorKind::Unavailable, format!("pool {name} is shut down")));
                }
                steps.push(report.compare_pool((before, pool), crew, (app, wanted)));
            }
        }
        Ok(steps)
    }
}

impl Step {
    fn take(self) {
        let Step { crew, app, config, is_resized, is_renewed, .. } = self;
        let workers = config.workers;
        crew.obey(app, config, is_renewed);
        if is_resized {
            crew.scale(workers);
        }
    }
}

impl Reconfigured {
    /// Adds a key that does not hold before the next start, for what stands around a hatchery and obeys keys of its own.
    pub fn needs_restart(&mut self, key: impl Into<String>, reason: &str) {
        self.needs_restart.push(NeedsRestart { key: key.into(), reason: reason.to_owned() });
    }

    /// What came of both.
    #[must_use]
    pub fn and(mut self, other: Reconfigured) -> Reconfigured {
        self.applied.extend(other.applied);
        self.needs_restart.extend(other.needs_restart);
        Reconfigured { unchanged: self.unchanged + other.unchanged, ..self }
    }

    /// The pools of a run are those of its start.
    fn compare_names(&mut self, before: &[PoolConfig], after: &[PoolConfig]) {
        let is_in = |pools: &[PoolConfig], name: &str| pools.iter().any(|pool| pool.name == name);
        for pool in after.iter().filter(|pool| !is_in(before, &pool.name)) {
            self.needs_restart(format!("pools.{}", pool.name), "pools are added at the start only");
        }
        for pool in before.iter().filter(|pool| !is_in(after, &pool.name)) {
            self.needs_restart(
                format!("pools.{}", pool.name),
                "pools are removed at the start only; drain it until then",
            );
        }
    }

    fn compare_pool(
        &mut self,
        (before, after): (&PoolConfig, &PoolConfig),
        crew: &Arc<Crew>,
        (app, wanted): (&Arc<dyn App>, &pool::Config),
    ) -> Step {
        let rules = crew.shared.rules();
        let of_app = before.app.changes(&after.app);
        let of_pool = pool::changes(&rules.config, wanted);
        self.unchanged += after.app.keys() + pool::KEYS - of_app.len() - of_pool.len();
        let path = |key: &str| format!("pools.{}.{key}", after.name);
        let is_spoken_to_alike = pool::spoken(&rules.config) == pool::spoken(wanted);
        for key in &of_app {
            match is_spoken_to_alike {
                true => self.applied.push(path(key)),
                false => self.needs_restart(path(key), pool::SPOKEN),
            }
        }
        for (key, takes) in &of_pool {
            match takes {
                Takes::Nothing | Takes::Renewal => self.applied.push(path(key)),
                Takes::Restart(reason) => self.needs_restart(path(key), reason),
            }
        }
        let is_resized = of_pool.iter().any(|(key, _)| *key == "workers");
        let is_other_app = is_spoken_to_alike && !of_app.is_empty();
        let is_renewed = is_other_app || of_pool.iter().any(|(_, takes)| *takes == Takes::Renewal);
        let config = pool::within_reach(&rules.config, wanted);
        let (app, said) = match is_spoken_to_alike {
            true => (app, &after.app),
            false => (&rules.app, &before.app),
        };
        Step { crew: Arc::clone(crew), app: Arc::clone(app), said: said.clone(), config, is_resized, is_renewed }
    }
}

/// What is said above the pools and is not laid over them. `[server]` is the affair of the daemon.
fn compare_top(before: &Config, after: &Config, report: &mut Reconfigured) {
    let instance = |config: &Config| format!("{:?}", config.instance);
    let keys = [
        ("instance", instance(before) == instance(after), "whose records these are is settled at the start"),
        ("agents", before.agents == after.agents, "agent runs are started as it was said at the start"),
        ("sessions", before.sessions == after.sessions, "sessions are opened at the start"),
    ];
    for (key, is_same, reason) in keys {
        match is_same {
            true => report.unchanged += 1,
            false => report.needs_restart(key, reason),
        }
    }
}

fn not_configured() -> Error {
    let message = "reconfigure: this hatchery was not made from a configuration; scale and reload its pools one by one";
    Error::new(ErrorKind::Validation, message)
}
