//! The breakers of a pool: one for all of it, one for each tool.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Breaker, BreakerChange, BreakerPolicy, BreakerStats, Permit};
use crate::error::Error;

/// One breaker for a pool and one for each of its tools, made when it is first asked for.
///
/// A tool that always fails opens its own breaker; if nothing but that tool is called, the pool's as well.
///
/// Cheap to clone: all clones are the same breakers.
#[derive(Clone, Debug)]
pub struct Breakers {
    pool: Breaker,
    policy: BreakerPolicy,
    tools: Arc<Mutex<BTreeMap<String, Breaker>>>,
}

/// Leave to pass the breakers of a call's pool and tool.
#[derive(Debug)]
#[must_use = "dropped at once, it says that the call was not made"]
pub struct Permits {
    /// Of the pool.
    pub pool: Permit,
    /// Of the tool, if it has one.
    pub tool: Option<Permit>,
}

/// What became of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerChanges {
    /// Of the pool's.
    pub pool: Option<BreakerChange>,
    /// Of the tool's.
    pub tool: Option<BreakerChange>,
}

/// So many tools of a pool have breakers at once. When there are more, those are given up that have no failure and no call; if
/// none is like that, a further tool has only the pool's.
const MOST_TOOLS: usize = 1024;

impl Breakers {
    /// All closed. `pool` is the pool's name.
    pub fn new(pool: &str, policy: BreakerPolicy) -> Breakers {
        let breaker = Breaker::new(format!("pool {pool}"), policy.clone());
        Breakers { pool: breaker, policy, tools: Arc::default() }
    }

    /// The pool's.
    pub fn pool(&self) -> &Breaker {
        &self.pool
    }

    /// The tool's. `None` if too many other tools are failing.
    pub fn tool(&self, tool: &str) -> Option<Breaker> {
        let mut tools = self.tools();
        if let Some(breaker) = tools.get(tool) {
            return Some(breaker.clone());
        }
        if tools.len() >= MOST_TOOLS {
            tools.retain(|_, breaker| !breaker.is_as_new());
        }
        if tools.len() >= MOST_TOOLS {
            return None;
        }
        let breaker = Breaker::new(format!("tool {tool}"), self.policy.clone());
        tools.insert(tool.to_owned(), breaker.clone());
        Some(breaker)
    }

    /// Asks both to let a call of the tool pass.
    ///
    /// # Errors
    /// As [`Breaker::admit`], of whichever refuses; the other then has not noticed.
    pub fn admit(&self, tool: &str, now: Instant) -> Result<Permits, Error> {
        let tool = self.tool(tool).map(|breaker| breaker.admit(now)).transpose()?;
        Ok(Permits { pool: self.pool.admit(now)?, tool })
    }

    /// The numbers of the pool's and of each tool's, by name of the tool.
    pub fn stats(&self, now: Instant) -> (BreakerStats, BTreeMap<String, BreakerStats>) {
        let tools: Vec<_> = self.tools().iter().map(|(tool, breaker)| (tool.clone(), breaker.clone())).collect();
        (self.pool.stats(now), tools.into_iter().map(|(tool, breaker)| (tool, breaker.stats(now))).collect())
    }

    /// Closes all.
    pub fn reset(&self) {
        self.pool.reset();
        let tools: Vec<Breaker> = self.tools().values().cloned().collect();
        for breaker in tools {
            breaker.reset();
        }
    }

    fn tools(&self) -> MutexGuard<'_, BTreeMap<String, Breaker>> {
        // No panic leaves it half changed.
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permits {
    /// The call ended like this.
    pub fn settle<T>(self, result: &Result<T, Error>, now: Instant) -> BreakerChanges {
        BreakerChanges {
            pool: self.pool.settle(result, now),
            tool: self.tool.and_then(|permit| permit.settle(result, now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::ErrorKind;
    use crate::fault::BreakerState;

    fn few_failures() -> (Breakers, Instant) {
        (Breakers::new("default", BreakerPolicy { failures: 2, ..BreakerPolicy::default() }), Instant::now())
    }

    fn fail(breakers: &Breakers, tool: &str, now: Instant) -> BreakerChanges {
        breakers.admit(tool, now).unwrap().settle::<()>(&Err(Error::new(ErrorKind::Deadline, "m")), now)
    }

    #[test]
    fn a_tool_that_fails_opens_its_own_and_spares_the_others() {
        let (breakers, now) = few_failures();
        assert_eq!(fail(&breakers, "bad", now), BreakerChanges::default());
        let _fine = breakers.admit("good", now).unwrap().settle(&Ok(()), now);
        let changes = fail(&breakers, "bad", now);
        assert_eq!(changes, BreakerChanges { pool: None, tool: Some(BreakerChange::Opened { failures: 2 }) });
        let error = breakers.admit("bad", now).unwrap_err();
        assert!(error.message().starts_with("circuit of tool bad is open"), "{error}");
        assert!(breakers.admit("good", now).is_ok());
        let (pool, tools) = breakers.stats(now);
        assert_eq!((pool.state, pool.failure_count), (BreakerState::Closed, 1));
        assert_eq!(tools["bad"].state, BreakerState::Open);
        breakers.reset();
        assert!(breakers.admit("bad", now).is_ok());
    }

    #[test]
    fn a_pool_that_refuses_takes_no_probe_from_the_tool() {
        let (breakers, now) = few_failures();
        breakers.pool().admit(now).unwrap().failed(now);
        breakers.pool().admit(now).unwrap().failed(now);
        assert!(breakers.admit("tool", now).unwrap_err().message().starts_with("circuit of pool default"));
        assert_eq!(breakers.tool("tool").unwrap().stats(now).rejected_count, 0);
        let later = now + Duration::from_secs(30);
        assert!(breakers.admit("tool", later).unwrap().pool.half_opened());
    }

    #[test]
    fn that_a_tool_is_tried_again_is_told_when_it_is() {
        let (breakers, now) = few_failures();
        for _ in 0..2 {
            breakers.tool("tool").unwrap().admit(now).unwrap().failed(now);
            breakers.pool().admit(now + Duration::from_secs(1)).unwrap().failed(now + Duration::from_secs(1));
        }
        let tool_is_due = now + Duration::from_secs(30);
        assert!(breakers.admit("tool", tool_is_due).is_err(), "the pool is not");
        let both_are_due = now + Duration::from_secs(31);
        assert!(breakers.admit("tool", both_are_due).unwrap().tool.unwrap().half_opened());
    }

    #[test]
    fn there_are_never_too_many() {
        let (breakers, now) = few_failures();
        let count = || breakers.stats(now).1.len();
        for number in 0..3 * MOST_TOOLS {
            breakers.tool(&format!("fine {number}"));
            assert!(count() <= MOST_TOOLS);
        }
        for number in 0..MOST_TOOLS {
            breakers.tool(&format!("bad {number}")).unwrap().admit(now).unwrap().failed(now);
        }
        assert!(breakers.tool("one more").is_none(), "all others have failures");
        assert!(breakers.tool("bad 0").is_some());
        assert!(breakers.admit("one more", now).unwrap().tool.is_none());
    }
}
