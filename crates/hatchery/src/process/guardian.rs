//! The host's handle of the guardian: the one way in which this library starts a process.
//!
//! A [`Guardian`] is a keeper and a guardian, two tiny processes of which each cleans up if the other, or this program,
//! is killed (`docs/design/guardian.md`). They are born and die as a pair. If the pair is lost, every process below it
//! ends too, and the next spawn starts a new pair.

mod birth;
mod cgroup;
pub(super) mod channel;
pub(super) mod guarantee;
mod keep;
mod line;
#[allow(dead_code, reason = "the host uses its half, the program the other")]
pub(super) mod message;
mod pair;
mod program;
#[cfg(test)]
mod tests;
mod vigil;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(super) use cgroup::Leaves;
use guarantee::Guarantee;
pub(crate) use keep::{AttachError, Attached, Moment, Provisions};
pub(super) use line::{Gone, Reply, WhenGone};
pub(crate) use pair::Pair;
pub(super) use pair::attempted;
pub(crate) use program::write_program;

use rustix::fs::{Mode, OFlags, open};
use tokio::sync::watch;

use super::cage;
use super::mark::{Mark, Worn};
use crate::id::RunId;

/// What the pair is told when it is born.
#[derive(Clone)]
pub(crate) struct Plan {
    /// What every process below carries.
    pub(crate) mark: Mark,
    /// Names the run's folders in cgroup v2: never two alike on a machine.
    pub(crate) name: String,
    /// Counts the pairs of the run; all its guardians share it.
    pub(crate) pairs: Arc<AtomicU32>,
    /// A PID namespace of its own.
    pub(crate) pidns: bool,
    /// Hears what becomes of the pair. Called from a thread of the guardian's; must not block.
    pub(crate) watcher: Arc<dyn Watcher>,
}

/// Starts a pair and ends it again, to see what holds on this machine. Blocks for some milliseconds.
pub(crate) fn try_guardian() -> Result<Guarantee, StartError> {
    Guardian::start(Plan::unrecorded()).map(|guardian| guardian.guarantee())
}

/// Who wants to know about the pair as a whole.
pub(crate) trait Watcher: Send + Sync {
    /// A folder in cgroup v2 was made for a pair. Nothing is in it yet.
    fn made(&self, folder: &Path);
    /// A pair is up. Called before anything is started through it.
    fn born(&self, pair: &Pair);
    /// It was lost though nobody asked it to end: whatever it had started ends as well.
    fn lost(&self, pair: &Pair);
    /// Nothing is left of it.
    fn over(&self, pair: &Pair);
}

