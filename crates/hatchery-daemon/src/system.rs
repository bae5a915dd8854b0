//! What dead runs have left, as far as it can be learned in time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// How the instance is, with what there is to say if that is not known soon.
pub(crate) async fn status(lookout: &Lookout<SystemStatus>, options: SweepOptions) -> System {
    let look = lookout.look(move || hatchery::system_status(&options));
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(status)) => System::Known(status),
        Ok(Err(error)) => System::Unknown { unavailable: error.message().to_owned() },
        Err(_late) => System::Unknown { unavailable: format!("not known within {PATIENCE:?}: a sweep is at work") },
    }
}

/// Looks in a thread of its own, one at a time: however many ask, and however long it takes, it occupies no second thread. Who
/// had to wait is given what was found meanwhile, if that look was begun after it had asked.
pub(crate) struct Lookout<T> {
    turn: Arc<Semaphore>,
    last: Arc<Mutex<Option<Found<T>>>>,
}

struct Found<T> {
    begun: Instant,
    what: Result<T>,
}

impl<T: Clone + Send + 'static> Lookout<T> {
    pub(crate) fn new() -> Lookout<T> {
        Lookout { turn: Arc::new(Semaphore::new(1)), last: Arc::default() }
    }

    pub(crate) async fn look(&self, look: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let failed = |why: String| Error::new(ErrorKind::Internal, format!("look at the system: {why}"));
        let asked = Instant::now();
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|why| failed(why.to_string()))?;
        if let Some(found) = fresh(&self.last, asked) {
            return found;
        }
        let last = Arc::clone(&self.last);
        let look = move || {
            // Given up by whoever asked, it still has its turn until it is over.
            let _turn = turn;
            let begun = Instant::now();
            let what = look();
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Found { begun, what: what.clone() });
            what
        };
        tokio::task::spawn_blocking(look).await.map_err(|why| failed(why.to_string()))?
    }
}

fn fresh<T: Clone>(last: &Mutex<Option<Found<T>>>, asked: Instant) -> Option<Result<T>> {
    let last = last.lock().unwrap_or_else(PoisonError::into_inner);
    last.as_ref().filter(|found| found.begun >= asked).map(|found| found.what.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_to_wait_for_too_long_is_told_so() {
        let lookout = Lookout::new();
        let _another_look_that_hangs = Arc::clone(&lookout.turn).acquire_owned().await.unwrap();
        let answer = status(&lookout, SweepOptions::new("/nowhere")).await;
        let System::Unknown { unavailable } = answer else { panic!("it was not waited for") };
        assert_eq!(unavailable, "not known within 2s: a sweep is at work");
    }

    #[tokio::test]
    async fn however_many_ask_one_looks_and_nobody_is_told_what_was_so_before() {
        let (lookout, looks) = (Arc::new(Lookout::new()), Arc::new(AtomicUsize::new(0)));
        let (go_on, held) = mpsc::channel::<()>();
        let begun = Arc::clone(&looks);
        let first = lookout.look(move || {
            begun.fetch_add(1, Ordering::SeqCst);
            let _told_to_go_on = held.recv();
            Ok(1)
        });
        let others = async {
            while looks.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            let (mut others, asked) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
            for _ in 0..100 {
                let (lookout, looks, asked) = (Arc::clone(&lookout), Arc::clone(&looks), Arc::clone(&asked));
                others.spawn(async move {
                    // It waits for its turn before anybody else runs.
                    asked.fetch_add(1, Ordering::SeqCst);
                    lookout.look(move || Ok(looks.fetch_add(1, Ordering::SeqCst) + 1)).await
                });
            }
            while asked.load(Ordering::SeqCst) < 100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(looks.load(Ordering::SeqCst), 1, "nobody else looks meanwhile");
            go_on.send(()).unwrap();
            others.join_all().await
        };
        let (first, others) = tokio::join!(first, others);
        assert_eq!(first.unwrap(), 1);
        assert!(others.into_iter().all(|found| found.unwrap() == 2));
        assert_eq!(looks.load(Ordering::SeqCst), 2);
    }
}
