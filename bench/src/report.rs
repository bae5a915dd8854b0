//! Everything that one run came to: for a terminal, as Markdown, as JSON.

use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::contender::{Contender, Flavour, Measured};
use crate::grid::{Grid, shown};
use crate::machine::Facts;
use crate::pin::Placement;
use crate::sample::Sample;
use crate::targets::{Verdict, floor, judge, to_floor};
use crate::workload::Workload;

/// Between these lines of a page stands the report; the rest of the page is kept.
const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Facts,
    rounds: usize,
    /// How long the run took.
    minutes: f64,
    sections: Vec<Section>,
    /// What could not be measured and is no peer: the run has failed.
    failures: Vec<String>,
}

/// One workload in one placement, or one of the other benchmarks.
#[derive(Debug, Serialize)]
struct Section {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    placement: Option<&'static str>,
    figures: serde_json::Value,
    targets: Vec<Verdict>,
    #[serde(skip)]
    grids: Vec<Grid>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    rounds: usize,
    #[serde(flatten)]
    sample: Sample,
    /// Of times in W1 and W3, of rates in the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_floor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

impl Report {
    pub(crate) fn new(machine: Facts, rounds: usize) -> Report {
        Report { machine, rounds, minutes: 0.0, sections: Vec::new(), failures: Vec::new() }
    }

    pub(crate) fn add_calls(&mut self, workload: Workload, placement: Placement, measured: &[Measured]) -> Result<()> {
        let targets = judge(workload, placement, measured);
        let rows: Vec<Row> = measured.iter().map(|row| Row::of(workload, row, measured)).collect();
        let ours = measured.iter().filter(|row| !row.contender.is_peer());
        for (row, reason) in ours.filter_map(|row| Some((row, row.sample.as_ref().err()?))) {
            self.failures.push(format!("{} {}, {}: {reason}", workload.name(), placement.name(), row.contender.name()));
        }
        let grid = grid(workload, placement, &rows).judged(&targets);
        self.sections.push(Section {
            name: workload.name(),
            placement: Some(placement.name()),
            figures: serde_json::to_value(rows)?,
            targets,
            grids: vec![grid],
        });
        Ok(())
    }

    /// Adds what has tables of its own; targets stand in the last of its grids.
    pub(crate) fn add(&mut self, name: &'static str, figures: &impl Serialize, grids: Vec<Grid>) -> Result<()> {
        let targets = grids.iter().flat_map(|grid| grid.verdicts.clone()).collect();
        let figures = serde_json::to_value(figures)?;
        self.sections.push(Section { name, placement: None, figures, targets, grids });
        Ok(())
    }

    pub(crate) fn add_failure(&mut self, failure: String) {
        self.failures.push(failure);
    }

    pub(crate) fn took(&mut self, taken: std::time::Duration) {
        self.minutes = taken.as_secs_f64() / 60.0;
    }

    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The tables of what was measured last: those from this section on.
    pub(crate) fn tables_from(&self, section: usize) -> String {
        self.sections.iter().skip(section).flat_map(|section| &section.grids).map(Grid::to_text).collect()
    }

    pub(crate) fn sections(&self) -> usize {
        self.sections.len()
    }

    /// What holds for all tables.
    pub(crate) fn conclusion(&self) -> String {
        format!("{}\n{}", self.summary().to_text(), self.head().join("\n"))
    }

    pub(crate) fn to_markdown(&self) -> String {
        let grids = self.sections.iter().flat_map(|section| &section.grids).map(Grid::to_markdown);
        let head: String = self.head().iter().map(|line| format!("- {line}\n")).collect();
        format!("{head}{}{}", self.summary().to_markdown(), grids.collect::<String>())
    }

    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).map_err(|error| format!("write {}: {error}", path.display()).into())
    }

    /// Into a page that has a place for it, or as a page.
    pub(crate) fn write_markdown(&self, path: &Path) -> Result<()> {
        let measured = self.to_markdown();
        let text = match std::fs::read_to_string(path) {
            Ok(page) => placed(&page, &measured).ok_or_else(|| {
                format!("write {}: the page is there, and has no lines `{BEGIN}` and `{END}`", path.display())
            })?,
            Err(_) => format!("# Measured\n\n{BEGIN}\n{measured}{END}\n"),
        };
        std::fs::write(path, text).map_err(|error| format!("write {}: {error}", path.display()).into())
    }

    fn head(&self) -> Vec<String> {
        let how = format!(
            "Medians of {} interleaved rounds (of fewer where a row says so), in {:.0} minutes. Pinned: client and workers \
             on one CPU; free: where the scheduler likes.",
            self.rounds, self.minutes
        );
        let mut lines = self.machine.lines();
        lines.push(how);
        lines.extend(self.failures.iter().map(|failure| format!("FAILED {failure}")));
        lines
    }

    /// How many targets are met, and which are not.
    fn summary(&self) -> Grid {
        let count = self.sections.iter().map(|section| section.targets.len()).sum::<usize>();
        let missed: Vec<Vec<String>> = self.sections.iter().flat_map(Section::missed).collect();
        let title = format!("{} of {count} targets met", count - missed.len());
        if missed.is_empty() {
            Grid { title, ..Grid::default() }
        } else {
            Grid::new(title, ["missed", "found"]).rows(missed)
        }
    }
}

