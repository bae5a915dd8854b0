//! The system call that no safe wrapper offers: `posix_spawn` with a session and exact descriptors. And one of tokio's that
//! takes the word of its caller.
#![allow(unsafe_code, reason = "the one unsafe room of the library; each block says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{io, ptr};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A program to start, every part in the form that the kernel takes.
pub(super) struct Plan<'a> {
    /// Found by the kernel after the change of directory, so it had better be absolute.
    pub(super) program: &'a CStr,
    pub(super) args: &'a [CString],
    pub(super) env: &'a [CString],
    pub(super) cwd: Option<&'a CStr>,
    /// The n-th becomes descriptor n; there are no others. All must lie above the last target, lest one be overwritten
    /// before it is copied.
    pub(super) fds: &'a [OwnedFd],
}

/// Starts the program in a session of its own, with every signal at its default and none blocked. Returns after the
/// `exec`, so a failure of it is this function's error. The caller's memory is not copied, whatever its size.
pub(super) fn posix_spawn(plan: &Plan<'_>) -> io::Result<i32> {
    let actions = actions(plan)?;
    let attributes = attributes()?;
    let (args, env) = (pointers(plan.args), pointers(plan.env));
    let mut pid = 0;
    // SAFETY: the path is NUL-terminated, the two arrays are NULL-terminated and point to such strings, all borrowed
    // from `plan` beyond the call; actions and attributes are initialised. The function writes only through `pid`.
    check(unsafe {
        let (program, actions, attributes) = (plan.program.as_ptr(), &raw const actions.0, &raw const attributes.0);
        libc::posix_spawn(&raw mut pid, program, actions, attributes, args.as_ptr(), env.as_ptr())
    })?;
    Ok(pid)
}

/// The descriptor, known to the current runtime, which tells when it can be read: a pidfd, when the process has ended.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, is always the same descriptor, and stays so until the `AsyncFd` that owns it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

fn actions(plan: &Plan<'_>) -> io::Result<Actions> {
    let mut actions = Actions::new()?;
    for (target, fd) in (0..).zip(plan.fds) {
        actions.copy(fd, target)?;
    }
    if let Some(cwd) = plan.cwd {
        actions.change_directory(cwd)?;
    }
    actions.close_from(plan.fds.len() as c_int)?;
    Ok(actions)
}

fn attributes() -> io::Result<Attributes> {
    let mut attributes = Attributes::new()?;
    attributes.set_signals()?;
    attributes
        .set_flags(libc::POSIX_SPAWN_SETSID as c_int | libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK)?;
    Ok(attributes)
}

/// What the child does to its descriptors before the `exec`. Copied strings and numbers: it borrows nothing.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Actions> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: `init` initialises what it is given when it returns 0. Both C libraries hold a heap pointer in it and
        // nothing that points into itself, so it may move.
        unsafe {
            check(libc::posix_spawn_file_actions_init(raw.as_mut_ptr()))?;
            Ok(Actions(raw.assume_init()))
        }
    }

    fn copy(&mut self, fd: &OwnedFd, target: c_int) -> io::Result<()> {
        // SAFETY: initialised by `new`; the rest are numbers.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, fd.as_raw_fd(), target) })
    }

    fn change_directory(&mut self, path: &CStr) -> io::Result<()> {
        // SAFETY: initialised by `new`; the path is NUL-terminated and is copied.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, path.as_ptr()) })
    }

    /// Hosts have descriptors that are not close-on-exec; no child of ours shall have them.
    #[cfg(target_env = "gnu")]
    fn close_from(&mut self, first: c_int) -> io::Result<()> {
        // SAFETY: initialised by `new`; the rest is a number.
        check(unsafe { libc::posix_spawn_file_actions_addclosefrom_np(&raw mut self.0, first) })
    }

    /// musl has no such action: there a child gets what the host did not mark close-on-exec.
    #[cfg(not(target_env = "gnu"))]
    fn close_from(&mut self, _first: c_int) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised by `new` and destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// What the child is apart from its descriptors.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Attributes> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: `init` initialises what it is given when it returns 0; it is plain data, so it may move.
        unsafe {
            check(libc::posix_spawnattr_init(raw.as_mut_ptr()))?;
            Ok(Attributes(raw.assume_init()))
        }
    }

    /// Both would be inherited: a blocked SIGTERM would make the worker deaf, an ignored SIGPIPE would surprise it.
    fn set_signals(&mut self) -> io::Result<()> {
        let mut all = MaybeUninit::uninit();
        let mut none = MaybeUninit::uninit();
        // SAFETY: the two set functions initialise what they are given and cannot fail on a valid pointer;
        // the attributes were initialised by `new` and copy the sets.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::sigemptyset(none.as_mut_ptr());
            check(libc::posix_spawnattr_setsigdefault(&raw mut self.0, all.as_ptr()))?;
            check(libc::posix_spawnattr_setsigmask(&raw mut self.0, none.as_ptr()))
        }
    }

    fn set_flags(&mut self, flags: c_int) -> io::Result<()> {
        // SAFETY: initialised by `new`; the rest is a number, whose bits all lie in a short.
        check(unsafe { libc::posix_spawnattr_setflags(&raw mut self.0, flags as libc::c_short) })
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised by `new` and destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// The array of pointers that C wants, with NULL at its end. C's prototype says `*mut`, POSIX that nothing is written.
fn pointers(strings: &[CString]) -> Vec<*mut c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// These functions return their error and leave `errno` alone.
fn check(rc: c_int) -> io::Result<()> {
    if rc == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(rc)) }
}

