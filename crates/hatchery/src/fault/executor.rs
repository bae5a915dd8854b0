//! The rules of this room around any async closure: these read the clock, wait, and decide nothing themselves.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use hatchery::fault::{Breaker, BreakerPolicy, Retries, RetryPolicy, executor};
//! use hatchery::{Error, ErrorKind};
//!
//! let retries = Retries::new(RetryPolicy::default());
//! let breaker = Breaker::new("service", BreakerPolicy::default());
//! let answer = executor::protected(&retries, &breaker, None, |attempt| async move {
//!     if attempt == 1 { Err(Error::new(ErrorKind::Unavailable, "not yet")) } else { Ok(42) }
//! });
//! assert_eq!(answer.await.unwrap(), 42);
//! # });
//! ```
//!
//! In all of them a panic of the closure or of its future is an error of kind `internal`, and dropping what they return drops
//! what runs. They need a Tokio runtime with time.

mod batch;

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::{Breaker, NextTry, Retries};
use crate::error::{Error, ErrorKind, Result};
use crate::id::random_u64;

pub use batch::{Batch, batch};

/// Runs it.
///
/// # Errors
/// Its own; `internal` if it panics.
pub async fn execute<T, W, F>(work: W) -> Result<T>
where
    W: FnOnce() -> F,
    F: Future<Output = Result<T>>,
{
    let future = catch_unwind(AssertUnwindSafe(work)).map_err(panicked)?;
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        // What panicked is not polled again: the error ends the waiting.
        polled.unwrap_or_else(|panic| Poll::Ready(Err(panicked(panic))))
    })
    .await
}

/// Runs it for so long at most, and then drops it.
///
/// # Errors
/// As [`execute`]; `deadline`.
pub async fn with_timeout<T, W, F>(timeout: Duration, work: W) -> Result<T>
where
    W: FnOnce() -> F,
    F: Future<Output = Result<T>>,
{
    let late = |_| Err(Error::new(ErrorKind::Deadline, format!("it was not done within {timeout:?}")));
    tokio::time::timeout(timeout, execute(work)).await.unwrap_or_else(late)
}

/// Runs it, and after an error that [`Retries`] grants another try again. It is told the number of the try, from 1. No try
/// begins after the deadline; one that runs is not ended by it.
///
/// # Errors
/// That of the last try.
pub async fn with_retry<T, W, F>(retries: &Retries, deadline: Option<Instant>, mut work: W) -> Result<T>
where
    W: FnMut(u32) -> F,
    F: Future<Output = Result<T>>,
{
    retries.called(now());
    let mut attempt = 1;
    loop {
        let result = execute(|| work(attempt)).await;
        match rest(retries, attempt, &result, deadline) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return result,
        }
        attempt += 1;
    }
}

/// Runs it if the breaker lets it pass, and tells the breaker how it ended. Dropped, it counts for nothing.
///
/// # Errors
/// As [`execute`], and as [`Breaker::admit`].
pub async fn with_breaker<T, W, F>(breaker: &Breaker, work: W) -> Result<T>
where
    W: FnOnce() -> F,
    F: Future<Output = Result<T>>,
{
    let permit = breaker.admit(now())?;
    let result = execute(work).await;
    permit.settle(&result, now());
    result
}

/// [`with_retry`] and [`with_breaker`]: each try asks the breaker. While it is open, that is an error as any other, with a pause
/// until it is tried again.
///
/// # Errors
/// That of the last try.
pub async fn protected<T, W, F>(
    retries: &Retries,
    breaker: &Breaker,
    deadline: Option<Instant>,
    mut work: W,
) -> Result<T>
where
    W: FnMut(u32) -> F,
    F: Future<Output = Result<T>>,
{
    retries.called(now());
    let mut attempt = 1;
    loop {
        let result = with_breaker(breaker, || work(attempt)).await;
        match rest(retries, attempt, &result, deadline) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return result,
        }
        attempt += 1;
    }
}

/// Runs it in a task of its own, at once.
///
/// # Panics
/// Outside of a Tokio runtime.
pub fn spawn<T, W, F>(work: W) -> Task<T>
where
    T: Send + 'static,
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    Task(tokio::spawn(execute(work)))
}

/// Something that runs by itself. Awaited, it gives the result: that of the work, or `cancelled` if the runtime ended first. Dropped,
/// it ends the work at its next await.
#[must_use = "dropped, it ends the work"]
pub struct Task<T>(JoinHandle<Result<T>>);

impl<T> Task<T> {
    /// Whether it is done, so that to await it takes no time.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let ended = |_| Err(Error::new(ErrorKind::Cancelled, "the runtime ended before the task"));
        Pin::new(&mut self.0).poll(context).map(|result| result.unwrap_or_else(ended))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("is_finished", &self.is_finished()).finish()
    }
}

/// The pause before the next try, if there is one.
fn rest<T>(retries: &Retries, attempt: u32, result: &Result<T>, deadline: Option<Instant>) -> Option<Duration> {
    let error = result.as_ref().err()?;
    match retries.next(attempt, error, now(), deadline, chance()) {
        NextTry::After(pause) => Some(pause),
        NextTry::None(_) => None,
    }
}