/// Why there is no pair.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{0}")]
    Program(Arc<dyn std::error::Error + Send + Sync>),
    #[error("start the guardian: {step}: {source}")]
    Refused { step: &'static str, source: Arc<io::Error> },
    #[error("start the guardian: {what}: {source}")]
    Os { what: &'static str, source: Arc<io::Error> },
    #[error("start the guardian: no answer within {0:?}")]
    Silent(Duration),
    #[error("start the guardian: hear from it: it ended")]
    Ended,
    #[error("this run is over")]
    Closed,
    #[error("this is a forked copy of the program that owns the workers")]
    Forked,
}

/// Starts processes and owns them. Dropped, everything that it started ends.
pub(crate) struct Guardian {
    plan: Plan,
    owner: u32,
    /// `/dev/null`, for those that read nothing: a start waits for each file that is opened for it.
    null: OwnedFd,
    /// Held while a pair is started: one at a time, and that may take long.
    start: Mutex<()>,
    /// Whether one is.
    is_starting: watch::Sender<bool>,
    /// Never held for long.
    state: Mutex<State>,
}

struct State {
    /// The last that was started. May have been lost meanwhile; the pair itself knows.
    pair: Arc<Pair>,
    /// Lost ones of which something may be left.
    fallen: Vec<Arc<Pair>>,
    is_closed: bool,
}

impl Plan {
    /// For a process that ends within the call that starts it, and that no other program needs to know of.
    pub(crate) fn unrecorded() -> Plan {
        let id = RunId::random();
        let (mark, name, pairs) =
            (Mark::of_run(id, Worn::by_this_process().map(|worn| worn.mark)), id.to_string(), Arc::default());
        Plan { mark, name, pairs, pidns: false, watcher: Arc::new(Nobody) }
    }
}

struct Nobody;

impl Watcher for Nobody {
    fn made(&self, _folder: &Path) {}
    fn born(&self, _pair: &Pair) {}
    fn lost(&self, _pair: &Pair) {}
    fn over(&self, _pair: &Pair) {}
}

impl Guardian {
    /// Starts the pair. Blocks for a millisecond or two.
    pub(crate) fn start(plan: Plan) -> Result<Guardian, StartError> {
        Ok(Guardian::of(dev_null()?, Pair::start(&plan)?, plan))
    }

    /// With a pair that is up.
    fn of(null: OwnedFd, pair: Arc<Pair>, plan: Plan) -> Guardian {
        let state = State { pair, fallen: Vec::new(), is_closed: false };
        let (start, is_starting) = (Mutex::default(), watch::Sender::new(false));
        Guardian { plan, owner: std::process::id(), null, start, is_starting, state: Mutex::new(state) }
    }

    /// What holds on this machine, now.
    pub(crate) fn guarantee(&self) -> Guarantee {
        self.pair().guarantee().clone()
    }

    /// Everything below ends, without a grace. Nothing can be started any more. Does not wait.
    pub(crate) fn close(&self) {
        if self.owner != std::process::id() {
            return;
        }
        let mut state = self.state();
        state.is_closed = true;
        state.pair.close();
    }

    /// [`Guardian::close`], and waits until nothing is left. `false`: something still is, after `patience`.
    pub(crate) async fn closed(&self, patience: Duration) -> bool {
        self.close();
        let all_over = async {
            // One that comes too late is closed at once.
            let mut is_starting = self.is_starting.subscribe();
            let _none_is = is_starting.wait_for(|is_starting| !is_starting).await.is_ok();
            for mut over in self.overs() {
                let _is_over = over.wait_for(|over| *over).await;
            }
        };
        tokio::time::timeout(patience, all_over).await.is_ok()
    }

    /// The pair that is up; a new one if the last was lost.
    pub(super) fn admit(&self) -> Result<Arc<Pair>, StartError> {
        if self.owner != std::process::id() {
            return Err(StartError::Forked);
        }
        if let Some(pair) = self.up(|| ())? {
            return Ok(pair);
        }
        // Nothing is guarded by it.
        let _one_at_a_time = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        let will_start = || {
            self.is_starting.send_replace(true);
        };
        if let Some(pair) = self.up(will_start)? {
            return Ok(pair);
        }
        let started = Pair::start(&self.plan).and_then(|pair| self.take_in(pair));
        self.is_starting.send_replace(false);
        started
    }

    /// The last one. If it was lost, and none must be closed yet, notes what is done about it.
    fn up(&self, if_lost: impl FnOnce()) -> Result<Option<Arc<Pair>>, StartError> {
        let state = self.state();
        if state.is_closed {
            return Err(StartError::Closed);
        }
        if state.pair.is_up() {
            return Ok(Some(Arc::clone(&state.pair)));
        }
        if_lost();
        Ok(None)
    }

    /// In the place of one that was lost.
    fn take_in(&self, pair: Arc<Pair>) -> Result<Arc<Pair>, StartError> {
        let mut state = self.state();
        let lost = std::mem::replace(&mut state.pair, Arc::clone(&pair));
        state.fallen.retain(|pair| !*pair.over().borrow());
        state.fallen.push(lost);
        if state.is_closed {
            pair.close();
            return Err(StartError::Closed);
        }
        Ok(pair)
    }

    /// Of every pair of which something may be left.
    fn overs(&self) -> Vec<watch::Receiver<bool>> {
        let state = self.state();
        state.fallen.iter().chain([&state.pair]).map(|pair| pair.over()).collect()
    }

    pub(super) fn null(&self) -> &OwnedFd {
        &self.null
    }

    /// Whether what it starts lives in a PID namespace of its own.
    pub(super) fn is_enclosed(&self) -> bool {
        self.plan.pidns
    }

    /// Of a control group for this worker alone.
    pub(super) fn name_of(&self, worker: u32) -> String {
        cage::name_of(&self.plan.name, worker)
    }

    /// The last one that was up.
    fn pair(&self) -> Arc<Pair> {
        Arc::clone(&self.state().pair)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // No panic leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dev_null() -> Result<OwnedFd, StartError> {
    let opened = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    opened.map_err(|errno| StartError::Os { what: "open /dev/null", source: Arc::new(errno.into()) })
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.close();
    }
}
