//! Processes: making, marking, watching and ending them.

use core::ffi::CStr;
use core::marker::PhantomData;
use core::ptr;

use super::arch::{self, syscall};
use super::{CLONE3, Errno, Fd, PIDFD_OPEN, PIDFD_SEND_SIGNAL, Result, c_str, check, fd, signed, uninterrupted};

pub(crate) const SIGKILL: u32 = 9;
pub(crate) const SIGCHLD: u32 = 17;
pub(crate) const SIGSTOP: u32 = 19;

pub(crate) const RLIMIT_CORE: usize = 4;
pub(crate) const RLIMIT_NOFILE: usize = 7;
pub(crate) const RLIMIT_AS: usize = 9;
pub(crate) const RLIMIT_LOCKS: usize = 10;

/// What to unshare at the birth of a process.
pub(crate) const NEW_PROCESSES_AND_MOUNTS: usize = 0x2000_0000 | 0x2_0000;
pub(crate) const NEW_USERS: usize = 0x1000_0000;

const CLONE_VM: usize = 0x100;
const CLONE_PIDFD: usize = 0x1000;
const CLONE_VFORK: usize = 0x4000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Who goes on after a fork.
pub(crate) enum Fork {
    Child,
    Parent(Child),
}

/// A child of ours that has not been reaped when this is made.
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) pidfd: Fd,
}

/// As `fork`, with namespaces of its own.
pub(crate) fn fork(namespaces: usize) -> Result<Fork> {
    let mut pidfd = -1_i32;
    let flags = CLONE_PIDFD | namespaces | SIGCHLD as usize;
    // SAFETY: memory is copied, not shared, and there is one thread, so the child goes on with a stack of its own. The
    // kernel writes one number through the third argument, which is the same on every machine.
    let pid = check(unsafe { syscall(arch::CLONE, [flags, 0, (&raw mut pidfd).expose_provenance(), 0, 0, 0]) })?;
    Ok(forked(pid, pidfd))
}

/// A child that does not copy our memory but shares it, until it runs a program or ends. We stand still meanwhile, and then
/// see what it has put into the cells of `life`. Much faster than a fork, and it can be born in a cgroup.
pub(crate) fn bear<T>(cgroup: Option<&Fd>, life: &T, live: fn(&T) -> !) -> Result<Child> {
    let mut pidfd = -1_i32;
    let birth = (life, live);
    let flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
    let (begin, birth) = (begin_life::<T>, (&raw const birth).expose_provenance());
    let number = (&raw mut pidfd).expose_provenance();
    // SAFETY: CLONE_VFORK makes us wait. The kernel writes one number through `number`, which is the third argument of
    // `clone` on every machine, and the structure is its own, of the size that is told. `begin_life` gets what it takes.
    let pid = check(unsafe {
        match cgroup {
            None => {
                let arguments = [flags | SIGCHLD as usize, 0, number, 0, 0, 0];
                arch::syscall_and_begin(arch::CLONE, arguments, begin, birth)
            }
            Some(cgroup) => {
                let mut arguments = CloneArguments {
                    flags: CLONE_INTO_CGROUP | flags as u64,
                    pidfd: number as u64,
                    exit_signal: u64::from(SIGCHLD),
                    cgroup: fd(cgroup) as u64,
                    ..CloneArguments::default()
                };
                let arguments = [(&raw mut arguments).expose_provenance(), size_of::<CloneArguments>(), 0, 0, 0, 0];
                arch::syscall_and_begin(CLONE3, arguments, begin, birth)
            }
        }
    })?;
    // SAFETY: the kernel wrote it behind the compiler's back, through an exposed pointer.
    let pidfd = Fd::own(unsafe { ptr::read_volatile(&raw const pidfd) });
    Ok(Child { pid: pid as i32, pidfd })
}

/// Where the child of [`bear`] arrives.
extern "C" fn begin_life<T>(birth: usize) -> ! {
    // SAFETY: `bear` made it for us, and waits.
    let (life, live) = unsafe { &*ptr::with_exposed_provenance::<(&T, fn(&T) -> !)>(birth) };
    live(life)
}

fn forked(pid: usize, pidfd: i32) -> Fork {
    match pid {
        0 => Fork::Child,
        _ => Fork::Parent(Child { pid: pid as i32, pidfd: Fd::own(pidfd) }),
    }
}

