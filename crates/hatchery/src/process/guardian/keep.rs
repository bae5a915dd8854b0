//! A child that goes on without its host, and how the next host comes to it.
//!
//! It has a pair of its own. Both of the pair stay when the host ends, and the keeper lets the next one in, by a socket in the run's folder
//! and if it is the same user's or root's. The guardian hands over what it has held.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, chmodat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

use super::birth::{Both, Held, OwnKeeper, Sockets, answer_with, os, unexpected};
use super::channel::{self, Bell};
use super::guarantee::Guarantee;
use super::message::{Fact, KeeperFact, KeeperOrder, Layers, Order, SPEECH};
use super::pair::Pair;
use super::{Guardian, Plan, StartError, cgroup, dev_null};
use crate::process::Child;
use crate::process::cage::Cage;
use crate::process::identity::{Identity, Pid, Remembered, Standing};

/// Its name in the folder of a run.
const DOOR: &str = "door";

/// How long one may wait in front of a door where that many wait.
const LOOKS_FOR_ROOM: u32 = 500;
const LOOK_FOR_ROOM: Duration = Duration::from_millis(10);

/// How many may wait at once until the keeper has told them that there is a host.
const BACKLOG: i32 = 16;

/// What a pair has when it is without a host.
#[derive(Debug)]
pub(crate) struct Provisions {
    /// Held by the keeper for as long as it lives.
    pub(crate) lock: OwnedFd,
    /// Where the guardian writes down how the child ended: `si_code` and `si_status` of `waitid`, as a line of text.
    pub(crate) exit: OwnedFd,
    /// The writing end of its stdin.
    pub(crate) input: Option<OwnedFd>,
    /// For the next host.
    pub(crate) held: Vec<OwnedFd>,
}

/// How far the hand-over has come. Whenever this program ends, the child is kept afterwards, or it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    DoorMade,
    GuardianTold,
    KeeperTold,
}

/// What the next host gets: all that the first one had.
pub(crate) struct Attached {
    pub(crate) guardian: Guardian,
    /// May have ended.
    pub(crate) child: Child,
    pub(crate) input: Option<OwnedFd>,
    pub(crate) held: Vec<OwnedFd>,
}

/// Why one is not the next host.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// Process `0` is the host, and lives.
    #[error("process {0} has it")]
    Hosted(u32),
    /// The keeper is gone, or on its way out: what was kept has ended meanwhile.
    #[error("its keeper is gone")]
    Gone,
    #[error("it is kept by another version of this library (which speaks {0}, and this one {SPEECH})")]
    OtherVersion(u32),
    #[error("no answer within {0:?}")]
    Silent(Duration),
    #[error("{what}: {source}")]
    Os { what: &'static str, source: Arc<io::Error> },
    #[error(transparent)]
    Failed(StartError),
}

impl From<StartError> for AttachError {
    /// Nothing is started here.
    fn from(error: StartError) -> AttachError {
        match error {
            StartError::Ended => AttachError::Gone,
            StartError::Silent(patience) => AttachError::Silent(patience),
            StartError::Os { what, source } => AttachError::Os { what, source },
            other => AttachError::Failed(other),
        }
    }
}

impl Pair {
    /// The guardian is told first: a keeper stays only with a guardian that does.
    pub(in crate::process) fn keep(
        &self,
        worker: u32,
        folder: impl AsFd,
        provisions: &Provisions,
        mut reached: impl FnMut(Moment),
    ) -> Result<(), StartError> {
        let door = make_door(folder.as_fd()).map_err(os("make the door for the next supervisor"))?;
        reached(Moment::DoorMade);
        let (relay, relay_s_end) = channel::pair().map_err(os("make a socket between keeper and guardian"))?;
        let Provisions { lock, exit, input, held } = provisions;
        let given: Vec<BorrowedFd<'_>> =
            [&relay_s_end, exit].into_iter().chain(input).chain(held).map(AsFd::as_fd).collect();
        let order = Order::Keep { worker, has_input: input.is_some() };
        channel::send(&self.line, &order, 0, &given).map_err(os("tell the guardian to keep it"))?;
        reached(Moment::GuardianTold);
        let given = [lock, &door, &relay].map(AsFd::as_fd);
        channel::send(&self.orders, &KeeperOrder::Keep, 0, &given).map_err(os("tell the keeper to keep it"))?;
        reached(Moment::KeeperTold);
        drop((relay, relay_s_end));
        match answer_with(&self.orders, KeeperFact::decode)? {
            (KeeperFact::Keeping, _) => {
                self.kept.get_or_init(|| worker);
                Ok(())
            }
            _other => Err(unexpected()),
        }
    }

