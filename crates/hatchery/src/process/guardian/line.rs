//! Who waits for what the guardian has to say, by the number of the worker.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::message::{Fact, Step};
use crate::process::identity::number_behind;

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
    /// Workers that are gone and have left something that ends with the run.
    survived: Vec<u32>,
    /// The guardian is gone; whoever comes now waits in vain.
    is_over: bool,
}

struct Waiter {
    /// Who waits for its start.
    spawned: Option<SyncSender<Reply>>,
    is_ending: bool,
    left: Vec<u32>,
    gone: watch::Sender<Option<Gone>>,
}

impl Waiter {
    fn nobody() -> Waiter {
        Waiter { spawned: None, is_ending: false, left: Vec::new(), gone: watch::Sender::new(None) }
    }
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
        state.workers.insert(worker, Waiter { spawned: Some(spawned), is_ending: false, left: Vec::new(), gone });
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
            (Fact::Spawned { worker, pid }, pidfd) => {
                let waiter = state.workers.entry(worker).or_insert_with(Waiter::nobody);
                let has_pidfd = pidfd.is_some();
                let reply = pidfd.map_or(Reply::NoDescriptor, |pidfd| Reply::Spawned { pid, pidfd });
                let is_heard = waiter.spawned.take().is_some_and(|spawned| spawned.try_send(reply).is_ok());
                if !is_heard || !has_pidfd {
                    return Err(worker);
                }
            }
            (Fact::Failed { worker, step, errno }, _) => {
                let waiter = state.workers.remove(&worker).and_then(|waiter| waiter.spawned);
                let _given_up = waiter.map(|waiter| waiter.try_send(Reply::Failed { step, errno }));
            }
            (Fact::Escaped { worker, pid }, pidfd) => {
                // The guardian may live in a namespace of its own.
                let seen = pidfd.as_ref().and_then(number_behind).filter(|seen| *seen > 0);
                if let Some(waiter) = state.workers.get_mut(&worker) {
                    waiter.left.push(seen.map_or(pid, i32::unsigned_abs));
                }
            }
            (Fact::Gone { worker, code, status, escaped }, _) => {
                if let Some(waiter) = state.workers.remove(&worker) {
                    if !waiter.left.is_empty() {
                        state.survived.push(worker);
                    }
                    let gone = Gone { code, status, escaped, left: waiter.left };
                    let _dropped = waiter.gone.send(Some(gone));
                }
            }
            (Fact::Ready(_) | Fact::Alive, _) => {}
        }
        Ok(())
    }

    /// The guardian is gone: everyone who waits, waits in vain. Says of which workers something may be left.
    pub(super) fn end(&self) -> Vec<u32> {
        let mut state = self.state();
        state.is_over = true;
        let survived = std::mem::take(&mut state.survived);
        state.workers.drain().map(|(worker, _)| worker).chain(survived).collect()
    }

    /// Its end is awaited from now on. False: it is gone already, or the guardian is.
    pub(super) fn expect_end(&self, worker: u32) -> bool {
        self.state().workers.get_mut(&worker).map(|waiter| waiter.is_ending = true).is_some()
    }

    pub(super) fn is_ending(&self, worker: u32) -> bool {
        self.state().workers.get(&worker).is_some_and(|waiter| waiter.is_ending)
    }

    /// Workers whose end is awaited.
    pub(super) fn ending(&self) -> Vec<u32> {
        let state = self.state();
        state.workers.iter().filter(|(_, waiter)| waiter.is_ending).map(|(worker, _)| *worker).collect()
    }

    /// Whether anybody waits for the guardian to do something.
    pub(super) fn is_awaited(&self) -> bool {
        self.state().workers.values().any(|waiter| waiter.is_ending || waiter.spawned.is_some())
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().is_over
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_awaited_until_it_is_told() {
        let waiting = Waiting::default();
        assert!(!waiting.expect_end(1) && !waiting.is_awaited());
        let _waits = waiting.expect(1).unwrap();
        assert!(waiting.is_awaited() && waiting.ending().is_empty());
        assert!(waiting.expect_end(1));
        assert_eq!(waiting.ending(), [1]);
        waiting.hear(Fact::Gone { worker: 1, code: 1, status: 0, escaped: 0 }, None).unwrap();
        assert!(!waiting.expect_end(1) && !waiting.is_awaited());
    }

    #[test]
    fn what_nobody_can_own_is_ended_and_its_end_awaited() {
        let waiting = Waiting::default();
        let (reply, _gone) = waiting.expect(1).unwrap();
        assert_eq!(waiting.hear(Fact::Spawned { worker: 1, pid: 100 }, None), Err(1));
        assert!(matches!(reply.recv(), Ok(Reply::NoDescriptor)));
        assert!(waiting.expect_end(1), "it is told again if it was not heard");
        assert_eq!(waiting.hear(Fact::Spawned { worker: 2, pid: 100 }, None), Err(2), "nobody has asked for it");
        assert!(waiting.expect_end(2));
    }

    #[test]
    fn what_was_left_alone_is_remembered_for_the_end() {
        let waiting = Waiting::default();
        for worker in 1..=3 {
            waiting.expect(worker).unwrap();
        }
        let gone = |worker| Fact::Gone { worker, code: 1, status: 0, escaped: 0 };
        for fact in [Fact::Escaped { worker: 1, pid: 100 }, gone(1), gone(2)] {
            waiting.hear(fact, None).unwrap();
        }
        let mut unended = waiting.end();
        unended.sort_unstable();
        assert_eq!(unended, [1, 3]);
    }
}