#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Strings as `execve` takes them: an array of pointers with NULL at its end.
pub(crate) struct Vector<'s> {
    address: usize,
    borrows: PhantomData<&'s [u8]>,
}

impl<'s> Vector<'s> {
    /// Cuts `count` strings off the front of `strings` and gives the rest; `None` if there are not so many, or no room.
    pub(crate) fn cut(pointers: &'s mut [usize], strings: &'s [u8], count: usize) -> Option<(Vector<'s>, &'s [u8])> {
        let (end, pointers) = pointers.split_last_mut().filter(|(_, room)| room.len() == count)?;
        let mut rest = strings;
        for pointer in pointers.iter_mut() {
            let text = CStr::from_bytes_until_nul(rest).ok()?;
            *pointer = text.as_ptr().expose_provenance();
            rest = &rest[text.count_bytes() + 1..];
        }
        *end = 0;
        let address =
            if count == 0 { ptr::from_mut(end).expose_provenance() } else { pointers.as_ptr().expose_provenance() };
        Some((Vector { address, borrows: PhantomData }, rest))
    }
}

/// Returns only if the kernel refuses.
pub(crate) fn execute(program: &CStr, arguments: &Vector<'_>, environment: &Vector<'_>) -> Errno {
    // SAFETY: the path and every string that the arrays point to are NUL-terminated, the arrays NULL-terminated, and
    // all of them borrowed.
    let result = unsafe { syscall(arch::EXECVE, [c_str(program), arguments.address, environment.address, 0, 0, 0]) };
    check(result).err().unwrap_or(Errno::INVAL)
}

pub(crate) fn exit(code: usize) -> ! {
    loop {
        // SAFETY: it takes a number and does not come back.
        unsafe { syscall(arch::EXIT_GROUP, [code, 0, 0, 0, 0, 0]) };
    }
}

pub(crate) fn own_pid() -> i32 {
    // SAFETY: no arguments.
    (unsafe { syscall(arch::GETPID, [0; 6]) }) as i32
}

pub(crate) fn parent_pid() -> i32 {
    // SAFETY: no arguments.
    (unsafe { syscall(arch::GETPPID, [0; 6]) }) as i32
}

pub(crate) fn own_user_and_group() -> (u32, u32) {
    // SAFETY: no arguments.
    unsafe { (syscall(arch::GETEUID, [0; 6]) as u32, syscall(arch::GETEGID, [0; 6]) as u32) }
}

/// A session and group of its own.
pub(crate) fn new_session() -> Result<()> {
    // SAFETY: no arguments.
    check(unsafe { syscall(arch::SETSID, [0; 6]) }).map(drop)
}

pub(crate) fn group_of(pid: i32) -> Result<i32> {
    // SAFETY: no pointers.
    check(unsafe { syscall(arch::GETPGID, [signed(pid), 0, 0, 0, 0, 0]) }).map(|group| group as i32)
}

/// To a child that was not reaped: its number is nobody else's. That it is one is the kernel's word, whoever named it.
pub(crate) fn signal_child(pid: i32, signal: u32) -> Result<()> {
    wait(pid, WEXITED | WNOHANG | WNOWAIT)?;
    signal_number(pid, signal)
}

/// To the group of a leader that is our child and was not reaped.
pub(crate) fn signal_group(leader: i32, signal: u32) -> Result<()> {
    signal_number(-leader, signal)
}

/// 0, 1, and -1 would be ourselves, the first process and everybody.
fn signal_number(number: i32, signal: u32) -> Result<()> {
    if (-1..=1).contains(&number) {
        return Err(Errno::INVAL);
    }
    // SAFETY: no pointers.
    check(unsafe { syscall(arch::KILL, [signed(number), signal as usize, 0, 0, 0, 0]) }).map(drop)
}

pub(crate) fn open_pidfd(pid: i32) -> Result<Fd> {
    // SAFETY: no pointers.
    check(unsafe { syscall(PIDFD_OPEN, [signed(pid), 0, 0, 0, 0, 0]) }).map(|number| Fd::own(number as i32))
}

pub(crate) fn signal_pidfd(pidfd: &Fd, signal: u32) -> Result<()> {
    // SAFETY: a null pointer asks for the siginfo that `kill` would send.
    check(unsafe { syscall(PIDFD_SEND_SIGNAL, [fd(pidfd), signal as usize, 0, 0, 0, 0]) }).map(drop)
}

