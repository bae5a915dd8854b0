//! What a child tells its parent before it becomes what it is to be, through a pipe that closes at that moment.

use crate::message::Step;
use crate::sys::sockets::{READABLE, Watch, now, wait};
use crate::sys::{Errno, Fd, Result, files};

/// What failed, and the kernel's reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) errno: Errno,
}

/// Names the step at which something failed.
pub(crate) fn at<T>(step: Step, result: Result<T>) -> core::result::Result<T, Failure> {
    result.map_err(|errno| Failure { step, errno })
}

/// The child's part.
pub(crate) struct Teller(Fd);

/// The parent's part.
pub(crate) struct Listener(Fd);

pub(crate) enum Outcome {
    /// It said that it was ready, and the pipe closed.
    Ready,
    Failed(Failure),
    /// It ended without a word.
    Silent,
    /// Neither in all this time, or while anybody cared.
    Late,
}

/// No step has this number.
const READY: u32 = 0;

/// One word of the child: a step and an errno, four bytes each.
const WORD: usize = 8;

pub(crate) fn pipe() -> Result<(Listener, Teller)> {
    let (reader, writer) = files::pipe()?;
    Ok((Listener(reader), Teller(writer)))
}

impl Teller {
    /// All went well so far; what follows is one call that either closes the pipe or fails.
    pub(crate) fn ready(&self) {
        self.tell(READY, 0);
    }

    pub(crate) fn failed(&self, failure: Failure) {
        self.tell(failure.step as u32, failure.errno.0);
    }

    fn tell(&self, step: u32, errno: i32) {
        let mut word = [0; WORD];
        word[..4].copy_from_slice(&step.to_ne_bytes());
        word[4..].copy_from_slice(&errno.to_ne_bytes());
        let _nobody_listens = files::write(&self.0, &word);
    }
}

impl Listener {
    /// Waits until the pipe closes, or one of the masters is gone.
    pub(crate) fn listen(self, milliseconds: u64, masters: [Watch; 2]) -> Outcome {
        let deadline = now() + milliseconds;
        let mut words = [0; 2 * WORD];
        let mut length = 0;
        while length < words.len() {
            let left = deadline.saturating_sub(now());
            let mut watch = [Watch::new(&self.0, READABLE), masters[0], masters[1]];
            let waited = wait(&mut watch, Some(left));
            let [said, host, keeper] = watch.each_ref().map(Watch::came);
            if waited.is_err() || (!said && (left == 0 || host || keeper)) {
                return Outcome::Late;
            }
            if said {
                match files::read(&self.0, &mut words[length..]).map(<[u8]>::len) {
                    Ok(0) | Err(_) => break,
                    Ok(more) => length += more,
                }
            }
        }
        outcome(&words[..length])
    }
}

fn outcome(words: &[u8]) -> Outcome {
    let Some((step, errno)) = words.rchunks_exact(WORD).next().and_then(split) else { return Outcome::Silent };
    match Step::from_number(step) {
        None => Outcome::Ready,
        Some(step) => Outcome::Failed(Failure { step, errno: Errno(errno) }),
    }
}

fn split(word: &[u8]) -> Option<(u32, i32)> {
    let (step, errno) = word.split_first_chunk()?;
    Some((u32::from_ne_bytes(*step), i32::from_ne_bytes(errno.try_into().ok()?)))
}