    /// The guardian's copy of the writing end of its stdin goes.
    pub(in crate::process) fn close_input(&self, worker: u32) -> io::Result<()> {
        match self.is_ours() {
            true => channel::send(&self.line, &Order::CloseInput { worker }, 0, &[]),
            false => Ok(()),
        }
    }
}

impl Guardian {
    /// Takes over a child that is kept behind the door in `folder`. `keeper` is who keeps it, as its record says, and `cgroup` the folder
    /// of its pair. Blocks for a millisecond or two.
    ///
    /// # Errors
    /// Nothing has changed then: it is still kept, unless it has ended.
    pub(crate) fn attach(
        plan: Plan,
        folder: impl AsFd,
        keeper: &Remembered,
        cgroup: Option<&Path>,
    ) -> Result<Attached, AttachError> {
        let (null, door) = (dev_null()?, enter(folder.as_fd())?);
        let bell = Bell::new().map_err(os("make the bell of its listener"))?;
        let cgroup = cgroup.map(cgroup::Folder::of_another).unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
        let Taken { both, worker } = Taken::take(door, keeper, &plan, cgroup.as_ref().err())?;
        let Worker { number, pid, pidfd, input, held } = worker;
        let pair = Pair::of(both, bell, &plan, cgroup.ok());
        pair.kept.get_or_init(|| number);
        let gone = pair.waiting.hold(number);
        let pair = pair.listen(&plan)?;
        let guardian = Guardian::of(null, Arc::clone(&pair), plan);
        let identity = guardian.identity(pid, &pidfd).map_err(|error| {
            pair.release();
            os("know it")(io::Error::other(error))
        });
        let child = Child::new(number, identity?, pidfd, Cage::default(), pair, gone);
        Ok(Attached { guardian, child, input, held })
    }
}

/// What the pair has given to its new host.
struct Taken {
    both: Both,
    worker: Worker,
}

struct Worker {
    number: u32,
    pid: u32,
    pidfd: OwnedFd,
    input: Option<OwnedFd>,
    held: Vec<OwnedFd>,
}

impl Taken {
    fn take(
        orders: OwnedFd,
        expected: &Remembered,
        plan: &Plan,
        no_cgroup: Option<&io::Error>,
    ) -> Result<Taken, AttachError> {
        let Sockets { line, starts, theirs } = Sockets::make()?;
        channel::send(&orders, &KeeperOrder::Attach, 0, &theirs.each_ref().map(AsFd::as_fd)).map_err(gone)?;
        drop(theirs);
        let (fact, pidfds) = answer_with(&orders, KeeperFact::decode)?;
        let KeeperFact::Attached { keeper, guardian, layers } = fact else { return Err(unexpected().into()) };
        let [keeper_s, guardian_s]: [OwnedFd; 2] = pidfds.try_into().map_err(|_| no_descriptors())?;
        let keeper = own_keeper(keeper, keeper_s, expected)?;
        let ready = ready(&line)?;
        let worker = Worker::held(answer_with(&line, Fact::decode)?)?;
        let guardian = Held { identity: Identity::of(pid(guardian)?, &guardian_s), pidfd: guardian_s };
        let guarantee = Guarantee::new(layers, ready, no_cgroup, &"kept since an earlier supervisor", plan.pidns);
        let keeper = OwnKeeper::of_another(keeper.0, keeper.1);
        Ok(Taken { both: Both { orders, line, starts, keeper, guardian, guarantee }, worker })
    }
}

