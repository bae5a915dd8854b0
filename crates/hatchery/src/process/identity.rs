//! Which process is meant, in a form that survives the reuse of its number.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::getpid;

use super::raw;

mod remembered;
mod traits;

pub(crate) use remembered::{Proof, Remembered, Standing};
pub(super) use remembered::{ends_within, has_ended};
use traits::Traits;
pub(crate) use traits::boot_id;

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

impl Identity {
    /// Of the process that `pidfd` refers to, whose number is `pid`.
    pub(crate) fn of(pid: Pid, pidfd: impl AsFd) -> Identity {
        Identity { pid, traits: Traits::of(pid.raw(), pidfd) }
    }

    /// [`Identity::of`] one that was started just now.
    pub(crate) fn of_newborn(pid: Pid, pidfd: impl AsFd) -> Identity {
        Identity { pid, traits: Traits::of_newborn(pid.raw(), pidfd) }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
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
