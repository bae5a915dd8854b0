//! A process that we own: who may signal it, and until when.

use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use rustix::process::Signal;

use super::cage::Cage;
use super::fork::Forker;
use super::guardian::{Gone, Moment, Pair, Provisions, StartError, WhenGone};
use super::identity::ends_within;
use super::sight::is_stopped;
use super::{Identity, raw};

/// How long a drop waits for SIGKILL to do its work. Milliseconds, unless the kernel itself is stuck.
const DROP_PATIENCE: Duration = Duration::from_secs(1);

/// How often to look when the kernel cannot tell us (out of descriptors or watches).
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long one may take to go before its guardian is looked after: that may have been stopped.
const SUSPICION: Duration = Duration::from_secs(1);

/// A process that leads a session and a process group of its own and is a child of the guardian, which keeps it
/// un-reaped until it is told to end it.
///
/// Dropped, its whole tree is killed. [`end`](super::end) is the polite way.
pub(crate) struct Child {
    leader: Arc<Leader>,
    cage: Cage,
}

/// Kills a child from anywhere, at any time. Once the child is gone, it does nothing.
#[derive(Clone)]
pub(crate) struct Terminator(Arc<Leader>);

impl Child {
    pub(super) fn new(
        worker: u32,
        identity: Identity,
        pidfd: OwnedFd,
        cage: Cage,
        pair: Arc<Pair>,
        gone: WhenGone,
    ) -> Child {
        Child { leader: Arc::new(Leader { worker, identity, pidfd, pair, gone }), cage }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.leader.identity
    }

    /// Resolves when the leader has ended. Does not reap it; may be dropped and asked again.
    pub(crate) async fn exited(&self) {
        self.leader.exited().await;
    }

    /// Whether the kernel does not let it run: by a signal, or by a tracer. False if that cannot be told.
    pub(crate) fn is_stopped(&self) -> bool {
        is_stopped(self.identity().pid())
    }

    pub(crate) fn has_exited(&self) -> bool {
        self.leader.has_ended_within(Duration::ZERO)
    }

    /// Ends the whole tree, now. Whether there was anything to end.
    pub(crate) fn kill_now(&self) -> bool {
        self.leader.end()
    }

    /// From now on the end of this program is not the child's: it goes on with keeper and guardian, which no other child has, until
    /// the next host comes through a door in `folder`. Blocks for a millisecond or so.
    pub(crate) fn keep(
        &self,
        folder: impl AsFd,
        provisions: &Provisions,
        reached: impl FnMut(Moment),
    ) -> Result<(), StartError> {
        self.leader.pair.keep(self.leader.worker, folder, provisions, reached)
    }

    /// Who is its owner while this program is not there.
    pub(crate) fn keeper(&self) -> &Identity {
        self.leader.pair.keeper()
    }

    /// Of one that is kept: its stdin ends when its writing end is closed here, and not only with its guardian.
    #[cfg_attr(not(test), expect(dead_code, reason = "agent runs that outlive their supervisor are to call it"))]
    pub(crate) fn close_kept_input(&self) -> io::Result<()> {
        self.leader.pair.close_input(self.leader.worker)
    }

    /// Of one that is kept: this program leaves it, and it goes on. Else it ends, like any child that is dropped.
    pub(crate) fn leave(mut self) -> bool {
        let is_left = self.leader.pair.release();
        if is_left {
            self.cage.let_go();
        }
        is_left
    }

    /// To be asked for forks of itself.
    pub(crate) fn forker(&self, orders: OwnedFd) -> Forker {
        Forker::new(Arc::clone(&self.leader.pair), self.leader.worker, orders)
    }

    pub(crate) fn terminator(&self) -> Terminator {
        Terminator(Arc::clone(&self.leader))
    }

    pub(super) fn ran_out_of_memory(&self) -> bool {
        self.cage.ran_out_of_memory()
    }

    /// To be called when nothing of it is left.
    pub(super) async fn release(&mut self) {
        self.cage.release().await;
    }

    /// Sends a signal of this number to its process group; none that there is not.
    pub(crate) fn signal(&self, number: i32) {
        if let Some(signal) = Signal::from_named_raw(number) {
            self.signal_group(signal);
        }
    }

    pub(super) fn signal_group(&self, signal: Signal) -> bool {
        self.leader.is_there() && self.leader.pair.signal(self.leader.worker, signal)
    }

    /// Ends the whole tree and resolves when nothing of it is left: with what the guardian saw, or `None` if the
    /// guardian was lost, and the leader is gone as well.
    pub(super) fn gone(&self) -> impl Future<Output = Option<Gone>> {
        let leader = Arc::clone(&self.leader);
        leader.end();
        async move {
            let mut gone = leader.gone.clone();
            if tokio::time::timeout(SUSPICION, gone.wait_for(Option::is_some)).await.is_err() {
                leader.pair.look_after();
            }
            if let Ok(gone) = gone.wait_for(Option::is_some).await {
                return gone.clone();
            }
            // It was killed when its guardian was, but the kernel may hold it.
            leader.exited().await;
            None
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that was told before had its time, or is waited for by somebody else.
        let was_ending = self.leader.pair.is_ending(self.leader.worker);
        if self.kill_now() && !was_ending && !self.leader.has_ended_within(DROP_PATIENCE) {
            // Else each of many children would wait in vain.
            self.leader.pair.look_after();
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Child").field(self.identity()).finish()
    }
}

impl Terminator {
    /// Ends the whole tree, now. Whether there was anything to end.
    pub(crate) fn kill(&self) -> bool {
        self.0.end()
    }
}

struct Leader {
    worker: u32,
    identity: Identity,
    pidfd: OwnedFd,
    pair: Arc<Pair>,
    gone: WhenGone,
}

impl Leader {
    /// Nothing is said about a worker that is gone: its number means nobody.
    fn end(&self) -> bool {
        self.is_there() && self.pair.end(self.worker)
    }

    fn is_there(&self) -> bool {
        self.gone.borrow().is_none()
    }

    fn has_ended_within(&self, patience: Duration) -> bool {
        ends_within(&self.pidfd, patience)
    }

    async fn exited(&self) {
        while !self.has_ended_within(Duration::ZERO) {
            if self.exit_event().await.is_err() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// A descriptor of its own for each waiter, so that it belongs to the runtime that waits and not to the one in
    /// which the child happened to be started.
    async fn exit_event(&self) -> io::Result<()> {
        let pidfd = raw::watch(self.pidfd.try_clone()?)?;
        pidfd.readable().await.map(|mut readiness| readiness.clear_ready())
    }
}
