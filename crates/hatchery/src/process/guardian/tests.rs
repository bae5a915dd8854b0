//! The real program, driven over its sockets as the host will drive it, on processes that do what they should not.
//!
//! Every run has a mark of its own, so a test can prove that nothing of it is left, whoever its parent is by then.

use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use super::message::{
    Adopt, Encode, Fact, KeeperFact, KeeperOrder, Layers, MAX_FDS, MAX_HEAD, Mark, OnEscape, Order, Spawn, Step,
    Strings,
};
use super::program::{self, Keeper};
use crate::id::random_u64;

mod adopting;
mod deaths;
mod ending;
mod escaping;
mod limits;
mod starting;

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long the guardian has to end everything. A test that needs the keeper to do it waits so long.
const GRACE_MS: u32 = 300;

/// The guardian that every run has.
const FIRST: u32 = 0;

/// What one run of the program is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    Plain,
    Cgroup,
    Namespace,
}

/// Does it under each tier that this machine allows.
fn under_each_tier(test: impl Fn(Tier)) {
    for tier in [Tier::Plain, Tier::Cgroup, Tier::Namespace] {
        match tier.why_not() {
            None => test(tier),
            Some(reason) => println!("not under {tier:?}: {reason}"),
        }
    }
}

impl Tier {
    fn why_not(self) -> Option<String> {
        match self {
            Tier::Plain => None,
            Tier::Cgroup => CgroupFolder::make().err().map(|error| error.to_string()),
            Tier::Namespace => {
                let mut run = Run::without_guardian(Tier::Plain);
                run.order_guardian(FIRST, true);
                match run.keeper_fact() {
                    (
                        KeeperFact::Refused {
                            step: step @ (Step::Clone | Step::Mount | Step::Credentials), errno, ..
                        },
                        _,
                    ) => Some(format!("{step:?}: errno {errno}")),
                    _ => None,
                }
            }
        }
    }
}

/// A keeper, its first guardian, and the host's ends of their sockets. Dropped, it proves that all of it ends.
struct Run {
    mark: Mark,
    layers: Layers,
    keeper: Keeper,
    keeper_socket: Option<OwnedFd>,
    guardian: Option<OwnedFd>,
    guardian_socket: Option<OwnedFd>,
    starts_socket: Option<OwnedFd>,
    cgroup: Option<CgroupFolder>,
}

impl Run {
    fn new(tier: Tier) -> Run {
        let mut run = Run::without_guardian(tier);
        run.add_guardian(tier == Tier::Namespace);
        run
    }

    /// This process is the host.
    fn without_guardian(tier: Tier) -> Run {
        Run::watching(tier, &pidfd(std::process::id()))
    }

    /// Whoever ends when the host is said to have ended.
    fn watching(tier: Tier, host: &OwnedFd) -> Run {
        let (ours, theirs) = seqpacket();
        let keeper = program::start(theirs).unwrap();
        Run::begin(keeper, ours, (tier == Tier::Cgroup).then(|| CgroupFolder::make().unwrap()), host)
    }

    fn begin(keeper: Keeper, ours: OwnedFd, cgroup: Option<CgroupFolder>, host: &OwnedFd) -> Run {
        let soft = (random_u64() >> 24) << 22;
        let mark = Mark { hard: (1 << 62) | (random_u64() >> 2), soft };
        let order = KeeperOrder::Begin { mark, host: std::process::id(), grace_ms: GRACE_MS, cgroup: cgroup.is_some() };
        let mut fds = vec![host.as_fd()];
        fds.extend(cgroup.iter().map(|cgroup| cgroup.handle.as_fd()));
        send(&ours, &order, &fds);
        let mut run = Run {
            mark,
            layers: Layers::default(),
            keeper,
            keeper_socket: Some(ours),
            guardian: None,
            guardian_socket: None,
            starts_socket: None,
            cgroup,
        };
        match run.keeper_fact() {
            (KeeperFact::Kept(layers), None) => run.layers = layers,
            other => panic!("{other:?}"),
        }
        run
    }

