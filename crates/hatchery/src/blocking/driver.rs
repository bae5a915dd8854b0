//! One runtime for threads that wait. A thread that waits for something drives it meanwhile, so that it is woken by its answer itself
//! and not by another thread that was. While nobody waits, a thread of our own drives, the *keeper*: heartbeats, restarts and
//! logs go on. It leaves when somebody comes, which costs that one a change of threads, and comes back when no call was made for a
//! moment.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

use crate::error::{Error, ErrorKind, Result};

/// No call for so long, and the keeper is back. Meanwhile nobody drives.
const QUIET: Duration = Duration::from_millis(5);
/// How seldom it looks whether a call that takes long has ended.
const SELDOM: Duration = Duration::from_millis(100);

/// See the head of this file. The keeper ends when this is dropped, and the runtime with it: in a thread where it may.
pub(super) struct Driver(Arc<Shared>);

struct Shared {
    runtime: Runtime,
    /// Waits that have begun so far.
    begun: AtomicU64,
    /// And those that have ended.
    ended: AtomicU64,
    is_kept: AtomicBool,
    /// For the keeper: leave.
    leave: Notify,
}

impl Driver {
    pub(super) fn start() -> Result<Driver> {
        outside()?;
        let runtime = Builder::new_current_thread().enable_all().thread_name("hatchery-blocking").build();
        let shared = Arc::new(Shared {
            runtime: runtime.map_err(|error| failed(&error))?,
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            is_kept: AtomicBool::new(false),
            leave: Notify::new(),
        });
        let kept = Arc::clone(&shared);
        let keeper = std::thread::Builder::new().name("hatchery-runtime".to_owned()).spawn(move || kept.keep());
        keeper.map_err(|error| failed(&error))?;
        Ok(Driver(shared))
    }

    /// Waits in this thread until it is done.
    ///
    /// # Errors
    /// `validation` where an async runtime is.
    pub(super) fn run<F: Future>(&self, wait: F) -> Result<F::Output> {
        outside()?;
        let _until_here = Waiting::begin(&self.0);
        Ok(self.0.runtime.block_on(wait))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.leave.notify_one();
    }
}

impl Shared {
    /// The keeper's life.
    fn keep(self: Arc<Shared>) {
        while !self.is_over() {
            self.is_kept.store(true, Ordering::SeqCst);
            self.runtime.block_on(self.leave.notified());
            self.is_kept.store(false, Ordering::SeqCst);
            self.doze();
        }
    }

    /// Nobody else holds it any more.
    fn is_over(self: &Arc<Shared>) -> bool {
        Arc::strong_count(self) == 1
    }

    /// Until no call was made for a moment, and none waits.
    fn doze(self: &Arc<Shared>) {
        let mut seen = None;
        let mut pause = QUIET;
        while !self.is_over() {
            let begun = self.begun.load(Ordering::SeqCst);
            let is_still = seen.replace(begun) == Some(begun);
            if is_still && self.ended.load(Ordering::SeqCst) == begun {
                return;
            }
            pause = if is_still { SELDOM.min(pause * 2) } else { QUIET };
            std::thread::sleep(pause);
        }
    }
}

/// A thread that waits.
struct Waiting<'s>(&'s Shared);

impl Waiting<'_> {
    fn begin(shared: &Shared) -> Waiting<'_> {
        shared.begun.fetch_add(1, Ordering::SeqCst);
        // A keeper that comes this very moment is seen by the next call.
        if shared.is_kept.load(Ordering::SeqCst) {
            shared.leave.notify_one();
        }
        Waiting(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// Tokio would panic.
fn outside() -> Result<()> {
    match Handle::try_current() {
        Err(_none) => Ok(()),
        Ok(_) => {
            let message = "the blocking client was used where an async runtime is, which it would hold up: use \
                           hatchery::Hatchery there, or a thread that std::thread::spawn has started";
            Err(Error::new(ErrorKind::Validation, message).with_retryable(false))
        }
    }
}

fn failed(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("start the runtime of the blocking client: {error}"))
}
