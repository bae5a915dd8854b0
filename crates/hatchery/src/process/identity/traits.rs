//! What tells one process from all others that ever had its number.

use std::fs;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use rustix::fs::{fstat, fstatfs};
use rustix::process::Pid;

use super::super::raw::{self, PidfsHandle};

/// The inode of a pidfd (Linux 6.9) is unique until the next boot. The start time alone is not: it counts in
/// hundredths of a second, and a number can be used again within one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    /// Clock ticks from boot to its start; unknown without `/proc`, or if it was reaped before we looked.
    pub(super) start_time: Option<u64>,
    pub(super) pidfs_inode: Option<u64>,
    /// By which it can be opened without its number (Linux 6.14).
    pub(super) pidfs_handle: Option<PidfsHandle>,
    pub(super) boot_id: Option<u128>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    Other,
    Alike,
    Same,
}

impl Traits {
    /// Of the process that `pidfd` refers to, whose number is `pid`.
    pub(super) fn of(pid: Pid, pidfd: impl AsFd) -> Traits {
        let newborn = Traits::of_newborn(pid, pidfd);
        Traits { start_time: newborn.start_time.or_else(|| start_time(pid)), ..newborn }
    }

    /// Of one that is only about to run its program. The kernel does not tell its start time before it does, and that is
    /// long to wait for what says less than an inode: without it, if there is one.
    pub(super) fn of_newborn(pid: Pid, pidfd: impl AsFd) -> Traits {
        let pidfs_inode = pidfs_inode(&pidfd);
        Traits {
            start_time: if pidfs_inode.is_none() { start_time(pid) } else { None },
            pidfs_inode,
            pidfs_handle: raw::pidfs_handle(pidfd.as_fd()).ok(),
            boot_id: boot_id(),
        }
    }

    /// The strongest evidence that both have decides; what one of them lacks proves nothing.
    pub(super) fn likeness(&self, other: &Traits) -> Likeness {
        let same_boot = agree(self.boot_id, other.boot_id);
        let same_inode = agree(self.pidfs_inode, other.pidfs_inode);
        let same_handle = agree(self.pidfs_handle, other.pidfs_handle);
        let same_start = agree(self.start_time, other.start_time);
        if [same_boot, same_inode, same_handle, same_start].contains(&Some(false)) {
            return Likeness::Other;
        }
        match (same_boot, same_inode.or(same_handle)) {
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
    let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
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

/// Which boot of this machine it is.
pub(crate) fn boot_id() -> Option<u128> {
    static BOOT_ID: OnceLock<Option<u128>> = OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(start_time: Option<u64>, pidfs_inode: Option<u64>, boot_id: Option<u128>) -> Traits {
        Traits { start_time, pidfs_inode, pidfs_handle: None, boot_id }
    }

    #[test]
    fn a_start_time_alone_never_proves_that_it_is_the_same() {
        let full = traits(Some(5), Some(7), Some(9));
        assert_eq!(full.likeness(&full), Likeness::Same);
        assert_eq!(full.likeness(&traits(Some(5), None, Some(9))), Likeness::Alike);
        assert_eq!(full.likeness(&traits(Some(5), Some(7), None)), Likeness::Alike);
        assert_eq!(full.likeness(&Traits::default()), Likeness::Alike);
    }

    #[test]
    fn any_contradiction_proves_that_it_is_another() {
        let full = traits(Some(5), Some(7), Some(9));
        let handle = Some(PidfsHandle { kind: 254, bytes: [7; 8] });
        for (one, other) in [
            (full, traits(Some(6), Some(7), Some(9))),
            (full, traits(Some(5), Some(8), Some(9))),
            (full, traits(Some(5), Some(7), Some(8))),
            (full, traits(Some(6), None, None)),
            (
                Traits { pidfs_handle: handle, ..full },
                Traits { pidfs_handle: handle.map(|handle| PidfsHandle { bytes: [8; 8], ..handle }), ..full },
            ),
        ] {
            assert_eq!(one.likeness(&other), Likeness::Other, "{other:?}");
        }
    }
}
