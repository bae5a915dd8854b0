//! One keeper and one guardian, from birth to death.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvError, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use rustix::process::{
    PidfdFlags, Resource, Signal, WaitId, WaitIdOptions, getpid, getrlimit, pidfd_open, pidfd_send_signal, waitid,
};
use tokio::sync::watch;

use super::channel::{self, Bell, Received, Woken};
use super::guarantee::Guarantee;
use super::line::{Reply, Waiting, WhenGone};
use super::message::{Fact, KeeperFact, KeeperOrder, MAX_FDS, Order, Step};
use super::program::{self, Keeper};
use super::vigil::{LOOK, Measure, Vigil};
use super::{Plan, StartError, Watcher, cgroup};
use crate::process::identity::{Identity, Pid, ends_within};
use crate::process::sight::numbers_are_ours;
use crate::process::{Mark, Sighting, end_marked};

/// How many seconds keeper and guardian may take for each step of coming up, on a machine that is very busy.
const START_PATIENCE: u32 = 20;

/// How long the guardian has to end everything after this program's death before the keeper does it.
const GRACE: Duration = Duration::from_millis(500);

/// How many seconds the keeper may outlive its guardian before it is killed itself.
const KEEPER_PATIENCE: u32 = 10;

/// How long it may take to end what both have left.
const REMAINS_PATIENCE: Duration = Duration::from_secs(10);

/// The only guardian of a keeper: each pair has one.
const GUARDIAN: u32 = 0;

pub(crate) struct Pair {
    /// To the keeper, and to the guardian.
    orders: OwnedFd,
    line: OwnedFd,
    keeper: OwnKeeper,
    keeper_identity: Identity,
    guardian: Held,
    waiting: Waiting,
    /// Wakes the thread that listens.
    bell: Bell,
    mark: Mark,
    guarantee: Guarantee,
    cgroup: Option<cgroup::Folder>,
    is_closed: AtomicBool,
    /// True when both are gone and reaped.
    over: watch::Sender<bool>,
}

/// The keeper before it has a guardian. Dropped, its socket closes first, and it leaves.
struct Born {
    orders: OwnedFd,
    keeper: OwnKeeper,
}

/// Keeper and guardian, up.
struct Both {
    born: Born,
    line: OwnedFd,
    guardian: Held,
    guarantee: Guarantee,
}

/// A guardian, which its keeper has shown us: nobody's child but the keeper's, and never a stranger.
struct Held {
    identity: Identity,
    pidfd: OwnedFd,
}

/// Reaped when dropped.
struct OwnKeeper {
    keeper: Keeper,
    /// A host that forks (Python's multiprocessing) copies this value, but the child stays the original's.
    owner: u32,
}

impl Pair {
    pub(super) fn start(plan: &Plan) -> Result<Arc<Pair>, StartError> {
        let cgroup =
            cgroup::Folder::make(&format!("hatchery.{}.{}", plan.name, plan.pairs.fetch_add(1, Ordering::Relaxed)));
        if let Ok(folder) = &cgroup {
            plan.watcher.made(folder.path());
        }
        let both =
            Bell::new().map_err(os("make its bell")).and_then(|bell| Ok((bell, Both::start(plan, cgroup.as_ref())?)));
        let (bell, both) = both.inspect_err(|_| {
            // The keeper is gone by now.
            cgroup.iter().for_each(cgroup::Folder::remove);
        })?;
        let Both { born: Born { orders, keeper }, line, guardian, guarantee } = both;
        let pair = Arc::new(Pair {
            keeper_identity: Identity::of(keeper.keeper.pid, &keeper.keeper.pidfd),
            keeper,
            guardian,
            orders,
            line,
            waiting: Waiting::default(),
            bell,
            mark: plan.mark,
            guarantee,
            cgroup: cgroup.ok(),
            is_closed: AtomicBool::new(false),
            over: watch::Sender::new(false),
        });
        plan.watcher.born(&pair);
        let (reading, watcher) = (Arc::clone(&pair), Arc::clone(&plan.watcher));
        let thread = thread::Builder::new().name("hatchery-guardian".to_owned());
        thread.spawn(move || reading.read(&*watcher)).map_err(|error| {
            pair.close();
            pair.conclude(&*plan.watcher);
            os("start the thread that listens to it")(error)
        })?;
        Ok(pair)
    }