/// How a child ended: `si_code` and `si_status`.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) status: i32,
}

impl Ended {
    pub(crate) fn by_sigkill(self) -> bool {
        const CLD_KILLED: i32 = 2;
        self.code == CLD_KILLED && self.status == SIGKILL.cast_signed()
    }
}

const WNOHANG: usize = 1;
const WEXITED: usize = 4;
const WNOWAIT: usize = 0x0100_0000;

/// Reaps a child if it has ended.
pub(crate) fn reap(pid: i32) -> Option<Ended> {
    wait(pid, WEXITED | WNOHANG).ok().flatten()
}

/// Waits for a child's end, and reaps it.
pub(crate) fn wait_and_reap(pid: i32) -> Option<Ended> {
    wait(pid, WEXITED).ok().flatten()
}

/// Whether a child has ended. It keeps its number.
pub(crate) fn has_ended(pid: i32) -> Option<Ended> {
    wait(pid, WEXITED | WNOHANG | WNOWAIT).ok().flatten()
}

/// Whether a number is that of a child of ours, alive or to be reaped.
pub(crate) fn is_child(pid: i32) -> bool {
    wait(pid, WEXITED | WNOHANG | WNOWAIT).is_ok()
}

pub(crate) fn has_children() -> bool {
    wait_for(P_ALL, 0, WEXITED | WNOHANG | WNOWAIT).is_ok()
}

fn wait(pid: i32, options: usize) -> Result<Option<Ended>> {
    wait_for(P_PID, pid, options)
}

const P_ALL: usize = 0;
const P_PID: usize = 1;

fn wait_for(kind: usize, pid: i32, options: usize) -> Result<Option<Ended>> {
    let mut info = Information::default();
    let arguments = [kind, signed(pid), (&raw mut info).expose_provenance(), options, 0, 0];
    // SAFETY: the kernel fills a siginfo of 128 bytes, which `Information` has.
    uninterrupted(|| check(unsafe { syscall(arch::WAITID, arguments) }))?;
    let Information { code, pid, status, .. } = info;
    Ok((pid != 0).then_some(Ended { code, status }))
}

/// `siginfo_t` of a child's end.
#[repr(C)]
#[derive(Default)]
struct Information {
    signal: i32,
    errno: i32,
    code: i32,
    padding: i32,
    pid: i32,
    user: u32,
    status: i32,
    rest: [u32; 25],
}

/// Soft and hard.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Of any process that is there; 0 is our own.
pub(crate) fn limit(pid: i32, resource: usize) -> Result<Limit> {
    let mut limit = Limit::default();
    // SAFETY: the kernel writes two numbers.
    check(unsafe { syscall(arch::PRLIMIT64, [signed(pid), resource, 0, (&raw mut limit).expose_provenance(), 0, 0]) })?;
    Ok(limit)
}

pub(crate) fn set_limit(pid: i32, resource: usize, limit: Limit) -> Result<()> {
    // SAFETY: the kernel reads two numbers.
    check(unsafe { syscall(arch::PRLIMIT64, [signed(pid), resource, (&raw const limit).expose_provenance(), 0, 0, 0]) })
        .map(drop)
}

/// With no supplementary groups. The group first: the user may not be allowed to change it.
pub(crate) fn become_user(user: u32, group: u32) -> Result<()> {
    let (user, group) = (user as usize, group as usize);
    // SAFETY: no pointers but a null one for an empty list.
    unsafe {
        check(syscall(arch::SETGROUPS, [0; 6]))?;
        check(syscall(arch::SETRESGID, [group, group, group, 0, 0, 0]))?;
        check(syscall(arch::SETRESUID, [user, user, user, 0, 0, 0])).map(drop)
    }
}

/// SIGKILL when the thread that made us ends.
pub(crate) fn die_with_parent() -> Result<()> {
    process_control(1, SIGKILL as usize)
}

pub(crate) fn adopt_orphans() -> Result<()> {
    process_control(36, 1)
}

pub(crate) fn no_new_privileges() -> Result<()> {
    process_control(38, 1)
}

/// At most 15 bytes are shown.
pub(crate) fn set_name(name: &CStr) {
    let _only_for_looks = process_control(15, c_str(name));
}

