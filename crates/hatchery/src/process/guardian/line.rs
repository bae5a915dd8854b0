//! Who waits for what the guardian has to say, by the number of the worker.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
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
    start: Start,
    is_ending: bool,
    left: Vec<u32>,
    gone: watch::Sender<Option<Gone>>,
}

enum Start {
    Awaited,
    /// Whoever waits for it has not taken it yet.
    Answered(Reply),
    Over,
}

impl Waiter {
    fn new(start: Start) -> Waiter {
        Waiter { start, is_ending: false, left: Vec::new(), gone: watch::Sender::new(None) }
    }

    /// Whether anybody waits for it.
    fn is_told(&mut self, reply: Reply) -> bool {
        let is_awaited = matches!(self.start, Start::Awaited);
        if is_awaited {
            self.start = Start::Answered(reply);
        }
        is_awaited
    }
}

impl Waiting {
    /// To be called before the order is sent. `None`: the guardian is gone.
    pub(super) fn expect(&self, worker: u32) -> Option<WhenGone> {
        let mut state = self.state();
        if state.is_over {
            return None;
        }
        let waiter = Waiter::new(Start::Awaited);
        let when_gone = waiter.gone.subscribe();
        state.workers.insert(worker, waiter);
        Some(when_gone)
    }

    /// Of a worker that was started for an earlier host.
    pub(super) fn hold(&self, worker: u32) -> WhenGone {
        let waiter = Waiter::new(Start::Over);
        let when_gone = waiter.gone.subscribe();
        self.state().workers.insert(worker, waiter);
        when_gone
    }

    /// What became of its start, once. `None`: nothing is known yet, or will ever be.
    pub(super) fn take_reply(&self, worker: u32) -> Option<Reply> {
        let mut state = self.state();
        let start = &mut state.workers.get_mut(&worker)?.start;
        match std::mem::replace(start, Start::Over) {
            Start::Answered(reply) => {
                if let Reply::Failed { .. } = reply {
                    state.workers.remove(&worker);
                }
                Some(reply)
            }
            before => {
                *start = before;
                None
            }
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn forget(&self, worker: u32) {
        self.state().workers.remove(&worker);
    }

    /// Passes a fact on. `Err`: this worker was started for somebody who has given up; it must be ended.
    pub(super) fn hear(&self, fact: Fact, pidfd: Option<OwnedFd>) -> Result<(), u32> {
        let mut state = self.state();
        if state.is_over {
            return Ok(());
        }
        match (fact, pidfd) {
            (Fact::Spawned { worker, pid }, pidfd) => {
                let waiter = state.workers.entry(worker).or_insert_with(|| Waiter::new(Start::Over));
                let has_pidfd = pidfd.is_some();
                let reply = pidfd.map_or(Reply::NoDescriptor, |pidfd| Reply::Spawned { pid, pidfd });
                let is_heard = waiter.is_told(reply);
                if !is_heard || !has_pidfd {
                    return Err(worker);
                }
            }
            (Fact::Failed { worker, step, errno }, _) => {
                let waiter = state.workers.get_mut(&worker);
                let _was_awaited = waiter.is_some_and(|waiter| waiter.is_told(Reply::Failed { step, errno }));
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
            (Fact::Ready(_) | Fact::Alive | Fact::Keeping | Fact::Held { .. }, _) => {}
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
        let is_awaited = |waiter: &Waiter| waiter.is_ending || matches!(waiter.start, Start::Awaited);
        self.state().workers.values().any(is_awaited)
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
        let _gone = waiting.expect(1).unwrap();
        assert_eq!(waiting.hear(Fact::Spawned { worker: 1, pid: 100 }, None), Err(1));
        assert!(matches!(waiting.take_reply(1), Some(Reply::NoDescriptor)));
        assert!(waiting.expect_end(1), "it is told again if it was not heard");
        assert_eq!(waiting.hear(Fact::Spawned { worker: 2, pid: 100 }, None), Err(2), "nobody has asked for it");
        assert!(waiting.expect_end(2));
    }

    #[test]
    fn a_start_is_answered_once_and_by_nobody_after_the_end() {
        let waiting = Waiting::default();
        for worker in 1..=3 {
            waiting.expect(worker).unwrap();
        }
        let failed = |worker| Fact::Failed { worker, step: Step::Exec, errno: 2 };
        assert!(waiting.take_reply(1).is_none() && waiting.is_awaited());
        for worker in [2, 1] {
            waiting.hear(failed(worker), None).unwrap();
        }
        for worker in [1, 2] {
            assert!(matches!(waiting.take_reply(worker), Some(Reply::Failed { step: Step::Exec, errno: 2 })));
            assert!(waiting.take_reply(worker).is_none() && !waiting.expect_end(worker));
        }
        waiting.end();
        waiting.hear(Fact::Spawned { worker: 3, pid: 100 }, None).unwrap();
        assert!(waiting.take_reply(3).is_none());
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