    fn order_guardian(&mut self, guardian: u32, pidns: bool) {
        let (line, line_s_end) = seqpacket();
        let (starts, starts_end) = seqpacket();
        let order = KeeperOrder::Guard { guardian, pidns };
        send(self.keeper_socket.as_ref().unwrap(), &order, &[line_s_end.as_fd(), starts_end.as_fd()]);
        (self.guardian_socket, self.starts_socket) = (Some(line), Some(starts));
    }

    fn add_guardian(&mut self, pidns: bool) {
        self.order_guardian(FIRST, pidns);
        match self.keeper_fact() {
            (KeeperFact::Guarding { guardian: FIRST, .. }, pidfd) => self.guardian = pidfd,
            other => panic!("{other:?}"),
        }
        assert!(matches!(self.fact(), (Fact::Ready(_), None)));
    }

    fn keeper_fact(&self) -> (KeeperFact, Option<OwnedFd>) {
        let (message, pidfd) = receive(self.keeper_socket.as_ref().unwrap()).expect("the keeper has closed its socket");
        (KeeperFact::decode(&message).unwrap(), pidfd)
    }

    fn order(&self, order: &Order<'_>, fds: &[BorrowedFd<'_>]) {
        let socket =
            if let Order::Spawn(_) | Order::Adopt(_) = order { &self.starts_socket } else { &self.guardian_socket };
        send(socket.as_ref().unwrap(), order, fds);
    }

    fn fact(&self) -> (Fact, Option<OwnedFd>) {
        fact_from(self.guardian_socket.as_ref().unwrap())
    }

    /// What came of the next start.
    fn started(&self) -> (Fact, Option<OwnedFd>) {
        fact_from(self.starts_socket.as_ref().unwrap())
    }

    /// Starts `/bin/sh` with a script, and gives what the guardian answers.
    fn try_spawn(&mut self, program: &Program<'_>) -> Result<Worker, (Step, i32)> {
        let Program { order, path, cwd, args, env, fds } = program;
        let strings: Vec<u8> =
            [path, cwd].into_iter().chain(args.iter()).chain(env.iter()).fold(Vec::new(), |mut strings, text| {
                strings.extend_from_slice(text.as_bytes());
                strings.push(0);
                strings
            });
        let order = Spawn {
            fds: fds.len() as u8,
            args: args.len() as u32,
            env: env.len() as u32,
            strings: Strings::Inline(&strings),
            ..*order
        };
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.order(&Order::Spawn(order), &fds);
        self.answer(order.worker)
    }

    fn answer(&self, number: u32) -> Result<Worker, (Step, i32)> {
        match self.started() {
            (Fact::Spawned { worker, pid }, Some(pidfd)) if worker == number => Ok(Worker { number, pid, pidfd }),
            (Fact::Failed { worker, step, errno }, None) if worker == number => Err((step, errno)),
            other => panic!("{other:?}"),
        }
    }

    fn spawn(&mut self, number: u32, script: &str) -> Worker {
        self.try_spawn(&Program::sh(number, script)).unwrap()
    }

    /// A script that says something when it is ready for the test.
    fn spawn_ready(&mut self, number: u32, on_escape: OnEscape, script: &str) -> (Worker, Output) {
        let (output, stdout) = Output::pipe();
        let mut program = Program::sh(number, script).writing_to(stdout);
        program.order.on_escape = on_escape;
        (self.try_spawn(&program).unwrap(), output)
    }

    /// Orders the end, and waits for it. What escaped, and the last fact.
    fn end(&mut self, worker: &Worker) -> (Vec<u32>, Fact) {
        self.order(&Order::End { worker: worker.number }, &[]);
        let mut escaped = Vec::new();
        loop {
            match self.fact() {
                (Fact::Escaped { worker: number, pid }, _) if number == worker.number => escaped.push(pid),
                (gone @ Fact::Gone { worker: number, .. }, None) if number == worker.number => return (escaped, gone),
                other => panic!("{other:?}"),
            }
        }
    }

    /// As the host does when it dies, but for the dying.
    fn close(&mut self) {
        self.keeper_socket = None;
        (self.guardian_socket, self.starts_socket) = (None, None);
    }

    fn kill_guardian(&self) {
        pidfd_send_signal(self.guardian.as_ref().unwrap(), Signal::KILL).unwrap();
    }

    fn cgroup_name(&self) -> String {
        let path = &self.cgroup.as_ref().unwrap().path;
        path.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Everything that bears the run's mark, zombies too.
    fn marked(&self) -> Vec<u32> {
        processes().filter(|pid| has_mark(*pid, self.mark.hard)).collect()
    }

    /// Those of one worker.
    fn marked_as(&self, number: u32) -> Vec<u32> {
        let soft = self.mark.soft | u64::from(number);
        processes().filter(|pid| limits_of(*pid) == Some((soft, self.mark.hard))).collect()
    }

    /// The keeper has ended, and nothing else of the run is left.
    fn assert_over(&mut self) {
        assert_readable(&self.keeper.pidfd);
        let _was_reaped = waitid(WaitId::PidFd(self.keeper.pidfd.as_fd()), WaitIdOptions::EXITED);
        // A guardian that outlived its keeper is reaped by the first process, which may take its time.
        until("nothing of the run is left", || self.marked().into_iter().all(is_zombie));
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.close();
        if !std::thread::panicking() {
            return self.assert_over();
        }
        // What a failed test may have stopped is no keeper's work any more.
        for pidfd in self.guardian.iter() {
            let _gone_already = pidfd_send_signal(pidfd, Signal::KILL);
        }
        if is_readable_within(&self.keeper.pidfd, Duration::from_secs(10)) {
            let _was_reaped = waitid(WaitId::PidFd(self.keeper.pidfd.as_fd()), WaitIdOptions::EXITED);
        }
    }
}