    pub(crate) fn keeper(&self) -> &Identity {
        &self.keeper_identity
    }

    pub(crate) fn guardian(&self) -> &Identity {
        &self.guardian.identity
    }

    /// The folder in cgroup v2 that holds everything of this pair.
    pub(crate) fn cgroup(&self) -> Option<&std::path::Path> {
        self.cgroup.as_ref().map(cgroup::Folder::path)
    }

    /// The folder in which the guardian makes a leaf for each worker.
    pub(in crate::process) fn leaves(&self) -> Option<std::path::PathBuf> {
        self.cgroup().map(|folder| folder.join(format!("w{GUARDIAN}")))
    }

    pub(crate) fn guarantee(&self) -> &Guarantee {
        &self.guarantee
    }

    pub(in crate::process) fn is_up(&self) -> bool {
        !self.is_closed.load(Ordering::Acquire) && !self.waiting.is_over()
    }

    pub(super) fn over(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }

    /// The guardian sees the end of its socket, and ends everything.
    pub(super) fn close(&self) {
        // A forked copy shares the socket, and must not close it for the original.
        if self.is_ours() && !self.is_closed.swap(true, Ordering::AcqRel) {
            for socket in [&self.line, &self.orders] {
                let _gone_already = shutdown(socket, Shutdown::Write);
            }
            // Should both be stopped, neither sees it.
            self.bell.ring();
        }
    }

    /// Sends the order and waits for the reply. `Ok(None)`: the pair was lost, and whatever was started with it.
    pub(in crate::process) fn spawn(
        &self,
        worker: u32,
        order: &Order<'_>,
        tail: usize,
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<Option<(Reply, WhenGone)>> {
        let Some((reply, when_gone)) = self.waiting.expect(worker) else { return Ok(None) };
        if let Err(error) = channel::send(&self.line, order, tail, fds) {
            self.waiting.forget(worker);
            return match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Ok(None),
                _ => Err(error),
            };
        }
        let replied = reply.recv_timeout(LOOK).or_else(|late| match late {
            RecvTimeoutError::Disconnected => Err(RecvError),
            RecvTimeoutError::Timeout => {
                self.look_after();
                reply.recv()
            }
        });
        Ok(replied.ok().map(|reply| (reply, when_gone)))
    }

    /// A forked copy of this program has the sockets, but not the say.
    fn is_ours(&self) -> bool {
        self.keeper.owner == std::process::id()
    }

    /// Whether there was anything to end. Never blocks; what the guardian does not hear now, it is told again. Nothing happens in
    /// a forked copy of this program.
    pub(in crate::process) fn end(&self, worker: u32) -> bool {
        let is_there = self.is_ours() && self.is_up() && self.waiting.expect_end(worker);
        if is_there && !self.tell(&Order::End { worker }) {
            self.look_after();
        }
        is_there
    }

    /// To the worker's group. Whether it will be heard; never blocks. Not in a forked copy of this program.
    pub(in crate::process) fn signal(&self, worker: u32, signal: Signal) -> bool {
        self.is_ours() && self.tell(&Order::Signal { worker, signal: signal.as_raw().cast_unsigned() })
    }

    /// What is awaited of the guardian takes its time: from now on, until nothing is, it is looked after.
    pub(in crate::process) fn look_after(&self) {
        if self.is_ours() {
            self.bell.ring();
        }
    }

    fn tell(&self, order: &Order<'_>) -> bool {
        channel::offer(&self.line, order).is_ok()
    }

    /// The life of the thread that listens. Returns when the pair is gone.
    fn read(&self, watcher: &dyn Watcher) {
        let mut vigil = None;
        while let Ok(woken) = self.attend(vigil.as_ref()) {
            if woken.message && !self.hear(vigil.as_mut()) {
                break;
            }
            if woken.bell && vigil.is_none() {
                vigil = Some(Vigil::from(Instant::now()));
            }
            if vigil.as_mut().is_some_and(|vigil| self.look(vigil) == Measure::GiveUp) {
                break;
            }
            vigil = vigil.filter(|vigil| !vigil.is_trusting() || self.waiting.is_awaited());
        }
        self.conclude(watcher);
    }

