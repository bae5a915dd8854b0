//! What of other processes can be seen from here: a container, a hardened `/proc` or an old kernel may hide them.

use std::fs;

use rustix::process::{PidfdFlags, geteuid, getpid, pidfd_open};

use super::identity::{Pid, boot_id};
use super::raw;

/// Something that cannot be seen here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// What, and what follows, in a sentence.
    pub(crate) what: &'static str,
    /// How to mend it.
    pub(crate) hint: &'static str,
    /// Whether processes must not be ended because of it.
    pub(crate) is_blocking: bool,
}

/// What is in the way of finding processes and telling them apart. Empty: nothing is.
pub(crate) fn obstacles() -> Vec<Obstacle> {
    let own_pidfd = pidfd_open(getpid(), PidfdFlags::empty());
    judge(&Facts {
        lists_processes: fs::read_dir("/proc").is_ok() && fs::metadata("/proc/self/stat").is_ok(),
        numbers_are_ours: numbers_are_ours(),
        knows_boot: boot_id().is_some(),
        reads_marks: raw::locks_limit(getpid()).is_ok(),
        has_pidfd: own_pidfd.is_ok(),
        has_handles: own_pidfd.is_ok_and(|pidfd| raw::pidfs_handle(std::os::fd::AsFd::as_fd(&pidfd)).is_ok()),
        hides_others: !geteuid().is_root() && fs::read_to_string("/proc/self/mounts").is_ok_and(|m| hides_others(&m)),
    })
}

/// Whether `/proc` calls processes what we call them. Mounted outside of our PID namespace, it would tell of others by our
/// numbers.
pub(in crate::process) fn numbers_are_ours() -> bool {
    fs::read_link("/proc/self").is_ok_and(|own| own.as_os_str() == getpid().to_string().as_str())
}

struct Facts {
    lists_processes: bool,
    numbers_are_ours: bool,
    knows_boot: bool,
    reads_marks: bool,
    has_pidfd: bool,
    has_handles: bool,
    hides_others: bool,
}

fn judge(facts: &Facts) -> Vec<Obstacle> {
    const SECCOMP: &str = "in a container, allow it in its seccomp profile";
    const PROC: &str = "mount /proc in this PID namespace";
    let checks = [
        (facts.lists_processes, true, "/proc cannot be read, so the processes of a dead run cannot be found", PROC),
        (facts.numbers_are_ours, true, "/proc is another PID namespace's, so its numbers are not ours", PROC),
        (facts.knows_boot, true, "the boot id cannot be read, so records may be of another boot", PROC),
        (facts.reads_marks, true, "prlimit is refused, so it cannot be seen whose a process is", SECCOMP),
        (facts.has_pidfd, true, "pidfd_open is refused, so no process can be signalled safely", SECCOMP),
        (
            facts.has_handles,
            false,
            "no pidfs handles, so owners are told apart by inode or start time",
            "use Linux 6.14 or newer",
        ),
        (
            !facts.hides_others,
            false,
            "/proc hides other users' processes, so one that changed its user is not seen",
            "mount /proc without hidepid, or sweep as root",
        ),
    ];
    let missing = checks.into_iter().filter(|(is_fine, ..)| !is_fine);
    missing.map(|(_, is_blocking, what, hint)| Obstacle { what, hint, is_blocking }).collect()
}

/// From the line of `/proc` in `/proc/self/mounts`.
fn hides_others(mounts: &str) -> bool {
    let mut options = mounts.lines().rev().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        (fields.next()? == "/proc" && fields.next()? == "proc").then(|| fields.next())?
    });
    let hidepid =
        options.next().and_then(|options| options.split(',').find_map(|option| option.strip_prefix("hidepid=")));
    matches!(hidepid, Some("2" | "invisible" | "4" | "ptraceable"))
}

/// By a signal, or by a tracer. False if that cannot be told.
pub(super) fn is_stopped(pid: Pid) -> bool {
    if !numbers_are_ours() {
        return false;
    }
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second word is the program's name, which may contain anything.
    let name_end = stat.iter().rposition(|&byte| byte == b')').unwrap_or(0);
    matches!(stat.get(name_end + 2), Some(b'T' | b't'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Facts = Facts {
        lists_processes: true,
        numbers_are_ours: true,
        knows_boot: true,
        reads_marks: true,
        has_pidfd: true,
        has_handles: true,
        hides_others: false,
    };

    #[test]
    fn what_is_missing_is_told_and_what_is_vital_blocks() {
        assert_eq!(judge(&FINE), []);
        let blocks = |facts| judge(&facts).iter().map(|obstacle| obstacle.is_blocking).collect::<Vec<_>>();
        assert_eq!(blocks(Facts { lists_processes: false, ..FINE }), [true]);
        assert_eq!(blocks(Facts { numbers_are_ours: false, ..FINE }), [true]);
        assert_eq!(blocks(Facts { has_pidfd: false, has_handles: false, ..FINE }), [true, false]);
        assert_eq!(blocks(Facts { hides_others: true, ..FINE }), [false]);
    }

    #[test]
    fn a_proc_that_hides_is_recognised() {
        for (line, hides) in [
            ("proc /proc proc rw,nosuid,relatime 0 0", false),
            ("proc /proc proc rw,relatime,hidepid=invisible 0 0", true),
            ("proc /proc proc rw,hidepid=2,gid=27 0 0", true),
            ("proc /proc proc rw,hidepid=noaccess 0 0", false),
            ("proc /elsewhere proc rw,hidepid=2 0 0", false),
            ("proc /proc proc rw,hidepid=2 0 0\nproc /proc proc rw 0 0", false),
            ("", false),
        ] {
            assert_eq!(hides_others(line), hides, "{line}");
        }
    }
}
