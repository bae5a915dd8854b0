//! Another filter for a while: in this thread, until a guard is dropped; or in one task, wherever it runs.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{PoisonError, RwLock};
use std::task::{Context, Poll};

use super::filter::LogFilter;

thread_local! {
    /// The scopes that this thread is in, the innermost last.
    static SCOPES: RefCell<Vec<(u64, LogFilter)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Whatever a scope has wanted so far, of all threads. Places in the program that can have nothing to say are not asked again and
/// again, so that they must be told when that changes; it only grows, as scopes come and go much too often to tell each time.
static EVER_WANTED: RwLock<LogFilter> = RwLock::new(LogFilter::NONE);

/// While it lives, its filter holds for what this thread has to say, instead of that of [`Logs`](super::Logs) and of scopes around it.
/// It ends when it is dropped, by a panic too, whichever scope was entered first.
///
/// It stays in its thread, so that a future that holds it over an `await` cannot be spawned: what other tasks say in between is not
/// its affair. For a task there is [`LogFilter::within`].
#[must_use = "the scope ends when this is dropped"]
#[derive(Debug)]
pub struct LogScope {
    number: u64,
    _stays_in_its_thread: PhantomData<*const ()>,
}

/// A future of which all that it says while it is polled passes another filter ([`LogFilter::within`]).
#[derive(Debug)]
pub struct Scoped<F> {
    filter: LogFilter,
    future: Pin<Box<F>>,
}

impl LogFilter {
    /// From now on this filter holds, in this thread, until the guard is dropped. What tasks and threads of the library say
    /// meanwhile passes the usual one.
    ///
    /// ```
    /// # use hatchery::logs::LogFilter;
    /// let _quiet_until_the_end_of_the_block = LogFilter::NONE.scope();
    /// ```
    pub fn scope(self) -> LogScope {
        announce(self);
        self.enter()
    }

    fn enter(self) -> LogScope {
        let number = NEXT.replace(NEXT.get().wrapping_add(1));
        SCOPES.with_borrow_mut(|scopes| scopes.push((number, self)));
        LogScope { number, _stays_in_its_thread: PhantomData }
    }

    /// This filter holds for what the future says, on whatever thread it runs, and for nothing else.
    ///
    /// ```
    /// # use hatchery::logs::LogFilter;
    /// # async fn example(pool: hatchery::Pool) -> hatchery::Result<()> {
    /// let all: LogFilter = "debug".parse()?;
    /// let answer: u32 = all.within(pool.call("answer", serde_json::json!({}))).await?;
    /// # Ok(()) }
    /// ```
    pub fn within<F: Future>(self, future: F) -> Scoped<F> {
        announce(self);
        Scoped { filter: self, future: Box::pin(future) }
    }
}

impl Drop for LogScope {
    fn drop(&mut self) {
        // A thread that ends has no scopes any more.
        let _ended = SCOPES.try_with(|scopes| scopes.borrow_mut().retain(|(number, _)| *number != self.number));
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _until_it_waits = self.filter.enter();
        self.future.as_mut().poll(context)
    }
}

/// What holds in the innermost scope, if this thread is in one.
pub(super) fn current() -> Option<LogFilter> {
    SCOPES.try_with(|scopes| scopes.borrow().last().map(|(_, filter)| *filter)).ok().flatten()
}

pub(super) fn ever_wanted() -> LogFilter {
    *EVER_WANTED.read().unwrap_or_else(PoisonError::into_inner)
}

/// Scopes are to come that show this.
fn announce(filter: LogFilter) {
    let known = ever_wanted();
    if known.or(filter) == known {
        return;
    }
    {
        let mut wanted = EVER_WANTED.write().unwrap_or_else(PoisonError::into_inner);
        *wanted = wanted.or(filter);
    }
    // Each place asks again, and what it asks looks here.
    tracing::callsite::rebuild_interest_cache();
}