    fn attend(&self, vigil: Option<&Vigil>) -> io::Result<Woken> {
        channel::attend(&self.line, &self.bell, vigil.map(|vigil| vigil.until_look(Instant::now())))
    }

    /// One fact. False: there are no more.
    fn hear(&self, vigil: Option<&mut Vigil>) -> bool {
        let Ok(Some(Received { bytes, fds })) = channel::receive(&self.line) else { return false };
        let Some(fact) = Fact::decode(&bytes) else { return false };
        vigil.into_iter().for_each(Vigil::heard);
        if let Err(unwanted) = self.waiting.hear(fact, fds.into_iter().next()) {
            self.end(unwanted);
        }
        true
    }

    /// If it is time.
    fn look(&self, vigil: &mut Vigil) -> Measure {
        let now = Instant::now();
        if !vigil.until_look(now).is_zero() {
            return Measure::Wait;
        }
        let is_closed = self.is_closed.load(Ordering::Acquire);
        let measure = vigil.look(now, is_closed, || is_stopped(self.guardian().pid()));
        match measure {
            Measure::Remind => self.remind(),
            Measure::Replace => {
                let order = KeeperOrder::Replace { guardian: GUARDIAN };
                let _stopped_as_well = channel::offer(&self.orders, &order);
            }
            Measure::Kill => self.kill(),
            Measure::Wait | Measure::GiveUp => {}
        }
        measure
    }

    fn remind(&self) {
        for worker in self.waiting.ending() {
            self.tell(&Order::End { worker });
        }
        self.tell(&Order::Ask);
    }

    /// The guardian first: what it leaves is the keeper's, should that go on.
    fn kill(&self) {
        for pidfd in [&self.guardian.pidfd, &self.keeper.keeper.pidfd] {
            let _gone_already = pidfd_send_signal(pidfd, Signal::KILL);
        }
    }

    /// The guardian is gone, or nobody listens to it any more.
    fn conclude(&self, watcher: &dyn Watcher) {
        let unended = self.waiting.end();
        let was_lost = !self.is_closed.load(Ordering::Acquire);
        if was_lost {
            watcher.lost(self);
        }
        self.close();
        let did_its_work = self.keeper.bury();
        if (was_lost || !did_its_work) && numbers_are_ours() {
            // Killed at once, keeper and guardian leave daemons to nobody.
            let spared = |sighting: &Sighting| !unended.contains(&sighting.worn.worker);
            let _next_sweep_does = end_marked(self.mark, REMAINS_PATIENCE, spared);
        }
        // Nobody listens to one that was given up, but it is not gone before the kernel lets go of it.
        while !ends_within(&self.guardian.pidfd, REMAINS_PATIENCE) {}
        if let Some(folder) = &self.cgroup {
            folder.remove();
        }
        watcher.over(self);
        self.over.send_replace(true);
    }
}

impl Both {
    fn start(plan: &Plan, cgroup: Result<&cgroup::Folder, &io::Error>) -> Result<Both, StartError> {
        let born = Born::start()?;
        let kept = born.begin(plan, cgroup.ok())?;
        let (line, guardian_s_end) = channel::pair().map_err(os("make its socket"))?;
        let guardian = born.guard(plan, guardian_s_end)?;
        let ready = match answer(&line, Fact::decode)? {
            (Fact::Ready(layers), _) => layers,
            _other => return Err(unexpected()),
        };
        let guarantee = Guarantee::new(kept, ready, cgroup.err(), &born.keeper.keeper.source, plan.pidns);
        Ok(Both { born, line, guardian, guarantee })
    }
}

impl Born {
    fn start() -> Result<Born, StartError> {
        enough_descriptors().map_err(os("find descriptors for it"))?;
        let (orders, keeper_s_end) = channel::pair().map_err(os("make the keeper's socket"))?;
        let keeper = program::start(keeper_s_end).map_err(|error| StartError::Program(Arc::new(error)))?;
        Ok(Born { orders, keeper: OwnKeeper { keeper, owner: std::process::id() } })
    }

