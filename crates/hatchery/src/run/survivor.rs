//! What is still there of a run that was told to end.

use serde::Serialize;

use crate::process::{Sighting, command_of, held_by};
use crate::registry::{ProcessEntry, Registry};

/// A process that was killed and is still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Survivor {
    /// The worker that it is, or that left it.
    pub worker: String,
    /// Its process id.
    pub pid: i32,
    /// In what state the kernel has it, and in which of its functions it waits, where that is told: "state D (disk sleep) in
    /// rpc_wait_bit_killable".
    pub held_by: String,
    /// Its command line, without secrets.
    pub command: String,
}

impl Survivor {
    fn new(worker: String, pid: i32, command: String) -> Survivor {
        Survivor { worker, pid, held_by: held_by(pid), command }
    }

    fn known(entry: &ProcessEntry) -> Option<Survivor> {
        let pid = i32::try_from(entry.pid?).ok()?;
        Some(Survivor::new(entry.worker.clone(), pid, entry.command.clone().unwrap_or_default()))
    }

    fn seen(sighting: &Sighting, worker: String) -> Survivor {
        Survivor::new(worker, sighting.pid.get(), command_of(sighting.pid))
    }
}

impl std::fmt::Display for Survivor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {}, {})", self.worker, self.pid, self.held_by)
    }
}

/// The workers of the registry that the kernel still has, and whatever else carries the mark of one. Without the run's guards,
/// which leave last, and without what may outlive it.
pub(super) fn survivors(registry: &Registry) -> Vec<Survivor> {
    let workers = registry.entries();
    let name = |number: u32| {
        let worker = workers.iter().find(|entry| entry.number == number);
        worker.map_or_else(|| format!("#{number}"), |entry| entry.worker.clone())
    };
    let mut found: Vec<Survivor> = registry.living().iter().filter_map(|entry| Survivor::known(entry)).collect();
    let known: Vec<i32> = found.iter().map(|survivor| survivor.pid).collect();
    let strays = registry.strays().into_iter().filter(|sighting| !known.contains(&sighting.pid.get()));
    found.extend(strays.map(|sighting| Survivor::seen(&sighting, name(sighting.worn.worker))));
    found
}
