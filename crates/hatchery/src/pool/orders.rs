//! What a running pool can be told: how many workers, which of them to exchange, whether to take calls.

use super::seats::NotGivenUp;
use super::{MAX_WORKERS, Pool, roster};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::{PoolEvent, RecycleReason};

impl Pool {
    /// From now on it is to have so many workers: new ones are started in batches, in the lowest seats that are free; those that are
    /// too many finish what they have and leave, the last first. Does not wait.
    ///
    /// # Errors
    /// `validation` if that is not 1 to 1024; `unavailable` after the shutdown.
    pub fn scale(&self, workers: usize) -> Result<()> {
        if !(1..=MAX_WORKERS).contains(&workers) {
            let message = format!("pool {}: expected 1 to {MAX_WORKERS} workers, found {workers}", self.name());
            return Err(Error::new(ErrorKind::Validation, message));
        }
        self.must_be_open()?;
        self.crew.scale(workers);
        Ok(())
    }

    /// Takes no more calls, which fail with `unavailable` from now on, and waits until those that it has are served. Its
    /// workers stay. Dropping the future takes nothing back; [`Pool::resume`] does.
    pub async fn drain(&self) {
        self.crew.drained().await;
    }

    /// Takes calls again after a [`Pool::drain`].
    pub fn resume(&self) {
        self.shared().change(roster::Roster::resume);
        self.shared().tell(PoolEvent::Resumed { pool: self.name().to_owned() });
    }

    /// Replaces every worker, in batches: each by a new one that is ready before the old one goes, which finishes what it has. No
    /// call is lost, and the app is loaded anew. Does not wait.
    pub fn reload(&self) {
        self.crew.renew(None, RecycleReason::Reload);
    }

    /// Replaces one worker, named by its id, as [`Pool::reload`] does.
    ///
    /// # Errors
    /// `not_found`.
    pub fn recycle(&self, worker: &str) -> Result<()> {
        self.crew.renew(Some(self.seat(worker)?), RecycleReason::Manual);
        Ok(())
    }

    /// Ends one worker, named by its id, and has another take its seat, whatever failed there before. It takes no more calls; those
    /// that it has may finish within the pool's [`StopGraces`](super::StopGraces). Where [`Pool::recycle`] waits for a successor, this
    /// is for a worker that is not to go on. Does not wait.
    ///
    /// # Errors
    /// `not_found`; `unavailable` after the shutdown.
    pub fn restart(&self, worker: &str) -> Result<()> {
        self.must_be_open()?;
        self.crew.restart(self.seat(worker)?);
        Ok(())
    }

    /// Ends one worker, named by its id, as [`Pool::restart`] does, and nobody follows: the pool has one fewer. A later
    /// [`Pool::scale`] may fill its seat again. Does not wait.
    ///
    /// # Errors
    /// `not_found`; `validation` for the last one, as a pool without workers would have its calls wait for nobody;
    /// `unavailable` after the shutdown.
    pub fn retire(&self, worker: &str) -> Result<()> {
        self.must_be_open()?;
        let seat = self.seat(worker)?;
        self.crew.retire(seat).map_err(|why| match why {
            NotGivenUp::Gone => self.missing(worker),
            NotGivenUp::Last => self.needs_one(worker),
        })
    }

    fn seat(&self, worker: &str) -> Result<usize> {
        self.shared().seat_of(worker).ok_or_else(|| self.missing(worker))
    }

    fn missing(&self, worker: &str) -> Error {
        Error::new(ErrorKind::NotFound, format!("no such worker in pool {}: {worker}", self.name()))
    }

    fn needs_one(&self, worker: &str) -> Error {
        let message = format!(
            "pool {}: {worker} is its only worker, and it needs one; restart that, or drain the pool",
            self.name()
        );
        Error::new(ErrorKind::Validation, message)
    }
}
