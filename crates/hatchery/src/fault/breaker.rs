//! Whether something is worth trying just now: a circuit breaker.

mod machine;
mod many;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::error::{Error, ErrorKind};
use machine::{Machine, Meaning, Refused, Ticket};

pub use many::{BreakerChanges, Breakers, Permits};

/// The settings of a breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// So many failures in a row open it; a success in between begins the count anew. 0 is 1. Default: 5.
    pub failures: u32,
    /// From the failure that opened it to the first call that is let through to see. Default: 30 s.
    pub reset: Duration,
    /// So many calls at once are let through to see. 0 is 1. Default: 1.
    pub half_open: u32,
    /// The kinds of errors that are failures. Default: `deadline`, `unavailable`, `worker_died`, `protocol`, `internal`.
    ///
    /// An error of another kind says nothing, but for `remote`: a tool that raises is a worker that answers, a success.
    pub counts: Vec<ErrorKind>,
}

/// What a breaker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Everything passes.
    Closed,
    /// Nothing does.
    Open,
    /// Some calls do, to see how they fare.
    HalfOpen,
}

/// What a breaker has come to, for those who are to be told. That it half-opened says [`Permit::half_opened`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerChange {
    /// It opened, after so many failures in a row.
    Opened {
        /// Failures in a row.
        failures: u32,
    },
    /// It closed.
    Closed,
}

/// The numbers of a breaker.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct BreakerStats {
    /// What it does now.
    pub state: BreakerState,
    /// Failures in a row.
    pub failure_count: u32,
    /// Successes since it was made or reset.
    pub success_count: u64,
    /// Calls that it turned away since it was made or reset.
    pub rejected_count: u64,
    /// How many failures in a row open it.
    pub failure_threshold: u32,
    /// Calls that are under way to see how they fare.
    pub half_open_calls: u32,
}

impl Default for BreakerPolicy {
    fn default() -> BreakerPolicy {
        use ErrorKind::{Deadline, Internal, Protocol, Unavailable, WorkerDied};
        BreakerPolicy {
            failures: 5,
            reset: Duration::from_secs(30),
            half_open: 1,
            counts: vec![Deadline, Unavailable, WorkerDied, Protocol, Internal],
        }
    }
}

impl BreakerPolicy {
    fn meaning<T>(&self, result: &Result<T, Error>) -> Meaning {
        match result.as_ref().map_err(Error::kind) {
            Ok(_) => Meaning::Success,
            Err(kind) if self.counts.contains(&kind) => Meaning::Failure,
            Err(ErrorKind::Remote) => Meaning::Success,
            Err(_) => Meaning::Nothing,
        }
    }
}

