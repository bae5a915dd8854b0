//! How keeper and guardian come up, step by step, and how the keeper is buried.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    PidfdFlags, Resource, Signal, WaitId, WaitIdOptions, getpid, getrlimit, pidfd_open, pidfd_send_signal, waitid,
};

use super::guarantee::Guarantee;
use super::message::{Fact, KeeperFact, KeeperOrder, Layers, MAX_FDS};
use super::pair::attempted;
use super::program::{self, Source};
use super::vigil::LOOK;
use super::{Plan, StartError, cgroup, channel};
use crate::process::identity::{Identity, Pid, ends_within};

/// How many seconds keeper and guardian may take for each step of coming up, on a machine that is very busy.
const START_PATIENCE: u32 = 20;

/// How long the guardian has to end everything after this program's death before the keeper does it.
const GRACE: Duration = Duration::from_millis(500);

/// How many seconds the keeper may outlive its guardian before it is killed itself.
const KEEPER_PATIENCE: u32 = 10;

/// The only guardian of a keeper: each pair has one.
pub(super) const GUARDIAN: u32 = 0;

/// Keeper and guardian, up. Dropped, their sockets close first, and they leave.
pub(super) struct Both {
    pub(super) orders: OwnedFd,
    pub(super) line: OwnedFd,
    pub(super) starts: OwnedFd,
    pub(super) keeper: OwnKeeper,
    pub(super) guardian: Held,
    pub(super) guarantee: Guarantee,
}

/// A guardian, held by what its keeper has sent: its child, and never a stranger.
pub(super) struct Held {
    pub(super) identity: Identity,
    pub(super) pidfd: OwnedFd,
}

/// Reaped when dropped.
pub(super) struct OwnKeeper {
    pub(super) identity: Identity,
    pidfd: OwnedFd,
    /// A host that forks (Python's multiprocessing) copies this value, but the child stays the original's.
    owner: u32,
    /// Else an earlier host's, and nobody's now.
    is_child: bool,
    /// It lives on without this program.
    is_let_go: AtomicBool,
}

/// The keeper before it has a guardian. Dropped, its socket closes first, and it leaves.
struct Born {
    orders: OwnedFd,
    keeper: OwnKeeper,
    source: Source,
}

impl Both {
    pub(super) fn start(plan: &Plan, cgroup: Result<&cgroup::Folder, &io::Error>) -> Result<Both, StartError> {
        let born = Born::start()?;
        let kept = born.begin(plan, cgroup.ok())?;
        let Sockets { line, starts, theirs } = Sockets::make()?;
        let guardian = born.guard(plan, theirs)?;
        let ready = match answer(&line, Fact::decode)? {
            (Fact::Ready(layers), _) => layers,
            _other => return Err(unexpected()),
        };
        let Born { orders, keeper, source } = born;
        let guarantee = Guarantee::new(kept, ready, cgroup.err(), &source, plan.pidns);
        Ok(Both { orders, line, starts, keeper, guardian, guarantee })
    }
}

/// Both of ours to the guardian, and its ends.
pub(super) struct Sockets {
    pub(super) line: OwnedFd,
    pub(super) starts: OwnedFd,
    pub(super) theirs: [OwnedFd; 2],
}

impl Sockets {
    pub(super) fn make() -> Result<Sockets, StartError> {
        let (line, line_s_end) = channel::pair().map_err(os("make its socket"))?;
        let (starts, starts_end) = channel::pair().map_err(os("make its socket for starts"))?;
        channel::limit_patience(&starts, LOOK).map_err(os("limit the wait at its socket"))?;
        Ok(Sockets { line, starts, theirs: [line_s_end, starts_end] })
    }
}

impl Born {
    fn start() -> Result<Born, StartError> {
        enough_descriptors().map_err(os("find descriptors for it"))?;
        let (orders, keeper_s_end) = channel::pair().map_err(os("make the keeper's socket"))?;
        let keeper = program::start(keeper_s_end).map_err(|error| StartError::Program(Arc::new(error)))?;
        let program::Keeper { pid, pidfd, source } = keeper;
        let keeper = OwnKeeper {
            identity: Identity::of(pid, &pidfd),
            pidfd,
            owner: std::process::id(),
            is_child: true,
            is_let_go: false.into(),
        };
        Ok(Born { orders, keeper, source })
    }

    fn begin(&self, plan: &Plan, cgroup: Option<&cgroup::Folder>) -> Result<Layers, StartError> {
        let host = pidfd_open(getpid(), PidfdFlags::empty()).map_err(os_errno("open a pidfd of this program"))?;
        let order = KeeperOrder::Begin {
            mark: plan.mark,
            host: std::process::id(),
            grace_ms: GRACE.as_millis() as u32,
            cgroup: cgroup.is_some(),
        };
        let fds: Vec<BorrowedFd<'_>> = [host.as_fd()].into_iter().chain(cgroup.map(AsFd::as_fd)).collect();
        channel::send(&self.orders, &order, 0, &fds).map_err(os("give the keeper its orders"))?;
        match answer(&self.orders, KeeperFact::decode)? {
            (KeeperFact::Kept(layers), _) => Ok(layers),
            _other => Err(unexpected()),
        }
    }

