//! What a sweep is asked, and what it answers.

use std::path::PathBuf;

use serde::Serialize;

use super::{Instance, Statistics};
use crate::id::RunId;

/// What a sweep looks at, and whether it may end anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepOptions {
    /// Where the records are. Default: [`data_dir`](crate::data_dir) of the instance `default`.
    pub data_dir: PathBuf,
    /// Whose records count. Those of others in the same folder are never touched.
    pub instance: Instance,
    /// Whether orphans are ended, and records of dead runs without processes removed. Default: nothing is.
    pub kill: bool,
    /// Only runs whose id begins so.
    pub run: Option<String>,
}

impl SweepOptions {
    /// Looks, at all runs of the instance `default`, in this data dir.
    pub fn new(data_dir: impl Into<PathBuf>) -> SweepOptions {
        SweepOptions { data_dir: data_dir.into(), instance: Instance::default(), kill: false, run: None }
    }
}

/// What a sweep has found and done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SweepReport {
    /// Orphans.
    pub found: usize,
    /// Orphans that were ended.
    pub terminated: usize,
    /// Processes that were left alone because they are no proven orphans.
    pub preserved: usize,
    /// What went wrong: orphans that could not be ended, records that could not be read.
    pub errors: usize,
    /// Each process, with the evidence.
    pub details: Vec<SweepDetail>,
    /// What could not be checked, and what went wrong, in sentences.
    pub notes: Vec<String>,
}

impl SweepReport {
    /// How many orphans are still there.
    pub fn left(&self) -> usize {
        self.found - self.terminated
    }
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SweepDetail {
    /// Its process id.
    pub pid: u32,
    /// Whose it is.
    pub class: ProcessClass,
    /// Its run; none if no record names it.
    pub run: Option<RunId>,
    /// Its worker's id, `guardian` for a process that ends the others, or `#` and its number if the record has no name.
    pub worker: Option<String>,
    /// Why it is in its class.
    pub evidence: String,
    /// Its command line, without secrets.
    pub command: String,
    /// When a sweep first saw it as an orphan, in seconds since 1970.
    pub first_seen: Option<u64>,
    /// Whether this sweep has ended it.
    pub ended: bool,
}

/// Whose a process is. Only an orphan is ever ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProcessClass {
    /// Its run lives, or let it live on.
    Active,
    /// It carries the mark of a run whose owner is proven dead.
    Orphan,
    /// Another user's, or another instance's.
    Foreign,
    /// It cannot be told.
    Unknown,
}

impl ProcessClass {
    /// The text form, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ProcessClass::Active => "active",
            ProcessClass::Orphan => "orphan",
            ProcessClass::Foreign => "foreign",
            ProcessClass::Unknown => "unknown",
        }
    }
}

/// How an instance is, at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SystemStatus {
    /// What its registry holds, over all runs.
    pub registry: Statistics,
    /// Live processes that carry a mark of one of its runs.
    pub processes: usize,
    /// Those of them that are orphans.
    pub orphans: usize,
    /// When the first of them was first seen, in seconds since 1970.
    pub oldest_orphan: Option<u64>,
    /// The verdict.
    pub health: Health,
    /// What could not be checked, in sentences.
    pub notes: Vec<String>,
}

/// Whether all is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Health {
    /// No orphan, and nothing that could not be read.
    Healthy,
    /// There are orphans, or something could not be read.
    Degraded,
}
