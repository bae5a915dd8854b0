//! Which process is meant, in a form that survives the reuse of its number.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::{fmt, fs, io};

use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, getpgrp, getpid, pidfd_open};

/// The number of a process that may be signalled: never 0, 1 or negative, which mean groups, everybody or init, and
/// never this process or its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pid(rustix::process::Pid);

impl Pid {
    pub(crate) fn new(raw: i32) -> Option<Pid> {
        let pid = rustix::process::Pid::from_raw(raw.max(0))?;
        (!pid.is_init() && pid != getpid() && pid != getpgrp()).then_some(Pid(pid))
    }

    pub(crate) fn get(self) -> i32 {
        self.0.as_raw_pid()
    }

    pub(super) fn raw(self) -> rustix::process::Pid {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// One process, told apart from every other that ever had or will have its number.
///
/// The inode of its pidfd (Linux 6.9) is unique until the next boot. The start time alone is not: it counts in
/// hundredths of a second, and a number can be used again within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pid: Pid,
    /// Clock ticks from boot to its start; unknown without `/proc`, or if it was reaped before we looked.
    start_time: Option<u64>,
    pidfs_inode: Option<u64>,
    boot_id: Option<u128>,
}

/// What stands behind an [`Identity`] now. The descriptor pins the process that was looked at, so a signal through it
/// cannot go astray later.
#[derive(Debug)]
pub(crate) enum Found {
    /// That process is no more, whoever may have its number.
    Gone,
    /// The very same.
    Same(OwnedFd),
    /// Nothing speaks against it, but this kernel cannot prove it. Never enough for a kill.
    Alike(OwnedFd),
}

#[derive(Debug, PartialEq, Eq)]
enum Likeness {
    Other,
    Alike,
    Same,
}

impl Identity {
    /// Of the process that `pidfd` refers to, whose number is `pid`.
    pub(crate) fn of(pid: Pid, pidfd: impl AsFd) -> Identity {
        Identity { pid, start_time: start_time(pid), pidfs_inode: pidfs_inode(pidfd), boot_id: boot_id() }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether a signal or a tracer has stopped it. False if that cannot be told.
    pub(super) fn is_stopped(&self) -> bool {
        let stat = fs::read(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let name_end = stat.iter().rposition(|&byte| byte == b')').unwrap_or(0);
        matches!(stat.get(name_end + 2), Some(b'T' | b't')) && self.start_time == start_time(self.pid)
    }

    /// Looks for the process. Fails only if this process has no descriptor left, or may not look.
    pub(crate) fn find(&self) -> io::Result<Found> {
        let pidfd = match pidfd_open(self.pid.raw(), PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // The last two: the number now names a thread that leads no process.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(Found::Gone),
            Err(error) => return Err(error.into()),
        };
        Ok(match self.likeness(&Identity::of(self.pid, &pidfd)) {
            Likeness::Other => Found::Gone,
            Likeness::Alike => Found::Alike(pidfd),
            Likeness::Same => Found::Same(pidfd),
        })
    }

    /// The strongest evidence that both have decides; what one of them lacks proves nothing.
    fn likeness(&self, other: &Identity) -> Likeness {
        let same_pid = Some(self.pid == other.pid);
        let same_boot = agree(self.boot_id, other.boot_id);
        let same_inode = agree(self.pidfs_inode, other.pidfs_inode);
        let same_start = agree(self.start_time, other.start_time);
        if [same_pid, same_boot, same_inode, same_start].contains(&Some(false)) {
            return Likeness::Other;
        }
        match (same_boot, same_inode) {
            (Some(true), Some(true)) => Likeness::Same,
            _ => Likeness::Alike,
        }
    }
}

fn agree<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<bool> {
    Some(one? == other?)
}

/// Field 22 of `/proc/PID/stat`. The second field is the program's name, which may contain anything; the rest is
/// counted from the last parenthesis.
fn start_time(pid: Pid) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Before Linux 6.9 all pidfds share one inode of another file system, which says nothing.
fn pidfs_inode(pidfd: impl AsFd) -> Option<u64> {
    const PID_FS_MAGIC: u64 = 0x5049_4446;
    let file_system = fstatfs(&pidfd).ok()?;
    (file_system.f_type as u64 == PID_FS_MAGIC).then(|| fstat(&pidfd).ok().map(|stat| stat.st_ino))?
}

fn boot_id() -> Option<u128> {
    static BOOT_ID: OnceLock<Option<u128>> = OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(start_time: Option<u64>, pidfs_inode: Option<u64>, boot_id: Option<u128>) -> Identity {
        Identity { pid: Pid::new(i32::MAX).unwrap(), start_time, pidfs_inode, boot_id }
    }

    #[test]
    fn numbers_that_mean_more_than_one_process_or_ourselves_are_no_pid() {
        for raw in [i32::MIN, -2, -1, 0, 1, getpid().as_raw_pid(), getpgrp().as_raw_pid()] {
            assert_eq!(Pid::new(raw), None, "{raw}");
        }
        assert_eq!(Pid::new(i32::MAX).map(Pid::get), Some(i32::MAX));
    }

    #[test]
    fn a_start_time_alone_never_proves_that_it_is_the_same() {
        let full = identity(Some(5), Some(7), Some(9));
        assert_eq!(full.likeness(&full), Likeness::Same);
        assert_eq!(full.likeness(&identity(Some(5), None, Some(9))), Likeness::Alike);
        assert_eq!(full.likeness(&identity(Some(5), Some(7), None)), Likeness::Alike);
        assert_eq!(full.likeness(&identity(None, None, None)), Likeness::Alike);
    }

    #[test]
    fn any_contradiction_proves_that_it_is_another() {
        let full = identity(Some(5), Some(7), Some(9));
        for other in [
            identity(Some(6), Some(7), Some(9)),
            identity(Some(5), Some(8), Some(9)),
            identity(Some(5), Some(7), Some(8)),
            identity(Some(6), None, None),
        ] {
            assert_eq!(full.likeness(&other), Likeness::Other, "{other:?}");
        }
    }
}
