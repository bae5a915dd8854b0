//! What dead runs have left, as far as it can be learned in time.

use std::sync::Arc;
use std::time::Duration;

use hatchery::{Error, ErrorKind, Result, SweepOptions, SweepReport, SystemStatus};
use serde::Serialize;
use tokio::sync::Semaphore;

/// A look takes milliseconds, unless a sweep is in the way that waits for a process to die.
const PATIENCE: Duration = Duration::from_secs(2);

/// `system` of `GET /v1/status`.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum System {
    Known(SystemStatus),
    Unknown {
        /// Why nothing is known.
        unavailable: String,
    },
}

/// A sweep, in a thread of its own. It goes on if nobody waits for it any more: every step of it can be the last.
pub(crate) async fn swept(options: SweepOptions) -> Result<SweepReport> {
    let failed = |why: tokio::task::JoinError| Error::new(ErrorKind::Internal, format!("look for orphans: {why}"));
    tokio::task::spawn_blocking(move || hatchery::orphans(&options)).await.map_err(failed)?
}

/// Looks in a thread of its own, one at a time: however many ask, and however long it takes, it occupies no second thread.
pub(crate) struct Lookout(Arc<Semaphore>);

impl Lookout {
    pub(crate) fn new() -> Lookout {
        Lookout(Arc::new(Semaphore::new(1)))
    }

    pub(crate) async fn look(&self, options: SweepOptions) -> System {
        match tokio::time::timeout(PATIENCE, self.status(options)).await {
            Ok(Ok(status)) => System::Known(status),
            Ok(Err(error)) => System::Unknown { unavailable: error.message().to_owned() },
            Err(_late) => System::Unknown { unavailable: format!("not known within {PATIENCE:?}: a sweep is at work") },
        }
    }

    async fn status(&self, options: SweepOptions) -> Result<SystemStatus> {
        let failed = |why: String| Error::new(ErrorKind::Internal, format!("look at the system: {why}"));
        let turn = Arc::clone(&self.0).acquire_owned().await.map_err(|why| failed(why.to_string()))?;
        let look = move || {
            // Given up by whoever asked, it still has its turn until it is over.
            let _turn = turn;
            hatchery::system_status(&options)
        };
        tokio::task::spawn_blocking(look).await.map_err(|why| failed(why.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_to_wait_for_too_long_is_told_so() {
        let lookout = Lookout::new();
        let _another_look_that_hangs = Arc::clone(&lookout.0).acquire_owned().await.unwrap();
        let answer = lookout.look(SweepOptions::new("/nowhere")).await;
        let System::Unknown { unavailable } = answer else { panic!("it was not waited for") };
        assert_eq!(unavailable, "not known within 2s: a sweep is at work");
    }
}
