//! The word to end, as a worker gets it from whoever owns it.

use tokio::sync::watch;

use crate::error::{Error, ErrorKind};
use crate::process::Escalation;

/// To end like this.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    /// With the pool: what it does not finish, nobody does.
    Close(Escalation),
    /// Alone, while the pool goes on: what it does not finish is lost as by a death, and may be made again elsewhere.
    Leave(Escalation),
}

/// What the owner tells its worker: go on, or end. Dropped: end at once.
pub(crate) type Stop = watch::Receiver<Option<Word>>;

impl Word {
    pub(super) fn how(self) -> Escalation {
        match self {
            Word::Close(how) | Word::Leave(how) => how,
        }
    }

    /// Why it is gone. `name` begins the sentence.
    pub(super) fn reason(self, name: &str) -> Error {
        match self {
            Word::Close(_) => Error::new(ErrorKind::Cancelled, format!("{name} was shut down")),
            Word::Leave(_) => {
                let message = format!("{name} was told to leave, and what it had not finished is lost");
                Error::new(ErrorKind::WorkerDied, message)
            }
        }
    }
}

/// Waits for the word. An owner that is gone means: at once.
pub(super) async fn told(stop: &mut Stop) -> Word {
    let word = stop.wait_for(Option::is_some).await.ok().and_then(|word| *word);
    word.unwrap_or(Word::Close(Escalation::AT_ONCE))
}