fn process_control(what: usize, argument: usize) -> Result<()> {
    // SAFETY: the four callers pass numbers, or a NUL-terminated string where one is wanted.
    check(unsafe { syscall(arch::PRCTL, [what, argument, 0, 0, 0, 0]) }).map(drop)
}

/// SIGKILL for ourselves, unless we have run a program by then: such a timer ends with what we are now.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(i32);

impl Deadline {
    pub(crate) fn set(milliseconds: u64) -> Result<Deadline> {
        const CLOCK_MONOTONIC: usize = 1;
        let event = Event { value: 0, signal: SIGKILL, kind: 0, rest: [0; 12] };
        let mut timer = 0_i32;
        let arguments = [(&raw const event).expose_provenance(), (&raw mut timer).expose_provenance()];
        // SAFETY: the kernel reads a `sigevent` of 64 bytes and writes one number.
        check(unsafe { syscall(arch::TIMER_CREATE, [CLOCK_MONOTONIC, arguments[0], arguments[1], 0, 0, 0]) })?;
        // SAFETY: the kernel wrote it behind the compiler's back, through an exposed pointer.
        let deadline = Deadline(unsafe { ptr::read_volatile(&raw const timer) });
        deadline.put_off(milliseconds).map(|()| deadline)
    }

    /// So many from now on.
    pub(crate) fn put_off(self, milliseconds: u64) -> Result<()> {
        // Interval and first time, each in seconds and nanoseconds.
        let times = [0, 0, milliseconds / 1000, milliseconds % 1000 * 1_000_000];
        let arguments = [signed(self.0), 0, times.as_ptr().expose_provenance(), 0, 0, 0];
        // SAFETY: the kernel reads four words, and writes nothing through the null pointer.
        check(unsafe { syscall(arch::TIMER_SETTIME, arguments) }).map(drop)
    }
}

/// `sigevent` for a signal.
#[repr(C)]
struct Event {
    value: u64,
    signal: u32,
    kind: i32,
    rest: [u32; 12],
}

/// Short slices of time (Linux 6.12), for which the kernel lets us run as soon as there is something to do. Only a
/// process with the usual policy and no privilege: only that loses nothing when its children get the usual slices back.
pub(crate) fn run_promptly() -> Result<()> {
    const RESET_ON_FORK: u64 = 1;
    const SLICE_NS: u64 = 100_000;
    let mut scheduling = Scheduling::default();
    let (address, size) = ((&raw mut scheduling).expose_provenance(), size_of::<Scheduling>());
    // SAFETY: the kernel writes no more than the size that is told.
    check(unsafe { syscall(arch::SCHED_GETATTR, [0, address, size, 0, 0, 0]) })?;
    // SAFETY: the kernel wrote it behind the compiler's back, through an exposed pointer.
    let scheduling = unsafe { ptr::read_volatile(&raw const scheduling) };
    if scheduling.policy != 0 || scheduling.nice < 0 {
        return Err(Errno::PERM);
    }
    let prompt =
        Scheduling { size: size as u32, flags: RESET_ON_FORK, runtime: SLICE_NS, deadline: 0, period: 0, ..scheduling };
    // SAFETY: the kernel only reads.
    check(unsafe { syscall(arch::SCHED_SETATTR, [0, (&raw const prompt).expose_provenance(), 0, 0, 0, 0]) }).map(drop)
}

/// Whoever waits for the processor goes first.
pub(crate) fn give_way() {
    // SAFETY: no arguments.
    unsafe { syscall(arch::SCHED_YIELD, [0; 6]) };
}

/// `sched_attr`, of its first size.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Scheduling {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Every signal to its default.
pub(crate) fn reset_signals() {
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads a structure of four words. SIGKILL and SIGSTOP are refused.
        unsafe { syscall(arch::RT_SIGACTION, [signal, default.as_ptr().expose_provenance(), 0, 8, 0, 0]) };
    }
}

pub(crate) fn block_all_signals() {
    set_blocked(u64::MAX);
}

pub(crate) fn block_no_signal() {
    set_blocked(0);
}

fn set_blocked(signals: u64) {
    const SIG_SETMASK: usize = 2;
    // SAFETY: the kernel reads one word, and writes nothing through the null pointer.
    unsafe { syscall(arch::RT_SIGPROCMASK, [SIG_SETMASK, (&raw const signals).expose_provenance(), 0, 8, 0, 0]) };
}
