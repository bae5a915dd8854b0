//! The decision by itself: a measurement inside the library, which no benchmark from outside can enter.

use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::grid::Grid;

const TEST: &str = "test --release --quiet -p hatchery --lib -- --ignored --nocapture --exact";
const NAME: &str = "pool::roster::measuring::dispatch_costs";

/// What the measurement said.
#[derive(Debug, Serialize)]
pub(crate) struct Roster {
    pub(crate) decisions: Vec<Decision>,
    #[serde(skip)]
    pub(crate) binding_bytes: f64,
}

/// What one turn of one kind costs in a roster of one size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) case: String,
    pub(crate) workers: usize,
    pub(crate) queued: usize,
    pub(crate) ns: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Binding { binding_bytes: f64 },
    Decision(Decision),
}

pub(super) fn measure() -> Result<Roster> {
    eprintln!("scale, decisions of the roster");
    let printed = run()?;
    let lines = printed.lines().filter(|line| line.starts_with('{')).map(serde_json::from_str::<Line>);
    let mut roster = Roster { decisions: Vec::new(), binding_bytes: f64::NAN };
    for line in lines {
        match line? {
            Line::Binding { binding_bytes } => roster.binding_bytes = binding_bytes,
            Line::Decision(decision) => roster.decisions.push(decision),
        }
    }
    if roster.decisions.is_empty() { Err(format!("{NAME} said nothing").into()) } else { Ok(roster) }
}

#[expect(clippy::disallowed_methods, reason = "a compiler is no worker; it is waited for")]
fn run() -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(TEST.split(' ')).arg(NAME).current_dir(crate::child::folder()).stdin(Stdio::null());
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("start cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo {TEST} {NAME} ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

impl Roster {
    /// The kinds of turns, in their order.
    pub(crate) fn cases(&self) -> Vec<&str> {
        let mut cases: Vec<&str> = Vec::new();
        for decision in &self.decisions {
            if !cases.contains(&decision.case.as_str()) {
                cases.push(&decision.case);
            }
        }
        cases
    }

    pub(super) fn grid(&self) -> Grid {
        let mut sizes: Vec<_> = self.decisions.iter().map(|decision| (decision.workers, decision.queued)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let heads = sizes.iter().map(|(workers, queued)| format!("{workers} w, {queued} q"));
        let note = "ns a decision of the roster, with so many workers and so many calls queued: a call comes, waits, is given to a \
                    worker, is answered; and its ratio to the first.";
        let rows = self.cases().into_iter().map(|case| self.cells(case, &sizes));
        let head = std::iter::once(String::new()).chain(heads).collect();
        Grid { head, ..Grid::new("scale  what grows with the size of a pool", []) }.note(note).rows(rows)
    }

    fn cells(&self, case: &str, sizes: &[(usize, usize)]) -> Vec<String> {
        let of = |size: &(usize, usize)| {
            self.decisions.iter().find(|found| found.case == case && (found.workers, found.queued) == *size)
        };
        let first = sizes.iter().find_map(of).map_or(f64::NAN, |first| first.ns);
        let cell = |size| of(size).map_or_else(|| "-".to_owned(), |d| format!("{:.0} ({:.2})", d.ns, d.ns / first));
        std::iter::once(case.to_owned()).chain(sizes.iter().map(cell)).collect()
    }
}