    fn guard(&self, plan: &Plan, sockets: [OwnedFd; 2]) -> Result<Held, StartError> {
        let order = KeeperOrder::Guard { guardian: GUARDIAN, pidns: plan.pidns };
        channel::send(&self.orders, &order, 0, &sockets.each_ref().map(AsFd::as_fd)).map_err(os("order a guardian"))?;
        drop(sockets);
        match answer(&self.orders, KeeperFact::decode)? {
            (KeeperFact::Guarding { pid, .. }, Some(pidfd)) => {
                let pid = Pid::new(pid.cast_signed()).ok_or_else(unexpected)?;
                Ok(Held { identity: Identity::of(pid, &pidfd), pidfd })
            }
            (KeeperFact::Guarding { .. }, None) => Err(os_errno("take hold of it")(Errno::MFILE)),
            (KeeperFact::Refused { step, errno, .. }, _) => Err(StartError::Refused {
                step: attempted(step),
                source: Arc::new(io::Error::from_raw_os_error(errno)),
            }),
            _other => Err(unexpected()),
        }
    }
}

/// Keeper and guardian take as many as they may, and keep their own above all that a worker can be given.
fn enough_descriptors() -> io::Result<()> {
    const FEWEST: u64 = MAX_FDS as u64 + 8;
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < FEWEST => {
            let text =
                format!("Too many open files: no more than {most} are allowed (ulimit -Hn), and it needs {FEWEST}");
            Err(io::Error::other(text))
        }
        _ => Ok(()),
    }
}

impl Held {
    pub(super) fn kill(&self) {
        let _gone_already = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

impl OwnKeeper {
    /// One that an earlier host has started.
    pub(super) fn of_another(identity: Identity, pidfd: OwnedFd) -> OwnKeeper {
        OwnKeeper { identity, pidfd, owner: std::process::id(), is_child: false, is_let_go: false.into() }
    }

    /// It lives on. If it is a child of ours, this returns when it has ended, and reaps it.
    pub(super) fn let_go(&self) {
        const LONG: Duration = Duration::from_secs(24 * 3600);
        self.is_let_go.store(true, Ordering::Release);
        if self.is_child && self.is_ours() {
            while !ends_within(&self.pidfd, LONG) {}
            self.reap();
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    pub(super) fn kill(&self) {
        let _gone_already = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Reaps it, when it has ended what there was to end; whether it has, as far as can be told. One that hangs is killed: by
    /// then its guardian is gone.
    pub(super) fn bury(&self) -> bool {
        if !self.is_ours() {
            return false;
        }
        let second = Duration::from_secs(1);
        if !(0..KEEPER_PATIENCE).any(|_| ends_within(&self.pidfd, second)) {
            self.kill();
        }
        // How another's child has ended, nobody tells us.
        self.is_child && self.reap()
    }

    /// Whether it said that all went well.
    fn reap(&self) -> bool {
        // A host that waits for every child, or ignores SIGCHLD, was faster.
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Err(Errno::INTR) => {}
                ended => return ended.is_ok_and(|status| status.is_some_and(|it| it.exit_status() == Some(0))),
            }
        }
    }
}

impl Drop for OwnKeeper {
    fn drop(&mut self) {
        if !self.is_let_go.load(Ordering::Acquire) {
            self.bury();
        }
    }
}

fn answer<T>(socket: &OwnedFd, decode: impl Fn(&[u8]) -> Option<T>) -> Result<(T, Option<OwnedFd>), StartError> {
    let (fact, fds) = answer_with(socket, decode)?;
    Ok((fact, fds.into_iter().next()))
}

pub(super) fn answer_with<T>(
    socket: &OwnedFd,
    decode: impl Fn(&[u8]) -> Option<T>,
) -> Result<(T, Vec<OwnedFd>), StartError> {
    let received = match channel::receive_within(socket, START_PATIENCE) {
        Ok(Some(received)) => received,
        Ok(None) => return Err(StartError::Ended),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Err(StartError::Silent(Duration::from_secs(START_PATIENCE.into())));
        }
        Err(error) => return Err(os("hear from it")(error)),
    };
    let fact = decode(&received.bytes).ok_or_else(unexpected)?;
    Ok((fact, received.fds))
}

pub(super) fn unexpected() -> StartError {
    os("understand it")(io::Error::other("it said something unexpected: is HATCHERY_GUARDIAN of another version?"))
}

pub(super) fn os(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Os { what, source: Arc::new(source) }
}

fn os_errno(what: &'static str) -> impl Fn(Errno) -> StartError {
    move |error| os(what)(error.into())
}
