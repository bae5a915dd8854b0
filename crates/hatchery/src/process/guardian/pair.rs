//! One keeper and one guardian that are up, until their death.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use rustix::process::Signal;
use tokio::sync::watch;

use super::birth::{Both, GUARDIAN, Held, OwnKeeper, os};
use super::cgroup::Leaves;
use super::channel::{self, Bell, Received, Woken};
use super::guarantee::{Guarantee, LEAF};
use super::line::{Reply, Waiting, WhenGone};
use super::message::{Fact, KeeperOrder, Order, Step};
use super::vigil::{LOOK, Measure, Vigil};
use super::{Plan, StartError, Watcher, cgroup};
use crate::process::identity::{Identity, ends_within};
use crate::process::sight::{is_stopped, numbers_are_ours};
use crate::process::{Mark, Sighting, end_marked};

/// How long it may take to end what both have left.
const REMAINS_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Pair {
    /// To the keeper, and to the guardian.
    pub(super) orders: OwnedFd,
    pub(super) line: OwnedFd,
    /// To the guardian as well: orders to start something, and their answers, which no other thread is woken for.
    starts: OwnedFd,
    /// Guards nothing: whoever has it reads the answers.
    turn: Mutex<()>,
    keeper: OwnKeeper,
    guardian: Held,
    pub(super) waiting: Waiting,
    /// Wakes the thread that listens.
    bell: Bell,
    mark: Mark,
    guarantee: Guarantee,
    cgroup: Option<cgroup::Folder>,
    /// The worker that goes on without this program.
    pub(super) kept: OnceLock<u32>,
    is_closed: AtomicBool,
    /// Closed without an end: what is kept goes on.
    is_released: AtomicBool,
    /// True when both are gone and reaped.
    over: watch::Sender<bool>,
}

impl Pair {
    pub(super) fn start(plan: &Plan) -> Result<Arc<Pair>, StartError> {
        let bell = Bell::new().map_err(os("make the bell of its listener"))?;
        let cgroup =
            cgroup::Folder::make(&format!("hatchery.{}.{}", plan.name, plan.pairs.fetch_add(1, Ordering::Relaxed)));
        if let Ok(folder) = &cgroup {
            plan.watcher.made(folder.path());
        }
        let both = Both::start(plan, cgroup.as_ref()).inspect_err(|_| {
            // The keeper is gone by now.
            cgroup.iter().for_each(cgroup::Folder::remove);
        })?;
        let pair = Pair::of(both, bell, plan, cgroup.ok());
        plan.watcher.born(&pair);
        pair.listen(plan)
    }

    pub(super) fn of(both: Both, bell: Bell, plan: &Plan, cgroup: Option<cgroup::Folder>) -> Arc<Pair> {
        let Both { orders, line, starts, keeper, guardian, guarantee } = both;
        Arc::new(Pair {
            orders,
            line,
            starts,
            turn: Mutex::default(),
            keeper,
            guardian,
            waiting: Waiting::default(),
            bell,
            mark: plan.mark,
            guarantee,
            cgroup,
            kept: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            is_released: AtomicBool::new(false),
            over: watch::Sender::new(false),
        })
    }

    /// What the guardian says is heard from now on.
    pub(super) fn listen(self: Arc<Pair>, plan: &Plan) -> Result<Arc<Pair>, StartError> {
        let pair = self;
        let (reading, watcher) = (Arc::clone(&pair), Arc::clone(&plan.watcher));
        let thread = thread::Builder::new().name("hatchery-guardian".to_owned());
        thread.spawn(move || reading.read(&*watcher)).map_err(|error| {
            if pair.release() {
                pair.part();
            } else {
                pair.close();
                pair.conclude(&*plan.watcher);
            }
            os("start the thread that listens to it")(error)
        })?;
        Ok(pair)
    }

    pub(crate) fn keeper(&self) -> &Identity {
        &self.keeper.identity
    }

    pub(crate) fn guardian(&self) -> &Identity {
        &self.guardian.identity
    }

    /// The folder in cgroup v2 that holds everything of this pair.
    #[cfg(test)]
    pub(crate) fn cgroup(&self) -> Option<&std::path::Path> {
        self.cgroup.as_ref().map(cgroup::Folder::path)
    }