impl BreakerState {
    /// The text form, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Closed, it lets everything pass and counts failures in a row; open, it lets nothing pass; after a while it is half open, and
/// what becomes of the few calls that it then lets pass decides. Cheap to clone: all clones are one breaker.
#[derive(Clone)]
pub struct Breaker(Arc<Inner>);

struct Inner {
    name: String,
    policy: BreakerPolicy,
    machine: Mutex<Machine>,
}

impl Breaker {
    /// A closed one. `name` stands in its errors: "pool default".
    pub fn new(name: impl Into<String>, policy: BreakerPolicy) -> Breaker {
        let machine = Mutex::new(Machine::new(policy.failures.max(1), policy.reset, policy.half_open.max(1)));
        Breaker(Arc::new(Inner { name: name.into(), policy, machine }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Asks to pass.
    ///
    /// # Errors
    /// `unavailable` with details `{"reason": "circuit_open", "retry_after_ms"}` if it is open, or half open with all its
    /// calls under way.
    pub fn admit(&self, now: Instant) -> Result<Permit, Error> {
        let ticket = self.machine().admit(now).map_err(|refused| self.error(refused))?;
        let half_opened = ticket.half_opened;
        Ok(Permit { breaker: self.clone(), ticket: Some(ticket), half_opened })
    }

    /// What it does at `now`.
    pub fn state(&self, now: Instant) -> BreakerState {
        self.machine().state(now)
    }

    /// Its numbers at `now`.
    pub fn stats(&self, now: Instant) -> BreakerStats {
        self.machine().stats(now)
    }

    /// Closes it and forgets everything. What is under way will not count. The change, if it was not closed.
    pub fn reset(&self) -> Option<BreakerChange> {
        self.machine().reset()
    }

    /// Whether nothing would be lost if it were made anew.
    fn is_as_new(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.machine().is_without_failures()
    }

    fn error(&self, Refused { failures, retry_after }: Refused) -> Error {
        let name = self.name();
        let message = match retry_after {
            Duration::ZERO => {
                format!("circuit of {name} is half open: another call is finding out whether it works again")
            }
            wait => format!(
                "circuit of {name} is open after {failures} failures in a row; it will be tried again in {wait:.1?}"
            ),
        };
        // Rounded up: who comes then is let through.
        let milliseconds = u64::try_from(retry_after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let details = json!({"reason": "circuit_open", "retry_after_ms": milliseconds});
        Error::new(ErrorKind::Unavailable, message).with_details(details)
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        // Numbers: no panic leaves them half changed.
        self.0.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("name", &self.0.name).field("machine", &*self.machine()).finish()
    }
}

/// Leave to pass, for one call. Dropped without a result, as when the caller gives up, it counts for nothing, and the next call
/// may pass in its place.
#[derive(Debug)]
#[must_use = "dropped at once, it says that the call was not made"]
pub struct Permit {
    breaker: Breaker,
    ticket: Option<Ticket>,
    half_opened: bool,
}

impl Permit {
    /// Whether the breaker half-opened to give this permit.
    pub fn half_opened(&self) -> bool {
        self.half_opened
    }

    /// The call ended like this.
    pub fn settle<T>(self, result: &Result<T, Error>, now: Instant) -> Option<BreakerChange> {
        let meaning = self.breaker.0.policy.meaning(result);
        self.mean(meaning, now)
    }

    /// The call succeeded, whatever the policy says.
    pub fn succeeded(self, now: Instant) -> Option<BreakerChange> {
        self.mean(Meaning::Success, now)
    }

    /// The call failed, whatever the policy says.
    pub fn failed(self, now: Instant) -> Option<BreakerChange> {
        self.mean(Meaning::Failure, now)
    }

    fn mean(mut self, meaning: Meaning, now: Instant) -> Option<BreakerChange> {
        let ticket = self.ticket.take()?;
        self.breaker.machine().settle(&ticket, meaning, now)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.machine().give_back(&ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(policy: BreakerPolicy) -> (Breaker, Instant) {
        (Breaker::new("pool default", policy), Instant::now())
    }

    fn fail(kind: ErrorKind) -> Result<(), Error> {
        Err(Error::new(kind, "m"))
    }

    #[test]
    fn a_refusal_says_why_and_when_to_come_again() {
        let (breaker, now) = one(BreakerPolicy { failures: 1, ..BreakerPolicy::default() });
        let change = breaker.admit(now).unwrap().settle(&fail(ErrorKind::WorkerDied), now);
        assert_eq!(change, Some(BreakerChange::Opened { failures: 1 }));
        let later = now + Duration::from_micros(17_999_500);
        let error = breaker.admit(later).unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
        assert_eq!(error.details(), Some(&json!({"reason": "circuit_open", "retry_after_ms": 12_001})));
        let expected = "circuit of pool default is open after 1 failures in a row; it will be tried again in 12.0s";
        assert_eq!(error.message(), expected);
        assert!(breaker.admit(later + Duration::from_millis(12_001)).unwrap().half_opened());
    }

    #[test]
    fn only_the_kinds_that_count_are_failures() {
        let (breaker, now) = one(BreakerPolicy::default());
        let settle = |kind| breaker.admit(now).unwrap().settle(&fail(kind), now);
        let failures = || breaker.stats(now).failure_count;
        for kind in [ErrorKind::Validation, ErrorKind::NotFound, ErrorKind::Cancelled, ErrorKind::Saturated] {
            settle(ErrorKind::Deadline);
            let before = failures();
            settle(kind);
            assert_eq!(failures(), before, "{kind} says nothing");
        }
        settle(ErrorKind::Remote);
        assert_eq!(failures(), 0, "a tool that raises is a worker that answers");
    }

    #[test]
    fn what_a_tool_raises_counts_if_asked_for() {
        let (breaker, now) =
            one(BreakerPolicy { counts: vec![ErrorKind::Remote], failures: 1, ..BreakerPolicy::default() });
        let change = breaker.admit(now).unwrap().settle(&fail(ErrorKind::Remote), now);
        assert_eq!(change, Some(BreakerChange::Opened { failures: 1 }));
    }

    #[test]
    fn a_dropped_permit_makes_room_for_the_next() {
        let (breaker, now) = one(BreakerPolicy { failures: 1, reset: Duration::ZERO, ..BreakerPolicy::default() });
        breaker.admit(now).unwrap().failed(now);
        for _ in 0..3 {
            let permit = breaker.admit(now).unwrap();
            assert!(breaker.admit(now).is_err(), "one at a time");
            drop(permit);
        }
        assert_eq!(breaker.admit(now).unwrap().succeeded(now), Some(BreakerChange::Closed));
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }
}
