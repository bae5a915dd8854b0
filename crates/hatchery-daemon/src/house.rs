//! What all requests share: the phase, and the pools once they are filled.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::SystemTime;

use hatchery::{Error, ErrorKind, Hatchery, Pool, Result};
use tokio::sync::watch;

use crate::Phase;
use crate::system::{Lookout, System};

/// Who owns the [`Hatchery`] is `Daemon::serve`: dropping that ends every process, whatever requests still hold this.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) started_at: SystemTime,
    phase: watch::Sender<Phase>,
    hatchery: OnceLock<Weak<Hatchery>>,
    lookout: Lookout,
}

impl House {
    pub(crate) fn new(address: SocketAddr) -> House {
        let phase = watch::Sender::new(Phase::Starting);
        House { address, started_at: SystemTime::now(), phase, hatchery: OnceLock::new(), lookout: Lookout::new() }
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
        Some(self.lookout.look(options).await)
    }

    /// The pool of this name.
    pub(crate) fn pool(&self, name: &str) -> Result<Pool> {
        match self.hatchery() {
            Some(hatchery) => hatchery.pool(name),
            None => {
                Err(Error::new(ErrorKind::Unavailable, format!("the daemon takes no calls: it is {}", self.phase())))
            }
        }
    }
}
