//! What all requests share: the phase, and the pools once they are filled.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::SystemTime;

use hatchery::{CallOptions, Error, ErrorKind, Hatchery, Pool, Result, SweepReport, SystemStatus};
use tokio::sync::watch;

use crate::Phase;
use crate::access::Access;
use crate::configuration::Reload;
use crate::doors::Doors;
use crate::notify::Notifier;
use crate::system::{self, Lookout, System};

/// Who owns the [`Hatchery`] is `Daemon::serve`: dropping that ends every process, whatever requests still hold this.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) started_at: SystemTime,
    doors: Doors,
    phase: watch::Sender<Phase>,
    /// Somebody with the scope for it has told the daemon to end.
    is_to_stop: watch::Sender<bool>,
    hatchery: OnceLock<Weak<Hatchery>>,
    configuration: OnceLock<Arc<dyn Reload>>,
    /// The configuration is read by one at a time.
    pub(crate) reloads: tokio::sync::Mutex<()>,
    notifier: OnceLock<Arc<Notifier>>,
    /// The share of calls that begin a trace, if traces go anywhere.
    sample_ratio: OnceLock<f64>,
    of_system: Lookout<SystemStatus>,
    of_orphans: Lookout<SweepReport>,
}

impl House {
    pub(crate) fn new(address: SocketAddr, doors: Doors) -> House {
        House {
            address,
            started_at: SystemTime::now(),
            doors,
            phase: watch::Sender::new(Phase::Starting),
            is_to_stop: watch::Sender::new(false),
            hatchery: OnceLock::new(),
            configuration: OnceLock::new(),
            reloads: tokio::sync::Mutex::default(),
            notifier: OnceLock::new(),
            sample_ratio: OnceLock::new(),
            of_system: Lookout::new(),
            of_orphans: Lookout::new(),
        }
    }

    /// Who is let in.
    pub(crate) fn access(&self) -> &Arc<Access> {
        self.doors.access()
    }

    /// What obeys `[server]`.
    pub(crate) fn doors(&self) -> &Doors {
        &self.doors
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Waits for the last phase.
    pub(crate) async fn closed(&self) {
        let mut phases = self.phases();
        let _we_hold_the_sender = phases.wait_for(|phase| *phase == Phase::Closed).await;
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
        if let Some(notifier) = self.notifier() {
            notifier.phase(phase, self.address);
        }
    }

    /// Tells the daemon to end, as a signal does.
    pub(crate) fn stop(&self) {
        self.is_to_stop.send_replace(true);
    }

    /// Waits until somebody has told it to.
    pub(crate) async fn told_to_stop(&self) {
        let mut told = self.is_to_stop.subscribe();
        let _we_hold_the_sender = told.wait_for(|told| *told).await;
    }

    /// Calls become spans from the start on. The first one counts.
    pub(crate) fn set_sample_ratio(&self, ratio: f64) {
        let _set_once = self.sample_ratio.set(ratio);
    }

    /// The options of a call that becomes a span, if spans are exported.
    pub(crate) fn spanned<'a>(&self, options: &'a CallOptions) -> Cow<'a, CallOptions> {
        match self.sample_ratio.get() {
            Some(ratio) => Cow::Owned(options.clone().spanned(*ratio)),
            None => Cow::Borrowed(options),
        }
    }

    /// What reads the configuration again. The first one counts.
    pub(crate) fn set_configuration(&self, configuration: Arc<dyn Reload>) {
        let _set_once = self.configuration.set(configuration);
    }

    pub(crate) fn configuration(&self) -> Option<Arc<dyn Reload>> {
        self.configuration.get().cloned()
    }

    /// Who is told of the phases. The first one counts.
    pub(crate) fn set_notifier(&self, notifier: Notifier) {
        let _set_once = self.notifier.set(Arc::new(notifier));
    }

    pub(crate) fn notifier(&self) -> Option<Arc<Notifier>> {
        self.notifier.get().cloned()
    }

    /// The pools are filled: from now on calls are taken.
    pub(crate) fn open(&self, hatchery: &Arc<Hatchery>) {
        let _filled_once = self.hatchery.set(Arc::downgrade(hatchery));
        self.enter(Phase::Serving);
    }

    /// The hatchery, from its filling to its end.
    pub(crate) fn hatchery(&self) -> Option<Arc<Hatchery>> {
        self.hatchery.get()?.upgrade()
    }

    /// All pools, by name; none before they are filled.
    pub(crate) fn pools(&self) -> Vec<Pool> {
        self.hatchery().map(|hatchery| hatchery.pools().cloned().collect()).unwrap_or_default()
    }

    /// What dead runs of its instance have left; `None` before the pools are filled and after their end. Waits 2 s at most.
    pub(crate) async fn system(&self) -> Option<System> {
        // Not the hatchery itself: nobody but its owner keeps it for so long.
        let options = self.hatchery()?.sweep_options();
        Some(system::status(&self.of_system, options).await)
    }

    /// Live processes that they have left.
    ///
    /// # Errors
    /// `unavailable` before the pools are filled and after their end.
    pub(crate) async fn orphans(&self) -> Result<SweepReport> {
        let options = self.filled()?.sweep_options();
        self.of_orphans.look(move || hatchery::orphans(&options)).await
    }

    /// The hatchery.
    ///
    /// # Errors
    /// `unavailable` before its filling and after its end.
    pub(crate) fn filled(&self) -> Result<Arc<Hatchery>> {
        let none = || Error::new(ErrorKind::Unavailable, format!("the daemon takes no calls: it is {}", self.phase()));
        self.hatchery().ok_or_else(none)
    }

    /// The pool of this name.
    pub(crate) fn pool(&self, name: &str) -> Result<Pool> {
        self.filled()?.pool(name)
    }

    /// The pool that the worker of this id belongs to, or would.
    pub(crate) fn pool_of(&self, worker: &str) -> Result<Pool> {
        let hatchery = self.filled()?;
        let pool = worker.rsplit_once('-').and_then(|(pool, _)| hatchery.pools().find(|it| it.name() == pool));
        pool.cloned().ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no such worker: {worker}")))
    }
}
