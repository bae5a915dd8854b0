//! The mark of a run: a pair of numbers that every process of it carries as its RLIMIT_LOCKS, and cannot lose.

use std::fs;

use rustix::io::Errno;
use rustix::process::getpid;

use super::Pid;
use super::raw;
use super::sight::numbers_are_ours;
use crate::id::RunId;

pub(crate) use super::guardian::message::{ADOPTED, MAX_WORKER, Mark};

/// The bits of the soft limit that name the worker.
const WORKER_BITS: u32 = 22;
const WORKER_MASK: u64 = (1 << WORKER_BITS) - 1;
/// The bit that says "a mark": no limit that anybody sets on purpose lies between 2^62 and 2^63.
const MARK_BIT: u64 = 1 << 62;
/// The bits of the hard limit that name the run.
const HARD_MASK: u64 = MARK_BIT - 1;
const SOFT_MASK: u64 = (1 << 40) - 1;

/// What one process carries: whose it is, and which worker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worn {
    /// Of the run; its worker bits are zero.
    pub(crate) mark: Mark,
    /// 0: the keeper or a guardian.
    pub(crate) worker: u32,
}

impl Mark {
    /// The mark of a run whose supervisor carries `outer`, if it is itself a process of another run. The hard part is
    /// then the outer one: an unprivileged process cannot raise it, and lowering it would hide us from the outer run.
    pub(crate) fn of_run(run: RunId, outer: Option<Mark>) -> Mark {
        let bits = run.bits();
        let own = MARK_BIT | (bits as u64 & HARD_MASK);
        let soft = ((bits >> 62) as u64 & SOFT_MASK) << WORKER_BITS;
        Mark { hard: outer.map_or(own, |outer| outer.hard), soft }
    }

    /// Whether a record may claim this for that run: the run's own soft part, and the run's own or anybody's hard part.
    pub(crate) fn is_of(self, run: RunId) -> bool {
        self == Mark::of_run(run, Some(self)) && is_mark(self.hard)
    }

    /// What a worker of this run carries.
    #[cfg(test)]
    pub(crate) fn worn_by(self, worker: u32) -> Mark {
        Mark { soft: self.soft | (u64::from(worker) & WORKER_MASK), ..self }
    }
}

impl Worn {
    /// The mark in a pair of limits, if they are one.
    pub(crate) fn from_limits(soft: u64, hard: u64) -> Option<Worn> {
        let mark = Mark { hard, soft: soft & !WORKER_MASK };
        // A soft limit above 62 bits is somebody else's invention.
        (is_mark(hard) && soft < MARK_BIT).then_some(Worn { mark, worker: (soft & WORKER_MASK) as u32 })
    }

    /// What this process itself carries: it is then a process of another run, or was started by one.
    pub(crate) fn by_this_process() -> Option<Worn> {
        let (soft, hard) = raw::locks_limit(getpid()).ok()?;
        Worn::from_limits(soft, hard)
    }

    /// What a process carries. `Ok(None)`: no mark. The number is taken at its word: whoever acts on the answer must hold
    /// a pidfd from before the question, and look whether it still runs after it.
    pub(crate) fn by(pid: Pid) -> Result<Option<Worn>, Errno> {
        match raw::locks_limit(pid.raw()) {
            Ok((soft, hard)) => Ok(Worn::from_limits(soft, hard)),
            // Another user's, or a program that changed its user. The file is readable by everybody.
            Err(Errno::PERM) => by_limits_file(pid),
            Err(error) => Err(error),
        }
    }
}

fn is_mark(hard: u64) -> bool {
    hard & !HARD_MASK == MARK_BIT
}

/// The number is ours, so the file must be: in a `/proc` of another PID namespace it is a stranger's.
pub(super) fn by_limits_file(pid: Pid) -> Result<Option<Worn>, Errno> {
    if !numbers_are_ours() {
        return Err(Errno::PERM);
    }
    let text = fs::read_to_string(format!("/proc/{pid}/limits"))
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(limits_in(&text).and_then(|(soft, hard)| Worn::from_limits(soft, hard)))
}

/// From the line `Max file locks   SOFT   HARD   locks`.
fn limits_in(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
    let mut words =
        line.split_ascii_whitespace().map(|word| if word == "unlimited" { "18446744073709551615" } else { word });
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_kernel_takes_every_mark(bits: u128, worker in 0..=MAX_WORKER) {
            let worn = Mark::of_run(RunId::from_bits(bits), None).worn_by(worker);
            prop_assert!(worn.soft < worn.hard);
            prop_assert!(worn.hard < u64::MAX >> 1, "never \"unlimited\"");
        }

        #[test]
        fn a_mark_tells_its_run_and_its_worker(bits: u128, other: u128, outer: u128, worker in 0..=MAX_WORKER) {
            let (run, other) = (RunId::from_bits(bits), RunId::from_bits(other));
            let outer = Mark::of_run(RunId::from_bits(outer), None);
            for mark in [Mark::of_run(run, None), Mark::of_run(run, Some(outer))] {
                let limits = mark.worn_by(worker);
                prop_assert_eq!(Worn::from_limits(limits.soft, limits.hard), Some(Worn { mark, worker }));
                prop_assert!(mark.is_of(run));
                let same_bits = (bits ^ other.bits()) << 26 >> 88 == 0;
                prop_assert_eq!(mark.is_of(other), same_bits);
            }
        }

        #[test]
        fn limits_that_are_no_mark_are_none(soft: u64, hard in 0..MARK_BIT) {
            prop_assert_eq!(Worn::from_limits(soft, hard), None);
            prop_assert_eq!(Worn::from_limits(soft, hard | 1 << 63), None);
        }
    }

    #[test]
    fn two_runs_differ_in_either_half() {
        let one = Mark::of_run(RunId::from_bits(1), None);
        assert_ne!(one.hard, Mark::of_run(RunId::from_bits(0), None).hard);
        assert_ne!(one.soft, Mark::of_run(RunId::from_bits(1 | 1 << 62), None).soft);
        assert_ne!(one.soft, Mark::of_run(RunId::from_bits(1 | 1 << 101), None).soft);
    }

    #[test]
    fn the_limits_file_says_what_the_call_says() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax file locks            4194305              4611686018427387905  locks     \n";
        assert_eq!(limits_in(text), Some((4_194_305, MARK_BIT + 1)));
        assert_eq!(limits_in("Max file locks   unlimited   unlimited   locks\n"), Some((u64::MAX, u64::MAX)));
        for garbage in ["", "Max file locks", "Max file locks  x y locks", "Max open files 1 2 files"] {
            assert_eq!(limits_in(garbage), None, "{garbage}");
        }
        let own = fs::read_to_string("/proc/self/limits").unwrap();
        assert_eq!(limits_in(&own), Some(raw::locks_limit(getpid()).unwrap()));
    }
}
