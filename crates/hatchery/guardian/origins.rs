//! What the host was when it started us: changed for us, and given back to the workers.

use core::ffi::CStr;

use crate::sys::files::{self, Open};
use crate::sys::processes::{self, Limit, RLIMIT_CORE, RLIMIT_NOFILE};
use crate::sys::{Errno, Result};

const SCORE: &CStr = c"/proc/self/oom_score_adj";

#[derive(Clone, Copy)]
pub(crate) struct Origins {
    open_files: Limit,
    core: Limit,
    score: Score,
}

/// The text of `oom_score_adj`.
#[derive(Clone, Copy)]
struct Score {
    text: [u8; 8],
    length: usize,
}

impl Origins {
    /// As many descriptors as there may be, and no core.
    pub(crate) fn change() -> Result<Origins> {
        let open_files = processes::limit(0, RLIMIT_NOFILE)?;
        let core = processes::limit(0, RLIMIT_CORE)?;
        processes::set_limit(0, RLIMIT_NOFILE, Limit { soft: open_files.hard, ..open_files })?;
        processes::set_limit(0, RLIMIT_CORE, Limit { soft: 0, ..core })?;
        Ok(Origins { open_files, core, score: Score { text: [0; 8], length: 0 } })
    }

    /// The out-of-memory killer shall take us last; if that is not allowed, no sooner than others.
    pub(crate) fn protect_from_out_of_memory(&mut self) -> Result<()> {
        let score = read_score()?;
        let protected = write_score(b"-1000").map(|()| score);
        let changed = protected
            .or_else(|_| if score.is_worse_than_none() { write_score(b"0").map(|()| score) } else { protected });
        if changed.is_ok() {
            self.score = score;
        }
        protected.map(drop)
    }

    /// In a child, while it may still write to its own files in `/proc`.
    pub(crate) fn restore(&self) -> Result<()> {
        processes::set_limit(0, RLIMIT_NOFILE, self.open_files)?;
        processes::set_limit(0, RLIMIT_CORE, self.core)?;
        match self.score.length {
            0 => Ok(()),
            length => write_score(&self.score.text[..length]),
        }
    }
}

impl Score {
    fn is_worse_than_none(self) -> bool {
        !matches!(self.text[0], b'-' | b'0')
    }
}

fn read_score() -> Result<Score> {
    let mut text = [0; 8];
    let length = files::read(&files::open(SCORE, Open::Read)?, &mut text)?.len();
    if length == 0 { Err(Errno::NOENT) } else { Ok(Score { text, length }) }
}

fn write_score(text: &[u8]) -> Result<()> {
    files::write(&files::open(SCORE, Open::Write)?, text)
}
