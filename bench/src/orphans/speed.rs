//! How long it takes from the supervisor's `kill -9` until nothing is left, for more and more workers.

use super::namespace::Run;
use super::options::Options;
use super::peer::this;
use crate::Result;

/// Where something that is left after so many seconds counts as left for good.
const PATIENCE_S: u64 = 10;

/// Name, how it is started, and the most workers that it is measured with.
const CONTENDERS: [(&str, &str, usize); 4] = [
    ("hatchery, compiled worker", "hatchery-compiled idle", usize::MAX),
    ("hatchery, Python worker, idle", "hatchery-python idle", 16),
    ("Rust std::process, idle", "command idle", 16),
    ("Rust std::process, busy", "command busy", 16),
];

/// One contender with so many workers.
#[derive(Debug)]
pub(super) struct Speed {
    pub(super) name: &'static str,
    pub(super) workers: usize,
    /// Of each round, in order of size; or how many processes were left, in the first round in which any was.
    pub(super) gone_us: std::result::Result<Vec<u64>, usize>,
}

impl Speed {
    pub(super) fn median_us(&self) -> Option<u64> {
        let taken = self.gone_us.as_ref().ok()?;
        taken.get(taken.len() / 2).copied()
    }
}

/// Measures one after another, with nothing else of ours running.
pub(super) fn measure(options: &Options) -> Result<Vec<Speed>> {
    let mut speeds = Vec::new();
    for (name, line, most) in CONTENDERS.into_iter().filter(|(name, ..)| options.wants(name)) {
        for &workers in options.sizes.iter().filter(|&&workers| workers <= most) {
            eprintln!("{name}, {workers} workers");
            let run = Run { command: this(line)?, workers, tells: true, surveys: vec![PATIENCE_S] };
            speeds.push(Speed { name, workers, gone_us: rounds(&run, options)? });
        }
    }
    Ok(speeds)
}

fn rounds(run: &Run, options: &Options) -> Result<std::result::Result<Vec<u64>, usize>> {
    let mut taken = Vec::new();
    for _ in 0..options.rounds {
        let outcome = run.measure(options)?;
        match outcome.gone_us {
            Some(us) => taken.push(us),
            None => {
                let left = outcome.survivors.iter().map(|at| at.workers + at.daemons + at.helpers).sum();
                return Ok(Err(left));
            }
        }
    }
    taken.sort_unstable();
    Ok(Ok(taken))
}