impl Worker {
    fn held((fact, mut fds): (Fact, Vec<OwnedFd>)) -> Result<Worker, AttachError> {
        let Fact::Held { worker: number, pid, has_input, others } = fact else { return Err(unexpected().into()) };
        // Of those for which this program had no room, none is lost: it has not become the host.
        if fds.len() != 1 + usize::from(has_input) + others as usize {
            return Err(no_descriptors());
        }
        let held = fds.split_off(1 + usize::from(has_input));
        let mut fds = fds.into_iter();
        let pidfd = fds.next().ok_or_else(no_descriptors)?;
        Ok(Worker { number, pid, pidfd, input: fds.next(), held })
    }
}

/// Who answers is the one that is written down, or nobody to talk to.
fn own_keeper(told: u32, pidfd: OwnedFd, expected: &Remembered) -> Result<(Identity, OwnedFd), AttachError> {
    let identity = Identity::of(pid(told)?, &pidfd);
    let is_expected = identity.pid().get() == expected.number() && !matches!(expected.standing(), Standing::Dead(_));
    match is_expected {
        true => Ok((identity, pidfd)),
        false => Err(unexpected().into()),
    }
}

fn ready(line: &OwnedFd) -> Result<Layers, AttachError> {
    match answer_with(line, Fact::decode)? {
        (Fact::Ready(layers), _) => Ok(layers),
        _other => Err(unexpected().into()),
    }
}

fn pid(told: u32) -> Result<Pid, AttachError> {
    Pid::new(told.cast_signed()).ok_or_else(|| unexpected().into())
}

fn no_descriptors() -> AttachError {
    os("take hold of it")(Errno::MFILE.into()).into()
}

fn gone(error: io::Error) -> AttachError {
    match Errno::from_io_error(&error) {
        Some(Errno::PIPE | Errno::CONNRESET | Errno::CONNREFUSED | Errno::NOENT | Errno::NOTCONN) => AttachError::Gone,
        _ => os("reach it")(error).into(),
    }
}

/// For this user alone, whose the folder is.
fn make_door(folder: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let door = seqpacket()?;
    bind(&door, &address(folder)?)?;
    chmodat(folder, DOOR, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    listen(&door, BACKLOG)?;
    Ok(door)
}

/// Goes in by the door, and is welcome: from then on this program is the host.
fn enter(folder: BorrowedFd<'_>) -> Result<OwnedFd, AttachError> {
    let socket = seqpacket().map_err(os("make a socket to it"))?;
    let address = address(folder).map_err(os("name its door"))?;
    knock(&socket, &address).map_err(|errno| gone(errno.into()))?;
    match answer_with(&socket, KeeperFact::decode)? {
        (KeeperFact::Welcome { speech: SPEECH }, _) => Ok(socket),
        (KeeperFact::Welcome { speech }, _) => Err(AttachError::OtherVersion(speech)),
        (KeeperFact::Hosted { host }, _) => Err(AttachError::Hosted(host)),
        _other => Err(unexpected().into()),
    }
}

fn knock(socket: &OwnedFd, address: &SocketAddrUnix) -> Result<(), Errno> {
    for _ in 0..LOOKS_FOR_ROOM {
        match connect(socket, address) {
            Err(Errno::AGAIN) => thread::sleep(LOOK_FOR_ROOM),
            connected => return connected,
        }
    }
    Err(Errno::TIMEDOUT)
}

/// Never blocks: one that is stopped must not stop whoever comes.
fn seqpacket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// By the open folder: its path may be longer than an address can be.
fn address(folder: BorrowedFd<'_>) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(format!("/proc/self/fd/{}/{DOOR}", folder.as_raw_fd()))?)
}
