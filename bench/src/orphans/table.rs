//! The matrix on a terminal and as Markdown.

use std::fmt::Write;
use std::path::Path;

use super::options::Options;
use super::speed::Speed;
use super::versions::Versions;
use super::{Outcome, Row, Survivors, WORKERS};
use crate::Result;
use crate::machine::{self, Facts};

/// Everything that one run came to.
#[derive(Debug)]
pub(super) struct Report {
    machine: Facts,
    versions: Versions,
    surveys: Vec<u64>,
    rounds: usize,
    rows: Vec<Row>,
    speeds: Vec<Speed>,
}

impl Report {
    pub(super) fn new(options: &Options, versions: Versions, rows: Vec<Row>, speeds: Vec<Speed>) -> Result<Report> {
        let machine = machine::facts(&options.python)?;
        Ok(Report { machine, versions, surveys: options.surveys.clone(), rounds: options.rounds, rows, speeds })
    }

    pub(super) fn print(&self) {
        println!("{}", self.facts());
        println!("\n{}", self.title());
        print!("{}", aligned(&self.matrix()));
        if !self.speeds.is_empty() {
            println!("\n{}", self.speed_title());
            print!("{}", aligned(&self.speed_table()));
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = format!("# Who is left after `kill -9`\n\nBy `cargo xtask bench orphans`. {}\n\n", self.facts());
        write!(text, "{}\n\n{}", self.title(), markdown(&self.matrix()))?;
        if !self.speeds.is_empty() {
            write!(text, "\n{}\n\n{}", self.speed_title(), markdown(&self.speed_table()))?;
        }
        std::fs::write(path, text).map_err(|error| format!("write {}: {error}", path.display()).into())
    }

    fn facts(&self) -> String {
        let Facts { cpu, cores, kernel, load, .. } = &self.machine;
        format!("{cpu}, {cores} cores, Linux {kernel}, load {load}; Python {}.", self.versions.of("python"))
    }

    fn title(&self) -> String {
        format!(
            "A supervisor with {WORKERS} workers, each of which has left a daemon (two forks, a session of its own, deaf to \
             SIGTERM and SIGHUP), gets SIGKILL.\nAlive afterwards, as the kernel lists them: (workers, daemons) + helpers."
        )
    }

    fn matrix(&self) -> Vec<Vec<String>> {
        let mut head = vec!["supervisor".to_owned(), "version".to_owned()];
        head.extend(self.surveys.iter().map(|after| format!("after {after} s")));
        let rows = self.rows.iter().map(|row| {
            let mut cells = vec![row.peer.name.to_owned(), self.versions.of(row.peer.package).to_owned()];
            cells.extend(cells_of(&row.outcome, self.surveys.len()));
            cells
        });
        std::iter::once(head).chain(rows).collect()
    }

    fn speed_title(&self) -> String {
        format!("From the kill to the last death of all workers, daemons and helpers, median of {}.", self.rounds)
    }

    fn speed_table(&self) -> Vec<Vec<String>> {
        let head = ["supervisor", "workers", "median ms", "slowest ms"].map(str::to_owned).to_vec();
        let rows = self.speeds.iter().map(|speed| {
            let slowest = speed.gone_us.as_ref().ok().and_then(|taken| taken.last().copied());
            let figures = match &speed.gone_us {
                Ok(_) => [shown(speed.median_us()), shown(slowest)],
                Err(left) => [format!("never: {left} left"), "-".to_owned()],
            };
            [speed.name.to_owned(), speed.workers.to_string()].into_iter().chain(figures).collect()
        });
        std::iter::once(head).chain(rows).collect()
    }
}

fn cells_of(outcome: &std::result::Result<Outcome, String>, count: usize) -> Vec<String> {
    match outcome {
        Ok(outcome) => outcome.survivors.iter().map(Survivors::to_string).collect(),
        Err(reason) => {
            let blanks = std::iter::repeat_n(String::new(), count.saturating_sub(1));
            std::iter::once(reason.clone()).chain(blanks).collect()
        }
    }
}

impl std::fmt::Display for Survivors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({}, {})", self.workers, self.daemons)?;
        if self.helpers > 0 { write!(f, " + {}", self.helpers) } else { Ok(()) }
    }
}

fn shown(us: Option<u64>) -> String {
    us.map_or_else(|| "-".to_owned(), |us| format!("{:.1}", us as f64 / 1e3))
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).filter(|&w| w < 60).max();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:<0$}", width(at).unwrap_or(0)));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn markdown(rows: &[Vec<String>]) -> String {
    let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | ").replace('\n', " "));
    let rule = |row: &Vec<String>| format!("|{}\n", "---|".repeat(row.len()));
    let lines = rows.iter().enumerate().map(|(at, row)| if at == 0 { line(row) + &rule(row) } else { line(row) });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survivors_are_shown_as_a_pair_and_the_rest() {
        let survivors = |workers, daemons, helpers| Survivors { after_s: 1, workers, daemons, helpers }.to_string();
        assert_eq!((survivors(4, 4, 1), survivors(0, 0, 0)), ("(4, 4) + 1".to_owned(), "(0, 0)".to_owned()));
    }

    #[test]
    fn tables() {
        let rows = [["a", "bb"], ["ccc", "d"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows), "a    bb\nccc  d\n");
        assert_eq!(markdown(&rows), "| a | bb |\n|---|---|\n| ccc | d |\n");
    }

    #[test]
    fn a_row_that_was_not_measured_says_why() {
        assert_eq!(cells_of(&Err("not installed".to_owned()), 2), ["not installed", ""]);
    }
}
