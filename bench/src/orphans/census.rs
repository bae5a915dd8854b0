//! Who is alive in this PID namespace, as the kernel lists it.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::process::{Pid, WaitOptions};

use super::Survivors;
use crate::Result;

/// Every living process but this one, which is the first of the namespace. Zombies are dead.
pub(super) fn living() -> Result<BTreeSet<i32>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        found.extend(pid.filter(|&pid| pid != 1 && is_alive(pid)));
    }
    Ok(found)
}

/// Takes in what has died: the first process of a namespace inherits the orphans.
pub(super) fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

/// A process that has ended while we looked is not alive.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// What the workers and the daemons said of themselves, by the names of files: `worker.17`, `daemon.23`.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) workers: BTreeSet<i32>,
    pub(super) daemons: BTreeSet<i32>,
    pub(super) ready: bool,
}

impl Told {
    pub(super) fn read(report: &Path) -> Result<Told> {
        let mut told = Told::default();
        for entry in std::fs::read_dir(report)?.flatten() {
            match entry.file_name().to_str().and_then(|name| name.split_once('.')) {
                Some(("worker", pid)) => told.workers.extend(pid.parse::<i32>()),
                Some(("daemon", pid)) => told.daemons.extend(pid.parse::<i32>()),
                _ => told.ready |= entry.file_name() == "ready",
            }
        }
        Ok(told)
    }

    pub(super) fn count(&self, living: &BTreeSet<i32>, after_s: u64) -> Survivors {
        let workers = living.intersection(&self.workers).count();
        let daemons = living.intersection(&self.daemons).count();
        Survivors { after_s, workers, daemons, helpers: living.len() - workers - daemons }
    }
}

/// A pid that the kernel gave us.
pub(super) fn pid(raw: i32) -> Result<Pid> {
    Pid::from_raw(raw).ok_or_else(|| format!("no pid: {raw}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_counted_among_the_living() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["worker.5", "worker.6", "daemon.7", "daemon.x", "output", "ready"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let told = Told::read(folder.path()).unwrap();
        assert!(told.ready);
        let counted = told.count(&BTreeSet::from([5, 7, 9]), 1);
        assert_eq!(counted, Survivors { after_s: 1, workers: 1, daemons: 1, helpers: 1 });
    }

    #[test]
    fn this_test_is_alive() {
        assert!(living().unwrap().contains(&(std::process::id() as i32)));
        assert!(!is_alive(-1));
    }
}
