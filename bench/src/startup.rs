//! W5: from the creation of a pool until 16 workers have answered a first call, with different modules imported; and what
//! they weigh then.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::child::output;
use crate::contender::Flavour;
use crate::family::Memory;
use crate::grid::{Grid, shown};
use crate::options::Options;
use crate::sample::median;
use crate::targets::{Verdict, judge_startup};

mod floor;
mod meeting;
mod ours;

/// Workers of the pool.
pub(crate) const WORKERS: usize = 16;
/// Each round starts a hundred interpreters and more.
const MOST_ROUNDS: usize = 3;

/// What a worker imports before its first call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modules {
    Plain,
    Numpy,
    Pandas,
    Sklearn,
}

/// How workers of ours come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Template,
    Cold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// Forked from a single-threaded interpreter that has imported the modules.
    TemplateFloor,
    /// Bare interpreters.
    ColdFloor,
    Hatchery(Start),
    Executor,
    /// The standard library's way to fork from a process that has imported the modules.
    ForkServer,
}

/// One start of 16 workers, or the medians of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Said")]
pub(crate) struct Started {
    /// Until a template was ready, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) boot_ms: Option<f64>,
    /// From then, or from the beginning, until all had answered.
    pub(crate) ready_ms: f64,
    /// Of the workers, and of what was started for them.
    #[serde(flatten)]
    pub(crate) memory: Memory,
}

/// As a peer prints it. Not flattened: that cannot read numbers where something else in the build asks for those of any precision.
#[derive(Deserialize)]
struct Said {
    boot_ms: Option<f64>,
    ready_ms: f64,
    rss_mib: f64,
    pss_mib: f64,
}

impl From<Said> for Started {
    fn from(Said { boot_ms, ready_ms, rss_mib, pss_mib }: Said) -> Started {
        Started { boot_ms, ready_ms, memory: Memory { rss_mib, pss_mib } }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Table {
    rounds: usize,
    modules: Vec<Group>,
}

/// All contenders with the same modules.
#[derive(Debug, Serialize)]
struct Group {
    modules: &'static str,
    rows: Vec<Row>,
    #[serde(skip)]
    verdicts: Vec<Verdict>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    #[serde(flatten)]
    started: Option<Started>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

/// What the rounds of one contender came to: the medians, or why there are none.
pub(crate) type Measured = (Contender, std::result::Result<Started, String>);

const CONTENDERS: [Contender; 6] = [
    Contender::Hatchery(Start::Template),
    Contender::Hatchery(Start::Cold),
    Contender::TemplateFloor,
    Contender::ColdFloor,
    Contender::Executor,
    Contender::ForkServer,
];

/// Measures every contender with each set of modules, in turn, round after round.
pub(crate) fn measure_all(options: &Options) -> Result<Table> {
    let rounds = options.rounds.min(MOST_ROUNDS);
    let mut modules = Vec::new();
    for &set in Modules::of(options) {
        modules.push(Group::of(set, &measure_set(set, rounds, options)?));
    }
    Ok(Table { rounds, modules })
}

fn measure_set(modules: Modules, rounds: usize, options: &Options) -> Result<Vec<Measured>> {
    let mut found = vec![Ok(Vec::new()); CONTENDERS.len()];
    // Who comes first must not pay for what is read from the disk.
    floor::template(&options.python, modules)?;
    for round in 1..=rounds {
        eprintln!("w5 {}, round {round} of {rounds}", modules.name());
        for (contender, found) in CONTENDERS.into_iter().zip(&mut found) {
            let Ok(so_far) = found else { continue };
            match contender.measure(modules, options) {
                Ok(started) => so_far.push(started),
                Err(error) if contender.is_ours() => {
                    return Err(format!("{}, {}: {error}", contender.name(), modules.name()).into());
                }
                Err(error) => *found = Err(error.to_string()),
            }
        }
    }
    Ok(CONTENDERS
        .into_iter()
        .zip(found)
        .map(|(contender, found)| (contender, found.map(|f| Started::median(&f))))
        .collect())
}

impl Modules {
    /// A first look does without those that take longest and that no target names.
    fn of(options: &Options) -> &'static [Modules] {
        use Modules::{Numpy, Pandas, Plain, Sklearn};
        if options.is_quick() { &[Plain, Numpy, Sklearn] } else { &[Plain, Numpy, Pandas, Sklearn] }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Modules::Plain => "plain",
            Modules::Numpy => "numpy",
            Modules::Pandas => "pandas",
            Modules::Sklearn => "scikit-learn",
        }
    }

    /// As they are imported.
    fn imports(self) -> &'static [&'static str] {
        match self {
            Modules::Plain => &[],
            Modules::Numpy => &["numpy"],
            Modules::Pandas => &["pandas"],
            Modules::Sklearn => &["sklearn.linear_model"],
        }
    }
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Contender::Hatchery(Start::Template) => "hatchery, from a template",
            Contender::Hatchery(Start::Cold) => "hatchery, cold",
            Contender::TemplateFloor => "floor, forked from a bare template",
            Contender::ColdFloor => "floor, bare interpreters, cold",
            Contender::Executor => "ProcessPoolExecutor, fork",
            Contender::ForkServer => "ProcessPoolExecutor, forkserver with preload",
        }
    }

    fn is_ours(self) -> bool {
        matches!(self, Contender::Hatchery(_))
    }

    fn measure(self, modules: Modules, options: &Options) -> Result<Started> {
        let peer = |method| {
            let arguments = [&[method], modules.imports()].concat();
            Ok(serde_json::from_str(&output(&options.python, "peers/startup.py", &arguments)?)?)
        };
        match self {
            Contender::Hatchery(start) => Flavour::Threads.run(ours::measure(modules, start)),
            Contender::TemplateFloor => floor::template(&options.python, modules),
            Contender::ColdFloor => floor::cold(&options.python, modules),
            Contender::Executor => peer("fork"),
            Contender::ForkServer => peer("forkserver"),
        }
    }
}

