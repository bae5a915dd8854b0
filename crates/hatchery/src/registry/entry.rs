//! One process in the registry, as anybody may read it.

use serde::Serialize;

use crate::id::RunId;
use crate::process::{Remembered, Standing};

/// A process that a run has started, or is about to. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProcessEntry {
    /// The run that started it.
    pub run: RunId,
    /// Its number in that run, which is never used twice there.
    pub number: u32,
    /// The worker's id, which the next one on its seat takes over.
    pub worker: String,
    /// The pool.
    pub pool: String,
    /// Where it is in its life.
    pub state: EntryState,
    /// Its process, in the supervisor's PID namespace; none before it was started.
    pub pid: Option<u32>,
    /// What tells that process from all others that ever had its number, as text.
    pub identity: Option<String>,
    /// Its process group.
    pub process_group: Option<u32>,
    /// Its folder in cgroup v2.
    pub cgroup: Option<String>,
    /// Its command line, without secrets.
    pub command: Option<String>,
    /// `<run>:<number>`: what the process itself carries as its mark.
    pub fingerprint: String,
    /// The supervisor.
    pub owner_pid: u32,
    /// What tells that supervisor from all others, as text.
    pub owner: String,
    /// When a place was taken for it.
    pub reserved_at: u64,
    /// When it was started.
    pub activated_at: Option<u64>,
    /// When its end began.
    pub terminating_at: Option<u64>,
    /// When nothing was left of it.
    pub gone_at: Option<u64>,
}

impl ProcessEntry {
    /// Whether the supervisor that wrote this still runs, as far as can be told from here.
    pub fn owner_is_alive(&self) -> bool {
        let owner = self.owner.parse::<Remembered>();
        owner.is_ok_and(|owner| !matches!(owner.standing(), Standing::Dead(_)))
    }

    /// With the state that the kernel tells: an owner that was killed has written nothing of the end.
    pub(super) fn seen(mut self) -> ProcessEntry {
        let process = self.identity.as_ref().and_then(|identity| identity.parse::<Remembered>().ok());
        let has_ended = process.is_some_and(|process| matches!(process.standing(), Standing::Dead(_)));
        let never_began = self.identity.is_none() && !self.owner_is_alive();
        if has_ended || never_began {
            self.state = EntryState::Gone;
        }
        self
    }
}

/// Which entries of a registry are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// Every one.
    All,
    /// Those of a run.
    Run(RunId),
    /// Those of a worker, in whatever run: all that have had its seat.
    Worker(String),
    /// Those whose process has, or had, this number.
    Pid(u32),
    /// The one with this [`fingerprint`](ProcessEntry::fingerprint).
    Fingerprint(String),
}

impl Wanted {
    pub(super) fn fits(&self, entry: &ProcessEntry) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Run(run) => entry.run == *run,
            Wanted::Worker(worker) => entry.worker == *worker,
            Wanted::Pid(pid) => entry.pid == Some(*pid),
            Wanted::Fingerprint(fingerprint) => entry.fingerprint == *fingerprint,
        }
    }
}

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryState {
    /// About to be started.
    Reserved,
    /// Started.
    Active,
    /// Being ended, or not gone although its owner is through with it.
    Terminating,
    /// Nothing is left of it.
    Gone,
}

impl EntryState {
    /// Every state, in the order of a life.
    const ALL: [EntryState; 4] = [EntryState::Reserved, EntryState::Active, EntryState::Terminating, EntryState::Gone];

    /// The text form, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryState::Reserved => "reserved",
            EntryState::Active => "active",
            EntryState::Terminating => "terminating",
            EntryState::Gone => "gone",
        }
    }

    pub(super) fn parse(text: &str) -> Option<EntryState> {
        EntryState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The fingerprint of a worker of a run.
pub(super) fn fingerprint(run: RunId, number: u32) -> String {
    format!("{}:{number}", run.short())
}
