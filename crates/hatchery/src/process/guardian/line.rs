//! Who waits for what the guardian has to say, by the number of the worker.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::message::{Fact, Step};

/// What became of an order to spawn.
pub(in crate::process) enum Reply {
    Spawned {
        pid: u32,
        pidfd: OwnedFd,
    },
    Failed {
        step: Step,
        errno: i32,
    },
    /// It runs, but this program had no descriptor left to take hold of it; it is ended again.
    NoDescriptor,
}

/// What is left of a worker, as the guardian saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::process) struct Gone {
    /// `si_code` and `si_status` of `waitid`.
    pub(in crate::process) code: i32,
    pub(in crate::process) status: i32,
    /// Processes that had left its group and were ended with it.
    pub(in crate::process) escaped: u32,
    /// Processes that were left alone, as its `on_escape` says.
    pub(in crate::process) left: Vec<u32>,
}

/// Resolves to `Some` when the worker is gone; closed if the guardian was lost before it could say.
pub(in crate::process) type WhenGone = watch::Receiver<Option<Gone>>;

#[derive(Default)]
pub(super) struct Waiting(Mutex<State>);

#[derive(Default)]
struct State {
    workers: HashMap<u32, Waiter>,
    /// The guardian is gone; whoever comes now waits in vain.
    is_over: bool,
}

struct Waiter {
    spawned: Option<SyncSender<Reply>>,
    left: Vec<u32>,
    gone: watch::Sender<Option<Gone>>,
}

impl Waiting {
    /// To be called before the order is sent. `None`: the guardian is gone.
    pub(super) fn expect(&self, worker: u32) -> Option<(Receiver<Reply>, WhenGone)> {
        let mut state = self.state();
        if state.is_over {
            return None;
        }
        let (spawned, reply) = sync_channel(1);
        let (gone, when_gone) = watch::channel(None);
        state.workers.insert(worker, Waiter { spawned: Some(spawned), left: Vec::new(), gone });
        Some((reply, when_gone))
    }

    /// Nobody waits for it any more.
    pub(super) fn forget(&self, worker: u32) {
        self.state().workers.remove(&worker);
    }

    /// Passes a fact on. `Err`: this worker was started for somebody who has given up; it must be ended.
    pub(super) fn hear(&self, fact: Fact, pidfd: Option<OwnedFd>) -> Result<(), u32> {
        let mut state = self.state();
        match (fact, pidfd) {
            (Fact::Spawned { worker, pid }, Some(pidfd)) => {
                let waiter = state.workers.get_mut(&worker).and_then(|waiter| waiter.spawned.take());
                let reply = Reply::Spawned { pid, pidfd };
                return waiter.and_then(|waiter| waiter.try_send(reply).ok()).ok_or(worker);
            }
            (Fact::Failed { worker, step, errno }, _) => {
                let waiter = state.workers.remove(&worker).and_then(|waiter| waiter.spawned);
                let _given_up = waiter.map(|waiter| waiter.try_send(Reply::Failed { step, errno }));
            }
            (Fact::Escaped { worker, pid }, _) => {
                if let Some(waiter) = state.workers.get_mut(&worker) {
                    waiter.left.push(pid);
                }
            }
            (Fact::Gone { worker, code, status, escaped }, _) => {
                if let Some(waiter) = state.workers.remove(&worker) {
                    let gone = Gone { code, status, escaped, left: waiter.left };
                    let _dropped = waiter.gone.send(Some(gone));
                }
            }
            (Fact::Spawned { worker, .. }, None) => {
                let waiter = state.workers.remove(&worker).and_then(|waiter| waiter.spawned);
                let _given_up = waiter.map(|waiter| waiter.try_send(Reply::NoDescriptor));
                return Err(worker);
            }
            (Fact::Ready(_), _) => {}
        }
        Ok(())
    }

    /// The guardian is gone: everyone who waits, waits in vain. Says for which workers.
    pub(super) fn end(&self) -> Vec<u32> {
        let mut state = self.state();
        state.is_over = true;
        state.workers.drain().map(|(worker, _)| worker).collect()
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().is_over
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