/// That of the runtime, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// From 0 to 1, evenly.
fn chance() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "these are the 53 bits that a float holds")]
    let chance = (random_u64() >> 11) as f64 / (1u64 << 53) as f64;
    chance
}

#[expect(clippy::needless_pass_by_value, reason = "it is an error's end")]
fn panicked(panic: Box<dyn Any + Send>) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    Error::new(ErrorKind::Internal, format!("it panicked: {text}"))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::{pending, ready};
    use std::sync::Arc;

    use super::*;
    use crate::fault::{BreakerPolicy, BreakerState, RetryPolicy};

    fn unavailable() -> Error {
        Error::new(ErrorKind::Unavailable, "not now")
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let error = execute(|| async { if true { panic!("at once {}", 1) } else { Ok(()) } }).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "it panicked: at once 1"));
        let error = execute(|| -> std::future::Ready<Result<()>> { panic!("before") }).await.unwrap_err();
        assert_eq!(error.message(), "it panicked: before");
        let late = execute(|| async {
            tokio::task::yield_now().await;
            if true { panic!("later") } else { Ok(()) }
        });
        assert_eq!(late.await.unwrap_err().message(), "it panicked: later");
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_dropped() {
        let held = Arc::new(());
        let error = with_timeout(secs(5), || {
            let held = Arc::clone(&held);
            async move {
                let _held = held;
                pending::<Result<()>>().await
            }
        });
        assert_eq!(error.await.unwrap_err().message(), "it was not done within 5s");
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(with_timeout(secs(5), || ready(Ok(7))).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn tries_follow_the_policy() {
        let (retries, start) = (Retries::new(RetryPolicy::default()), now());
        let tries = RefCell::new(Vec::new());
        let result = with_retry(&retries, None, |attempt| {
            tries.borrow_mut().push((attempt, (now() - start).as_millis()));
            ready(Err::<(), _>(unavailable()))
        });
        assert_eq!(result.await.unwrap_err().kind(), ErrorKind::Unavailable);
        let waited: Vec<_> = tries.borrow().iter().map(|(attempt, at)| (*attempt, at / 100)).collect();
        assert_eq!(waited, [(1, 0), (2, 1), (3, 3)]);

        let third =
            with_retry(&retries, None, |attempt| ready(if attempt < 3 { Err(unavailable()) } else { Ok(attempt) }));
        assert_eq!(third.await.unwrap(), 3);
        let deadline = Some(now() + Duration::from_millis(150));
        let count = Cell::new(0);
        let result = with_retry(&retries, deadline, |attempt| {
            count.set(attempt);
            ready(Err::<(), _>(unavailable()))
        });
        assert!(result.await.is_err());
        assert_eq!(count.get(), 2, "the third would have begun after the deadline");
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_is_waited_for_by_those_who_may() {
        let (retries, start) = (Retries::new(RetryPolicy::default()), now());
        let breaker = Breaker::new("service", BreakerPolicy { failures: 1, ..BreakerPolicy::default() });
        let calls = Cell::new(0);
        let answer = protected(&retries, &breaker, None, |attempt| {
            calls.set(calls.get() + 1);
            ready(if attempt == 1 { Err(unavailable()) } else { Ok(attempt) })
        });
        assert_eq!(answer.await.unwrap(), 3, "the second was turned away");
        assert_eq!(calls.get(), 2);
        assert!(now() - start >= secs(30));
        assert_eq!(breaker.state(now()), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_half_way_leaves_the_breaker_as_it_was() {
        let breaker = Breaker::new("service", BreakerPolicy { failures: 1, ..BreakerPolicy::default() });
        assert!(with_breaker(&breaker, || ready(Err::<(), _>(unavailable()))).await.is_err());
        tokio::time::advance(secs(30)).await;
        let gave_up = tokio::time::timeout(secs(1), with_breaker(&breaker, pending::<Result<()>>)).await;
        assert!(gave_up.is_err());
        assert_eq!(breaker.stats(now()).half_open_calls, 0);
        assert!(with_breaker(&breaker, || ready(Ok(()))).await.is_ok());
    }

    #[tokio::test]
    async fn a_task_runs_by_itself_and_ends_when_it_is_dropped() {
        assert_eq!(spawn(|| ready(Ok(1))).await.unwrap(), 1);
        assert_eq!(
            spawn(|| async { if true { panic!("p") } else { Ok(()) } }).await.unwrap_err().kind(),
            ErrorKind::Internal
        );
        let held = Arc::new(());
        let weak = Arc::downgrade(&held);
        let task = spawn(move || async move {
            let _held = held;
            pending::<Result<()>>().await
        });
        assert!(!task.is_finished());
        drop(task);
        while weak.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn chance_is_between_zero_and_one() {
        assert!((0..1000).map(|_| chance()).all(|chance| (0.0..1.0).contains(&chance)));
    }

    #[test]
    fn all_can_be_awaited_on_a_runtime_of_many_threads() {
        fn is_send(_: impl Send) {}
        let retries = Retries::new(RetryPolicy::default());
        let breaker = Breaker::new("b", BreakerPolicy::default());
        is_send(protected(&retries, &breaker, None, |_| async { Ok(()) }));
        is_send(with_retry(&retries, None, |_| async { Ok(()) }));
        is_send(batch([1], Batch::default(), |_| async { Ok(()) }));
    }
}
