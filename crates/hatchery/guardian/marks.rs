//! Whose a process is: the mark that it inherited, and that it cannot easily lose.

use crate::message::{ADOPTED, Mark};
use crate::pids::{numbers_are_ours, proc};
use crate::sys::files::{self, Open};
use crate::sys::processes::{self, Limit, RLIMIT_LOCKS};
use crate::sys::sockets::is_readable;
use crate::sys::{Errno, Result};
use crate::text::{leading_number, skip_blanks};

/// The lowest bits of the soft part hold a worker's number.
const NUMBER: u64 = (1 << 22) - 1;

/// The run's mark, with whatever number.
#[derive(Clone, Copy)]
pub(crate) struct Marks(Mark);

impl Marks {
    pub(crate) fn new(mark: Mark) -> Marks {
        Marks(mark)
    }

    /// Puts a number on ourselves; what we start from now on inherits it.
    pub(crate) fn put_on_self(self, number: u32) -> Result<()> {
        self.put(0, number)
    }

    /// From now on it is nobody's to end: not ours, not the keeper's, not that of a sweep of dead runs.
    pub(crate) fn release(self, pid: i32) -> Result<()> {
        self.put(pid, ADOPTED)
    }

    /// Puts a number on another process, whose it is to be.
    pub(crate) fn put(self, pid: i32, number: u32) -> Result<()> {
        let limit = Limit { soft: self.0.soft | u64::from(number), hard: self.0.hard };
        processes::set_limit(pid, RLIMIT_LOCKS, limit)
    }

    /// The number that a process bears; `None` if it is not of this run, or gone.
    pub(crate) fn number_of(self, pid: i32) -> Option<u32> {
        let limit = match processes::limit(pid, RLIMIT_LOCKS) {
            Err(Errno::PERM) => limit_in_text(pid)?,
            limit => limit.ok()?,
        };
        let ours = limit.hard == self.0.hard && limit.soft & !NUMBER == self.0.soft;
        ours.then_some((limit.soft & NUMBER) as u32)
    }

    pub(crate) fn is_released(self, pid: i32) -> bool {
        self.number_of(pid) == Some(ADOPTED)
    }

    /// Kills a process that is not our child, if it bears a number that is wanted. Whether it was still alive.
    ///
    /// The process is pinned first and looked at afterwards: if its number went to a stranger before, the mark says so;
    /// if after, the signal goes to nobody.
    pub(crate) fn kill_if(self, pid: i32, wanted: impl Fn(u32) -> bool) -> bool {
        let Ok(pidfd) = processes::open_pidfd(pid) else { return false };
        let is_ours = self.number_of(pid).is_some_and(wanted) && !is_readable(&pidfd);
        is_ours && processes::signal_pidfd(&pidfd, processes::SIGKILL).is_ok()
    }
}

/// What anybody may read, where the call is refused: of a process that changed its user. In another namespace's `/proc` it
/// would be a stranger's.
fn limit_in_text(pid: i32) -> Option<Limit> {
    if !numbers_are_ours() {
        return None;
    }
    const LABEL: &[u8] = b"Max file locks";
    let file = files::open(proc(pid).text("/limits").c_str(), Open::Read).ok()?;
    let mut buffer = [0; 4096];
    let text = files::read(&file, &mut buffer).ok()?;
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(LABEL))?;
    let (soft, rest) = leading_number(skip_blanks(line))?;
    let (hard, _) = leading_number(skip_blanks(rest))?;
    Some(Limit { soft, hard })
}