/// A leader that was started.
#[derive(Debug)]
struct Worker {
    number: u32,
    pid: u32,
    pidfd: OwnedFd,
}

/// What to start, in parts that a test can change.
struct Program<'a> {
    order: Spawn<'a>,
    path: &'a str,
    cwd: &'a str,
    args: Vec<&'a str>,
    env: Vec<&'a str>,
    fds: Vec<OwnedFd>,
}

impl<'a> Program<'a> {
    fn sh(number: u32, script: &'a str) -> Program<'a> {
        let order = Spawn {
            worker: number,
            on_escape: OnEscape::Kill,
            no_new_privileges: false,
            is_quick: true,
            user: None,
            open_files: 0,
            address_space: 0,
            fds: 0,
            joins: 0,
            args: 0,
            env: 0,
            strings: Strings::Inline(&[]),
        };
        let (args, env) = (vec!["sh", "-c", script], vec!["PATH=/usr/bin:/bin"]);
        Program { order, path: "/bin/sh", cwd: "", args, env, fds: vec![dev_null(), dev_null(), dev_null()] }
    }

    fn writing_to(mut self, stdout: OwnedFd) -> Program<'a> {
        self.fds[1] = stdout;
        self
    }
}

/// What a worker writes.
struct Output(std::io::BufReader<std::io::PipeReader>);

impl Output {
    fn pipe() -> (Output, OwnedFd) {
        let (reader, writer) = std::io::pipe().unwrap();
        (Output(std::io::BufReader::new(reader)), writer.into())
    }

