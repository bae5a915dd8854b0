//! Which process is meant, in a form that survives the reuse of its number.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::{fmt, io};

use rustix::io::Errno;
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::raw;

mod remembered;
mod traits;

pub(crate) use remembered::{Proof, Remembered, Standing};
pub(super) use remembered::{ends_within, has_ended};
pub(crate) use traits::boot_id;
use traits::{Likeness, Traits};

/// The number of a process that may be signalled: never 0, 1 or negative, which mean groups, everybody or init, and
/// never this process or its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pid(rustix::process::Pid);

impl Pid {
    pub(crate) fn new(number: i32) -> Option<Pid> {
        let pid = rustix::process::Pid::from_raw(number.max(0))?;
        (!pid.is_init() && pid != getpid() && number != raw::own_group()).then_some(Pid(pid))
    }

    pub(crate) fn get(self) -> i32 {
        self.0.as_raw_pid()
    }

    pub(super) fn raw(self) -> rustix::process::Pid {
        self.0
    }
}

/// The number of the process behind a pidfd, as this process sees it; 0 or less if it sees none. `None` if this kernel does
/// not tell.
pub(super) fn number_behind(pidfd: &OwnedFd) -> Option<i32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// One process, told apart from every other that ever had or will have its number. [`Remembered`] is the form for disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pid: Pid,
    traits: Traits,
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

impl Identity {
    /// Of the process that `pidfd` refers to, whose number is `pid`.
    pub(crate) fn of(pid: Pid, pidfd: impl AsFd) -> Identity {
        Identity { pid, traits: Traits::of(pid.raw(), pidfd) }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Looks for the process. Fails only if this process has no descriptor left, or may not look.
    pub(crate) fn find(&self) -> io::Result<Found> {
        let pidfd = match pidfd_open(self.pid.raw(), PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // The last two: the number now names a thread that leads no process.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(Found::Gone),
            Err(error) => return Err(error.into()),
        };
        Ok(match self.traits.likeness(&Traits::of(self.pid.raw(), &pidfd)) {
            Likeness::Other => Found::Gone,
            Likeness::Alike => Found::Alike(pidfd),
            Likeness::Same => Found::Same(pidfd),
        })
    }

    /// Whether it is still there, as far as can be told. One that has ended and waits to be reaped is not.
    pub(crate) fn standing(&self) -> Standing {
        self.remembered().standing()
    }

    pub(crate) fn remembered(&self) -> Remembered {
        Remembered::new(self.pid.raw(), self.traits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_mean_more_than_one_process_or_ourselves_are_no_pid() {
        for raw in [i32::MIN, -2, -1, 0, 1, getpid().as_raw_pid(), raw::own_group()] {
            assert_eq!(Pid::new(raw), None, "{raw}");
        }
        assert_eq!(Pid::new(i32::MAX).map(Pid::get), Some(i32::MAX));
    }
}