impl Started {
    /// With the boot of the template, where there is one.
    pub(crate) fn whole_ms(&self) -> f64 {
        self.boot_ms.unwrap_or_default() + self.ready_ms
    }

    /// What took so long from the beginning on was the boot of a template.
    fn since(self, boot: Duration) -> Started {
        let boot_ms = boot.as_secs_f64() * 1e3;
        Started { boot_ms: Some(boot_ms), ready_ms: self.ready_ms - boot_ms, ..self }
    }

    fn median(rounds: &[Started]) -> Started {
        let figure = |of: fn(&Started) -> Option<f64>| median(rounds.iter().filter_map(of).collect());
        let certain = |of| figure(of).unwrap_or(f64::NAN);
        Started {
            boot_ms: figure(|round| round.boot_ms),
            ready_ms: certain(|round| Some(round.ready_ms)),
            memory: Memory {
                rss_mib: certain(|round| Some(round.memory.rss_mib)),
                pss_mib: certain(|round| Some(round.memory.pss_mib)),
            },
        }
    }
}

impl Group {
    fn of(modules: Modules, measured: &[Measured]) -> Group {
        let row = |(contender, started): &Measured| Row {
            name: contender.name(),
            started: started.as_ref().ok().copied(),
            missing: started.as_ref().err().cloned(),
        };
        let rows = measured.iter().map(row).collect();
        Group { modules: modules.name(), rows, verdicts: judge_startup(modules, measured) }
    }

    fn grid(&self) -> Grid {
        let title = format!("W5  {WORKERS} workers have answered a first call, {}, free", self.modules);
        let head = ["", "boot ms", "ready ms", "in all ms", "RSS MiB", "PSS MiB"];
        Grid::new(title, head).rows(self.rows.iter().map(Row::cells)).judged(&self.verdicts)
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let Some(started) = &self.started else {
            let reason = self.missing.as_deref().unwrap_or_default();
            return vec![self.name.to_owned(), format!("not measured: {reason}")];
        };
        let Memory { rss_mib, pss_mib } = started.memory;
        let figures = [Some(started.ready_ms), Some(started.whole_ms())].map(|ms| shown(ms, 1));
        let memory = [rss_mib, pss_mib].map(|mib| shown(Some(mib), 0));
        let cells = [self.name.to_owned(), shown(started.boot_ms, 1)].into_iter();
        cells.chain(figures).chain(memory).collect()
    }
}

impl Table {
    pub(crate) fn grids(&self) -> Vec<Grid> {
        let mut grids: Vec<Grid> = self.modules.iter().map(Group::grid).collect();
        if let Some(first) = grids.first_mut() {
            first.notes = vec![
                format!("Medians of {} rounds. Boot: until the template is ready; ready: from then, or from the beginning, until all have answered.", self.rounds),
                "Memory is that of the workers and of what was started for them, without the client; BLAS and OpenMP have one thread everywhere.".to_owned(),
            ];
        }
        grids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_prints_is_read() {
        let started: Started = serde_json::from_str(r#"{"ready_ms": 5.0, "rss_mib": 2.0, "pss_mib": 1.0}"#).unwrap();
        assert_eq!((started.whole_ms(), started.memory.pss_mib), (5.0, 1.0));
        let booted = Started { boot_ms: Some(3.0), ..started };
        assert_eq!(Started::median(&[booted, started]).whole_ms(), 8.0);
    }
}