/// RLIMIT_LOCKS of a process, soft and hard. `EPERM` if it has credentials that we have not.
pub(super) fn locks_limit(pid: rustix::process::Pid) -> Result<(u64, u64), Errno> {
    // `struct rlimit64`, whose name the C libraries do not agree on.
    let mut limits = [0u64; 2];
    let (pid, unchanged) = (pid.as_raw_pid(), ptr::null::<[u64; 2]>());
    // SAFETY: nothing is read, as there are no new limits; the kernel writes two numbers of 64 bits, which there is room for.
    let rc = unsafe { libc::syscall(libc::SYS_prlimit64, pid, libc::RLIMIT_LOCKS, unchanged, limits.as_mut_ptr()) };
    match rc {
        0 => Ok((limits[0], limits[1])),
        _ => Err(last_error()),
    }
}

/// What the kernel calls a process, in its own file system of processes: an inode number that is used once until the
/// next boot. Unlike a pidfd it can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PidfsHandle {
    pub(super) kind: i32,
    pub(super) bytes: [u8; 8],
}

/// `struct file_handle`, with room for the eight bytes that pidfs uses.
#[repr(C)]
struct FileHandle {
    length: u32,
    kind: i32,
    bytes: [u8; 8],
}

/// The handle of the process behind a pidfd. `EOPNOTSUPP` before Linux 6.14.
pub(super) fn pidfs_handle(pidfd: BorrowedFd<'_>) -> Result<PidfsHandle, Errno> {
    let mut handle = FileHandle { length: 8, kind: 0, bytes: [0; 8] };
    let mut mount: c_int = 0;
    // SAFETY: the path is empty and NUL-terminated; the kernel writes at most `length` bytes after the two numbers, which
    // is what the structure has room for, and one number through `mount`.
    let rc = unsafe {
        let (fd, path, flags) = (pidfd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH);
        libc::syscall(libc::SYS_name_to_handle_at, fd, path, &raw mut handle, &raw mut mount, flags)
    };
    match (rc, handle.length) {
        (0, 8) => Ok(PidfsHandle { kind: handle.kind, bytes: handle.bytes }),
        (0, _) => Err(Errno::OVERFLOW),
        _ => Err(last_error()),
    }
}

/// A pidfd of the process that has this handle. `ESTALE` once it is reaped, whoever has its number then; also if it
/// lives in a PID namespace that we cannot see into.
pub(super) fn open_pidfs_handle(handle: PidfsHandle) -> Result<OwnedFd, Errno> {
    /// Stands for the file system, which is mounted nowhere.
    const FD_PIDFS_ROOT: c_int = -10002;
    let mut handle = FileHandle { length: 8, kind: handle.kind, bytes: handle.bytes };
    // SAFETY: the kernel reads the two numbers and `length` bytes; what it returns is a new descriptor, owned by nobody yet.
    unsafe {
        let flags = libc::O_CLOEXEC;
        match libc::syscall(libc::SYS_open_by_handle_at, FD_PIDFS_ROOT, &raw mut handle, flags) {
            fd if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd as c_int)),
            _ => Err(last_error()),
        }
    }
}

/// The number of our process group: 0 if its leader is in a PID namespace that we cannot see into, for which rustix has no
/// word.
pub(super) fn own_group() -> i32 {
    // SAFETY: no arguments, no memory, cannot fail.
    unsafe { libc::getpgrp() }
}

/// The number of a process's group; `None` if there is no such process. 0 as for [`own_group`].
pub(crate) fn group_of(pid: i32) -> Option<i32> {
    // SAFETY: numbers in, a number out.
    let group = unsafe { libc::getpgid(pid) };
    (group >= 0).then_some(group)
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