    fn begin(&self, plan: &Plan, cgroup: Option<&cgroup::Folder>) -> Result<super::message::Layers, StartError> {
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

    fn guard(&self, plan: &Plan, socket: OwnedFd) -> Result<Held, StartError> {
        let order = KeeperOrder::Guard { guardian: GUARDIAN, pidns: plan.pidns };
        channel::send(&self.orders, &order, 0, &[socket.as_fd()]).map_err(os("order a guardian"))?;
        drop(socket);
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
    const FEWEST: u64 = MAX_FDS as u64 + 7;
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < FEWEST => {
            let text =
                format!("Too many open files: no more than {most} are allowed (ulimit -Hn), and it needs {FEWEST}");
            Err(io::Error::other(text))
        }
        _ => Ok(()),
    }
}

impl OwnKeeper {
    /// Reaps it, when it has ended what there was to end; whether it has, as far as can be told. One that hangs is killed: by
    /// then its guardian is gone.
    fn bury(&self) -> bool {
        if self.owner != std::process::id() {
            return false;
        }
        let pidfd = &self.keeper.pidfd;
        let second = Duration::from_secs(1);
        if !(0..KEEPER_PATIENCE).any(|_| ends_within(pidfd, second)) {
            let _ended_now = pidfd_send_signal(pidfd, Signal::KILL);
        }
        // A host that waits for every child, or ignores SIGCHLD, was faster.
        loop {
            match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
                Err(Errno::INTR) => {}
                ended => return ended.is_ok_and(|status| status.is_some_and(|it| it.exit_status() == Some(0))),
            }
        }
    }
}

impl Drop for OwnKeeper {
    fn drop(&mut self) {
        self.bury();
    }
}

fn answer<T>(socket: &OwnedFd, decode: impl Fn(&[u8]) -> Option<T>) -> Result<(T, Option<OwnedFd>), StartError> {
    let received = match channel::receive_within(socket, START_PATIENCE) {
        Ok(Some(received)) => received,
        Ok(None) => return Err(os("hear from it")(io::Error::other("it ended"))),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Err(StartError::Silent(Duration::from_secs(START_PATIENCE.into())));
        }
        Err(error) => return Err(os("hear from it")(error)),
    };
    let fact = decode(&received.bytes).ok_or_else(unexpected)?;
    Ok((fact, received.fds.into_iter().next()))
}

/// By a signal, or by a tracer. False if that cannot be told.
fn is_stopped(pid: Pid) -> bool {
    if !numbers_are_ours() {
        return false;
    }
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second word is the program's name, which may contain anything.
    let name_end = stat.iter().rposition(|&byte| byte == b')').unwrap_or(0);
    matches!(stat.get(name_end + 2), Some(b'T' | b't'))
}

fn unexpected() -> StartError {
    os("understand it")(io::Error::other("it said something unexpected: is HATCHERY_GUARDIAN of another version?"))
}

fn os(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Os { what, source: Arc::new(source) }
}

fn os_errno(what: &'static str) -> impl Fn(Errno) -> StartError {
    move |error| os(what)(error.into())
}

/// The step, as a person would name what was attempted.
pub(in crate::process) fn attempted(step: Step) -> &'static str {
    match step {
        Step::Order => "read the order",
        Step::Table => "find a place for it: a guardian owns no more than it has places for",
        Step::Memory => "read its arguments and environment",
        Step::Leaf => "make its control group",
        Step::Clone => "clone",
        Step::Join => "enter its control group",
        Step::Session => "begin a session",
        Step::Mark => "set its mark (RLIMIT_LOCKS)",
        Step::Limits => "set its limits",
        Step::Credentials => "become its user and group",
        Step::Prctl => "arm its death signal",
        Step::Parent => "find its guardian alive",
        Step::Descriptors => "place its descriptors",
        Step::Directory => "enter its directory",
        Step::Exec => "run it",
        Step::Mount => "mount /proc in its namespace",
    }
}
