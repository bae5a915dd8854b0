//! The figures, as a table or as one JSON document.

use serde::Serialize;

use crate::Result;
use crate::contender::{Contender, Flavour};
use crate::machine::Facts;
use crate::pin::Placement;
use crate::sample::Sample;
use crate::targets::{Verdict, floor, judge, to_floor};
use crate::workload::Workload;
use crate::{outage, scale};

/// Everything that one run came to.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Facts,
    rounds: usize,
    tables: Vec<Table>,
    #[serde(skip_serializing_if = "Option::is_none")]
    w6: Option<outage::Table>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<scale::Table>,
}

/// One workload in one placement.
#[derive(Debug, Serialize)]
struct Table {
    workload: &'static str,
    #[serde(skip)]
    title: &'static str,
    placement: &'static str,
    rows: Vec<Row>,
    targets: Vec<Verdict>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    #[serde(flatten)]
    sample: Sample,
    /// Of times in W1, of rates in the others.
    to_floor: Option<f64>,
}

impl Report {
    pub(crate) fn new(machine: Facts, rounds: usize) -> Report {
        Report { machine, rounds, tables: Vec::new(), w6: None, scale: None }
    }

    pub(crate) fn add(&mut self, workload: Workload, placement: Placement, rows: Vec<(Contender, Sample)>) {
        let targets = judge(workload, &rows);
        let floor = |flavour| rows.iter().find(|(row, _)| *row == floor(workload, flavour)).map(|(_, sample)| *sample);
        let row = |(contender, sample): &(Contender, Sample)| Row {
            name: contender.name(),
            sample: *sample,
            to_floor: floor(flavour_of(*contender)).and_then(|floor| to_floor(workload, sample, &floor)),
        };
        let rows = rows.iter().map(row).collect();
        let table =
            Table { workload: workload.name(), title: workload.title(), placement: placement.name(), rows, targets };
        self.tables.push(table);
    }

    pub(crate) fn add_outage(&mut self, table: outage::Table) {
        self.w6 = Some(table);
    }

    pub(crate) fn add_scale(&mut self, table: scale::Table) {
        self.scale = Some(table);
    }

    pub(crate) fn print_json(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }

    pub(crate) fn print(&self) -> Result<()> {
        let Facts { cpu, cores, kernel, load, python, json } = &self.machine;
        println!("{cpu}, {cores} cores, Linux {kernel}, load {load}\n{python}, JSON library {json}");
        println!("medians of {} interleaved rounds; pinned: client and workers on one CPU", self.rounds);
        self.tables.iter().for_each(Table::print);
        self.w6.iter().for_each(outage::Table::print);
        self.scale.iter().for_each(scale::Table::print);
        Ok(())
    }
}

impl Table {
    fn print(&self) {
        let rate = if self.workload == "w4" { "chunks/s" } else { "calls/s" };
        println!("\n{}, {}", self.title, self.placement);
        println!("{:<58} {:>9} {:>9} {:>10} {rate:>11} {:>9}", "", "p50 us", "p99 us", "first us", "to floor");
        for Row { name, sample, to_floor } in &self.rows {
            let figures = [sample.p50_us, sample.p99_us, sample.first_us].map(|figure| shown(figure, 1));
            let [p50, p99, first] = figures;
            println!("{name:<58} {p50:>9} {p99:>9} {first:>10} {:>11.0} {:>9}", sample.per_s, shown(*to_floor, 2));
        }
        self.targets.iter().for_each(Verdict::print);
    }
}

/// The runtime whose floor a row is held against; a peer is held against the faster one.
fn flavour_of(contender: Contender) -> Flavour {
    match contender {
        Contender::Floor(_, _, flavour) | Contender::Hatchery(flavour) => flavour,
        Contender::Blocking | Contender::JsonLines | Contender::Pool | Contender::Executor => Flavour::OneThread,
    }
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
}
