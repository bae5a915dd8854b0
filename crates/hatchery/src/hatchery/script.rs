//! A piece of work with pools of its own: they are started, used, and ended, whatever happens in between.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{Builder, Hatchery};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::RunEvent;

/// The bounds of [`Builder::run`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ScriptTimeouts {
    /// From the first process to the last READY. Default: 15 s.
    pub start: Duration,
    /// From the end of the work to the end of the last process, all pools together; within it each pool has its own
    /// [`StopGraces`](crate::StopGraces). Default: no bound but theirs.
    pub shutdown: Duration,
    /// How long the kernel is waited for once everything was killed, which is what happens when `shutdown` is over. Zero: not at
    /// all. Default: 5 s.
    pub cleanup: Duration,
}

impl Default for ScriptTimeouts {
    fn default() -> ScriptTimeouts {
        let [start, cleanup] = [15, 5].map(Duration::from_secs);
        ScriptTimeouts { start, shutdown: Duration::MAX, cleanup }
    }
}

impl ScriptTimeouts {
    /// With another [`start`](ScriptTimeouts::start).
    #[must_use]
    pub fn start(self, start: Duration) -> ScriptTimeouts {
        ScriptTimeouts { start, ..self }
    }

    /// With another [`shutdown`](ScriptTimeouts::shutdown).
    #[must_use]
    pub fn shutdown(self, shutdown: Duration) -> ScriptTimeouts {
        ScriptTimeouts { shutdown, ..self }
    }

    /// With another [`cleanup`](ScriptTimeouts::cleanup).
    #[must_use]
    pub fn cleanup(self, cleanup: Duration) -> ScriptTimeouts {
        ScriptTimeouts { cleanup, ..self }
    }
}

impl Builder {
    /// Starts everything, runs `work`, and ends everything: when it returns, whether a value or an error; when it panics (the
    /// panic goes on afterwards); when `stop` resolves, which drops it. Give `tokio::signal::ctrl_c` as `stop`,
    /// [`stdout_closed`](crate::stdout_closed), both in a `select!`, or `std::future::pending()`: a library does not touch the
    /// signals of its program by itself. The end is orderly within `timeouts.shutdown`; then everything is killed.
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
    /// Those of [`Builder::start`] and of `work`; `deadline` if the start takes too long; `cancelled` if `stop` was first;
    /// `internal`, naming them, if processes are left that the kernel holds, which is told only if there is no other error.
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
                () = &mut stop => End::Stopped,
                outcome = caught => End::Outcome(outcome),
            }
        };
        let began = Instant::now();
        hatchery.tell(RunEvent::ScriptStopping { reason: outcome.reason() });
        let ended = ended(&hatchery, &timeouts).await;
        hatchery.tell(RunEvent::ScriptEnded { is_complete: ended.is_ok(), took: began.elapsed() });
        match outcome {
            End::Outcome(Ok(Ok(value))) => ended.map(|()| value).map_err(E::from),
            End::Outcome(Ok(Err(error))) => Err(error),
            End::Outcome(Err(panic)) => resume_unwind(panic),
            End::Stopped => Err(stopped().into()),
        }
    }
}

/// How the work of a script came to its end.
enum End<T, E> {
    /// It returned, or panicked.
    Outcome(std::thread::Result<Result<T, E>>),
    Stopped,
}

impl<T, E> End<T, E> {
    fn reason(&self) -> &'static str {
        match self {
            End::Outcome(Ok(Ok(_))) => "done",
            End::Outcome(Ok(Err(_))) => "failed",
            End::Outcome(Err(_)) => "panicked",
            End::Stopped => "stopped",
        }
    }
}

/// In order, as long as that may take; then at once.
async fn ended(hatchery: &Hatchery, timeouts: &ScriptTimeouts) -> Result<()> {
    let in_order = tokio::time::timeout(timeouts.shutdown, hatchery.shutdown_within(timeouts.shutdown));
    if matches!(in_order.await, Ok(Ok(()))) {
        return Ok(());
    }
    hatchery.tell(RunEvent::ScriptCleanup);
    let survivors = hatchery.cleanup(timeouts.cleanup).await.survivors;
    if survivors.is_empty() {
        return Ok(());
    }
    let names = survivors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let message = format!("end the script's workers: still there {:?} after SIGKILL: {names}", timeouts.cleanup);
    Err(Error::new(ErrorKind::Internal, message))
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "the work was stopped before its end")
}

fn late(allowed: Duration) -> Error {
    Error::new(ErrorKind::Deadline, format!("the workers were not ready within {allowed:?}"))
}