impl Section {
    fn missed(&self) -> Vec<Vec<String>> {
        let place = [Some(self.name), self.placement].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let missed = self.targets.iter().filter(|verdict| !verdict.met);
        missed.map(|verdict| vec![format!("{place}: {}", verdict.text), format!("{:.2}", verdict.ratio)]).collect()
    }
}

impl Row {
    fn of(workload: Workload, row: &Measured, all: &[Measured]) -> Row {
        let floor = floor(workload, flavour_of(row.contender));
        let floor = all.iter().find(|row| row.contender == floor).and_then(|row| row.sample.as_ref().ok());
        let (sample, missing) = match &row.sample {
            Ok(sample) => (*sample, None),
            Err(reason) => (Sample::default(), Some(reason.clone())),
        };
        let to_floor = floor.and_then(|floor| to_floor(workload, &sample, floor));
        Row { name: row.contender.name(), rounds: row.rounds, sample, to_floor, missing }
    }

    fn cells(&self, workload: Workload) -> Vec<String> {
        if let Some(reason) = &self.missing {
            return vec![self.name.clone(), format!("not measured: {reason}")];
        }
        let Sample { p50_us, p99_us, first_us, per_s, to_ms, from_ms } = self.sample;
        let figures = match workload {
            Workload::W1 => vec![shown(p50_us, 1), shown(p99_us, 1), shown(per_s, 0)],
            Workload::W2 => vec![shown(per_s, 0)],
            Workload::W3 => vec![shown(to_ms, 1), shown(from_ms, 1)],
            Workload::W4 => vec![shown(per_s, 0), shown(first_us, 1)],
        };
        let rest = [shown(self.to_floor, 2), self.rounds.to_string()];
        std::iter::once(self.name.clone()).chain(figures).chain(rest).collect()
    }
}

fn grid(workload: Workload, placement: Placement, rows: &[Row]) -> Grid {
    let title = format!("{}, {}", workload.title(), placement.name());
    let grid = match workload {
        Workload::W1 => Grid::new(title, ["", "p50 us", "p99 us", "calls/s", "to floor", "rounds"]),
        Workload::W2 => Grid::new(title, ["", "calls/s", "to floor", "rounds"]),
        Workload::W3 => Grid::new(title, ["", "to ms", "from ms", "to floor", "rounds"]),
        Workload::W4 => Grid::new(title, ["", "chunks/s", "first us", "to floor", "rounds"]),
    };
    grid.rows(rows.iter().map(|row| row.cells(workload)))
}

/// The runtime whose floor a row is held against; a peer is held against the faster one.
fn flavour_of(contender: Contender) -> Flavour {
    match contender {
        Contender::Floor(_, _, flavour) | Contender::Hatchery(flavour) => flavour,
        Contender::PooledMemory | Contender::Blocking | Contender::JsonLines | Contender::Peer(_) => Flavour::OneThread,
    }
}

fn placed(page: &str, measured: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{measured}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Vec<Measured> {
        let sample = |us| Ok(Sample { p50_us: Some(us), ..Sample::default() });
        let row = |contender, sample| Measured { contender, rounds: 1, sample };
        vec![
            row(Contender::Hatchery(Flavour::OneThread), sample(20.0)),
            row(floor(Workload::W1, Flavour::OneThread), sample(10.0)),
            row(Contender::Peer(crate::peer::Peer::Ray), Err("no module named ray".to_owned())),
        ]
    }

    fn report() -> Report {
        let facts = crate::machine::facts(Path::new("python3")).unwrap();
        let mut report = Report::new(facts, 5);
        report.add_calls(Workload::W1, Placement::Pinned, &measured()).unwrap();
        report
    }

    #[test]
    fn a_row_that_could_not_be_measured_says_why_and_a_missed_target_is_listed() {
        let report = report();
        let text = report.to_markdown();
        assert!(text.contains("| Ray actors | not measured: no module named ray |"), "{text}");
        assert!(text.contains("### 0 of 1 targets met"), "{text}");
        assert!(text.contains("| hatchery, tokio current_thread | 20.0 | - | - | 2.00 | 1 |"), "{text}");
        assert!(report.failures().is_empty(), "a peer that is missing is no failure");
    }

    #[test]
    fn what_is_not_a_peer_must_be_measured() {
        let mut report = report();
        let ours = Contender::Hatchery(Flavour::Threads);
        let failed = [Measured { contender: ours, rounds: 0, sample: Err("it broke".to_owned()) }];
        report.add_calls(Workload::W2, Placement::Free, &failed).unwrap();
        assert_eq!(report.failures(), ["w2 free, hatchery, tokio multi_thread: it broke"]);
    }

    #[test]
    fn a_page_keeps_what_stands_around_the_report() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nz\n");
        assert_eq!(placed(&page, "new\n").unwrap(), format!("a\n{BEGIN}\nnew\n{END}\nz\n"));
        assert_eq!(placed("a page", "new"), None);
    }
}
