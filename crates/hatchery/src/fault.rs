//! What to do when things go wrong, as plain parts: each is a small state machine that is told the time, reads no clock and
//! starts nothing, so that it can be used, and tested, without a pool.
//!
//! | part | question |
//! |---|---|
//! | [`Crash`] | how did the worker die? |
//! | [`CrashBarrier`], [`Taints`] | who must not be given calls for a while, and may the call be made again? |
//! | [`RetryPolicy`], [`Retries`] | is there another try, and when? |
//! | [`BreakerPolicy`], [`Breaker`], [`Breakers`] | should this be tried at all just now? |
//! | [`HealthPolicy`], [`HealthMonitor`] | do too many workers die? |
//! | [`Diagnosis`] | what does the message of a numeric library mean? |
//! | [`executor`] | the same around any future: the only part that reads the clock and waits |
//!
//! Every setting has its default in its `Default`. All state is bounded, whatever happens. Nothing here tells anybody: what
//! happened is the result of the method, and whoever called makes an event of it.

mod device;
mod gpu;
mod crash;
mod barrier;
mod taint;
mod retry;
mod budget;
mod breaker;
mod health;
mod ml;
pub mod executor;

use std::time::{Duration, Instant};

pub use barrier::{CrashBarrier, CrashRetry, Verdict};
pub use breaker::{
    Breaker, BreakerChange, BreakerChanges, BreakerPolicy, BreakerState, BreakerStats, Breakers, Permit, Permits,
};
pub use budget::RetryBudget;
pub use crash::{Crash, CrashClass};
pub use device::Device;
pub use health::{HealthMonitor, HealthPolicy, HealthStats, Standing};
pub use ml::{DeviceMismatch, Diagnosis, OutOfMemory, ShapeMismatch, extract_shape};
pub use retry::{Backoff, NextTry, NoTry, Retriable, Retries, RetryPolicy};
pub use taint::{DeviceTaint, Taints, WorkerTaint};

/// So long after `now`; a century if the clock cannot express it, which is as good as for ever.
fn later(now: Instant, wait: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(wait).unwrap_or(now + CENTURY)
}