    /// Where each worker has a leaf, if it has one.
    pub(in crate::process) fn leaves(&self) -> Option<Leaves> {
        self.cgroup.as_ref().filter(|_| self.guarantee.holds(LEAF)).map(|folder| folder.leaves(GUARDIAN))
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
            // Else the guardian would go on with it.
            if let Some(&worker) = self.kept.get() {
                self.tell(&Order::End { worker });
            }
            self.hang_up();
        }
    }

    /// This program leaves, and what is kept goes on. False: nothing is, or it is on its way out already.
    pub(in crate::process) fn release(&self) -> bool {
        let may = self.is_ours() && self.kept.get().is_some() && self.is_up();
        if may {
            self.is_released.store(true, Ordering::Release);
            self.is_closed.store(true, Ordering::Release);
            self.hang_up();
        }
        may
    }

    fn hang_up(&self) {
        for socket in [&self.starts, &self.line, &self.orders] {
            let _gone_already = shutdown(socket, Shutdown::Write);
        }
        // Should both be stopped, neither sees it.
        self.bell.ring();
    }

    /// Sends the order and waits for the reply. `Ok(None)`: the pair was lost, and whatever was started with it.
    pub(in crate::process) fn begin(
        &self,
        worker: u32,
        order: &Order<'_>,
        tail: usize,
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<Option<(Reply, WhenGone)>> {
        let Some(when_gone) = self.waiting.expect(worker) else { return Ok(None) };
        if let Err(error) = channel::send(&self.starts, order, tail, fds) {
            self.waiting.forget(worker);
            return match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Ok(None),
                _ => Err(error),
            };
        }
        Ok(self.reply(worker).map(|reply| (reply, when_gone)))
    }

    /// Of several that wait, one reads, until it has its own, and hands the others theirs.
    fn reply(&self, worker: u32) -> Option<Reply> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(reply) = self.waiting.take_reply(worker) {
                return Some(reply);
            }
            match channel::receive(&self.starts) {
                Err(late) if late.kind() == io::ErrorKind::WouldBlock => self.look_after(),
                Ok(Some(received)) => self.take(received)?,
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// A forked copy of this program has the sockets, but not the say.
    pub(super) fn is_ours(&self) -> bool {
        self.keeper.is_ours()
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

    /// Whether it was ordered already.
    pub(in crate::process) fn is_ending(&self, worker: u32) -> bool {
        self.waiting.is_ending(worker)
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
            if (woken.message && !self.hear(vigil.as_mut())) || self.is_released() {
                break;
            }
            if woken.bell && vigil.is_none() {
                vigil = Some(Vigil::from(Instant::now()));
            }
            if vigil.as_mut().is_some_and(|vigil| self.look(vigil) == Measure::GiveUp) {
                break;
            }
            let is_needed = |vigil: &Vigil| !vigil.is_trusting() || self.waiting.is_awaited();
            vigil = vigil.filter(|vigil| self.is_closed.load(Ordering::Acquire) || is_needed(vigil));
        }
        match self.is_released() {
            true => self.part(),
            false => self.conclude(watcher),
        }
    }

    fn is_released(&self) -> bool {
        self.is_released.load(Ordering::Acquire)
    }

    /// They go on. Nobody here waits for them, but whose child the keeper is.
    fn part(&self) {
        self.waiting.end();
        let _gone_already = shutdown(&self.starts, Shutdown::Both);
        self.over.send_replace(true);
        self.keeper.let_go();
    }

    fn attend(&self, vigil: Option<&Vigil>) -> io::Result<Woken> {
        channel::attend(&self.line, &self.bell, vigil.map(|vigil| vigil.until_look(Instant::now())))
    }

    /// One fact. False: there are no more.
    fn hear(&self, vigil: Option<&mut Vigil>) -> bool {
        let Ok(Some(received)) = channel::receive(&self.line) else { return false };
        vigil.into_iter().for_each(Vigil::heard);
        self.take(received).is_some()
    }

    /// `None`: nobody understands it.
    fn take(&self, Received { bytes, fds }: Received) -> Option<()> {
        if let Err(unwanted) = self.waiting.hear(Fact::decode(&bytes)?, fds.into_iter().next()) {
            self.end(unwanted);
        }
        Some(())
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

    /// The question first: there may be more ends than room.
    fn remind(&self) {
        self.tell(&Order::Ask);
        for worker in self.waiting.ending() {
            self.tell(&Order::End { worker });
        }
    }

    /// The guardian first: what it leaves is the keeper's, should that go on.
    fn kill(&self) {
        self.guardian.kill();
        self.keeper.kill();
    }

    /// The guardian is gone, or nobody listens to it any more.
    fn conclude(&self, watcher: &dyn Watcher) {
        let unended = self.waiting.end();
        // Whoever still reads there waits in vain, even if the kernel holds the guardian.
        let _gone_already = shutdown(&self.starts, Shutdown::Both);
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
        while !ends_within(&self.guardian.pidfd, REMAINS_PATIENCE) {
            // Without memory the kernel does not wait for us.
            thread::sleep(LOOK);
        }
        if let Some(folder) = &self.cgroup {
            folder.remove();
        }
        watcher.over(self);
        self.over.send_replace(true);
    }
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