    /// One line; an empty one at the end of all that could write.
    fn line(&mut self) -> String {
        if self.0.buffer().is_empty() {
            assert!(is_readable_within(self.0.get_ref(), DEADLINE), "the worker wrote nothing for a minute");
        }
        let mut line = String::new();
        std::io::BufRead::read_line(&mut self.0, &mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn number(&mut self) -> u32 {
        self.line().parse().unwrap()
    }
}

/// A folder for one run, beside which this process lives, in the hierarchy of version 2.
struct CgroupFolder {
    path: PathBuf,
    handle: OwnedFd,
}

impl CgroupFolder {
    fn make() -> std::io::Result<CgroupFolder> {
        CgroupFolder::make_in(&own_cgroup()?)
    }

    fn make_in(parent: &Path) -> std::io::Result<CgroupFolder> {
        let path = parent.join(format!("hatchery.test-{:016x}", random_u64()));
        fs::create_dir(&path)?;
        let joinable = path.join("probe");
        // A folder that can be made, but not be joined, is of no use; the rule is the same for what can be written.
        let is_writable = fs::create_dir(&joinable)
            .and_then(|()| fs::OpenOptions::new().write(true).open(joinable.join("cgroup.procs")));
        let _probe_is_gone = fs::remove_dir(&joinable);
        let handle = is_writable.and_then(|_| fs::File::open(&path));
        match handle {
            Ok(handle) => Ok(CgroupFolder { path, handle: handle.into() }),
            Err(error) => {
                fs::remove_dir(&path)?;
                Err(error)
            }
        }
    }
}

impl Drop for CgroupFolder {
    /// The keeper has left nothing in it, or has removed even that.
    fn drop(&mut self) {
        let removed = fs::remove_dir(&self.path);
        let is_gone = removed.is_ok() || !self.path.exists();
        assert!(is_gone || std::thread::panicking(), "{}: {removed:?}", self.path.display());
    }
}

fn own_cgroup() -> std::io::Result<PathBuf> {
    let missing = || std::io::Error::other("no cgroup of version 2");
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).ok_or_else(missing)?;
    let place = mount.split(' ').nth(4).ok_or_else(missing)?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).ok_or_else(missing)?;
    Ok(Path::new(place).join(own))
}

pub(super) fn seqpacket() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

fn send(socket: &OwnedFd, message: &impl Encode, fds: &[BorrowedFd<'_>]) {
    let mut buffer = vec![0; MAX_HEAD + (128 << 10)];
    let bytes = message.encode(&mut buffer).unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(fds.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(fds)));
    assert_eq!(sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL), Ok(bytes.len()));
}

fn fact_from(socket: &OwnedFd) -> (Fact, Option<OwnedFd>) {
    let (message, pidfd) = receive(socket).expect("the guardian has closed its socket");
    (Fact::decode(&message).unwrap(), pidfd)
}

/// A message with at most one descriptor; `None` if the other side has closed.
fn receive(socket: &OwnedFd) -> Option<(Vec<u8>, Option<OwnedFd>)> {
    assert!(is_readable_within(socket, DEADLINE), "no message for a minute");
    let mut buffer = vec![0; MAX_HEAD];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut buffer)];
    let length = recvmsg(socket, parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC).map_or(0, |message| message.bytes);
    let fds = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fd = fds.flatten().next();
    buffer.truncate(length);
    (length > 0).then_some((buffer, fd))
}

fn dev_null() -> OwnedFd {
    fs::File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

fn pidfd(pid: u32) -> OwnedFd {
    pidfd_open(Pid::from_raw(pid.cast_signed()).unwrap(), PidfdFlags::empty()).unwrap()
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Soft and hard.
fn limits_of(pid: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
    let mut words = line.split_whitespace().map(|word| word.parse().ok());
    Some((words.next()??, words.next()??))
}

fn has_mark(pid: u32, hard: u64) -> bool {
    limits_of(pid).is_some_and(|(_, found)| found == hard)
}

/// One word of `/proc/PID/status`.
fn status(pid: u32, key: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next().map(str::to_owned)
}

fn is_zombie(pid: u32) -> bool {
    status(pid, "State").as_deref() == Some("Z")
}

fn is_readable_within(fd: impl AsFd, patience: Duration) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::try_from(patience).unwrap())).unwrap() > 0
}

/// For a pidfd: the process ends.
fn assert_readable(fd: &OwnedFd) {
    assert!(is_readable_within(fd, DEADLINE), "nothing happened for a minute");
}

/// For a keeper: it ends by itself.
pub(super) fn assert_ends_and_reap(keeper: &Keeper) {
    assert_readable(&keeper.pidfd);
    waitid(WaitId::PidFd(keeper.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap();
}

/// Looks until it is so.
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not for a minute: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
