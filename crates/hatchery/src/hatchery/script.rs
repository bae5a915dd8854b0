//! A piece of work with pools of its own: they are started, used, and ended, whatever happens in between.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::{Builder, Hatchery};
use crate::error::{Error, ErrorKind, Result};

/// The bounds of [`Builder::run`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ScriptTimeouts {
    /// From the first process to the last READY. Default: 15 s.
    pub start: Duration,
    /// The longest that any grace of a pool may be once the work is over, see
    /// [`shutdown_within`](Hatchery::shutdown_within). Default: none, each pool has its own.
    pub shutdown: Duration,
}

impl Default for ScriptTimeouts {
    fn default() -> ScriptTimeouts {
        ScriptTimeouts { start: Duration::from_secs(15), shutdown: Duration::MAX }
    }
}

impl Builder {
    /// Starts everything, runs `work`, and ends everything: when it returns, whether a value or an error; when it panics (the
    /// panic goes on afterwards); when `stop` resolves, which drops it. Give `tokio::signal::ctrl_c` as `stop`, a closed
    /// stdout, or `std::future::pending()`: a library does not touch the signals of its program by itself.
    ///
    /// A signal that ends this program outright, `kill -9` included, ends every process too: that is the guardian's doing.
    /// There is no mode that ends the program itself: `main` returns, and says with what.
    ///
    /// ```no_run
    /// # async fn example() -> hatchery::Result<()> {
    /// use hatchery::{Hatchery, PythonApp, ScriptTimeouts};
    ///
    /// let builder = Hatchery::builder().pool("default", PythonApp::file("app.py")).workers(4);
    /// let stop = std::future::pending();
    /// let total: u64 = builder
    ///     .run(ScriptTimeouts::default(), stop, async |hatchery: &Hatchery| {
    ///         hatchery.pool("default")?.call("add", serde_json::json!({ "a": 1, "b": 2 })).await
    ///     })
    ///     .await?;
    /// # let _ = total; Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Builder::start`] and of `work`; `deadline` if the start takes too long; `cancelled` if `stop` was first. An
    /// error of the end itself is told only if there is no other.
    pub async fn run<T, E: From<Error>>(
        self,
        timeouts: ScriptTimeouts,
        stop: impl Future<Output = ()>,
        work: impl AsyncFnOnce(&Hatchery) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut stop = pin!(stop);
        let hatchery = tokio::select! {
            biased;
            () = &mut stop => return Err(stopped().into()),
            started = tokio::time::timeout(timeouts.start, self.start()) => started.map_err(|_| late(timeouts.start))??,
        };
        let outcome = {
            let mut work = pin!(work(&hatchery));
            let caught = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
                Ok(poll) => poll.map(Ok),
                Err(panic) => Poll::Ready(Err(panic)),
            });
            tokio::select! {
                biased;
                () = &mut stop => Ok(Err(stopped().into())),
                outcome = caught => outcome,
            }
        };
        let ended = hatchery.shutdown_within(timeouts.shutdown).await;
        match outcome {
            Ok(Ok(value)) => ended.map(|()| value).map_err(E::from),
            Ok(Err(error)) => Err(error),
            Err(panic) => resume_unwind(panic),
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "the work was stopped before its end")
}

fn late(allowed: Duration) -> Error {
    Error::new(ErrorKind::Deadline, format!("the workers were not ready within {allowed:?}"))
}
