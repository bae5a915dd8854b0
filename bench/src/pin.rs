//! Where client and workers run.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// All on one CPU, or where the scheduler likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Pinned,
    Free,
}

impl Placement {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Placement::Pinned => "pinned",
            Placement::Free => "free",
        }
    }

    /// Places this thread, and with it every thread and process that it starts, until the answer is dropped.
    pub(crate) fn hold(self) -> Result<Held> {
        let before = sched_getaffinity(None)?;
        if self == Placement::Pinned {
            let mut one = CpuSet::new();
            let first = (0..CpuSet::MAX_CPU).find(|&cpu| before.is_set(cpu)).ok_or("no CPU to run on")?;
            one.set(first);
            sched_setaffinity(None, &one)?;
        }
        Ok(Held { before })
    }
}

/// A placement that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    before: CpuSet,
}

impl Drop for Held {
    fn drop(&mut self) {
        // The set is the one that this thread had, so it is allowed.
        let _ = sched_setaffinity(None, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_pinned_only_while_it_is_held() {
        let before = sched_getaffinity(None).unwrap();
        let held = Placement::Pinned.hold().unwrap();
        assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        drop(held);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
