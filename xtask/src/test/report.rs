//! What a run of all tests came to: a line per part, and one closing line.

use std::process::ExitCode;

use super::tally::Tally;

/// How one part ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran to its end and these are its counts.
    Ran(Tally),
    /// It ran, or should have; something other than a test failed.
    Broken(String),
    /// It could not run here and need not.
    Skipped(String),
}

impl Outcome {
    /// Judges a runner by its exit, by its counts, and by what it left behind.
    pub(crate) fn of(succeeded: bool, output_held: bool, tally: Tally) -> Outcome {
        match (succeeded, tally) {
            (_, Tally { failed: 1.., .. }) => Outcome::Ran(tally),
            (false, _) => Outcome::Broken("the runner failed outside of its tests".to_owned()),
            _ if output_held => Outcome::Broken("a test left a process behind that holds the output".to_owned()),
            (true, Tally { passed: ..=0, .. }) => Outcome::Broken("no test ran".to_owned()),
            (true, _) => Outcome::Ran(tally),
        }
    }

    /// The counts; a part that is broken is one failure.
    fn tally(&self) -> Tally {
        match self {
            Outcome::Ran(tally) => Tally { passed: tally.passed.max(0), ..*tally },
            Outcome::Broken(_) => Tally { failed: 1, ..Tally::default() },
            Outcome::Skipped(_) => Tally { skipped: 1, ..Tally::default() },
        }
    }

    fn text(&self) -> String {
        match self {
            Outcome::Ran(_) => {
                let Tally { passed, failed, skipped } = self.tally();
                format!("{passed} passed, {failed} failed, {skipped} skipped")
            }
            Outcome::Broken(reason) => format!("FAILED: {reason}"),
            Outcome::Skipped(reason) => format!("skipped: {reason}"),
        }
    }
}

/// The parts that have run so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    parts: Vec<(String, Outcome)>,
}

impl Report {
    pub(crate) fn add(&mut self, name: impl Into<String>, outcome: Outcome) {
        let name = name.into();
        println!("-- {name}: {}\n", outcome.text());
        self.parts.push((name, outcome));
    }

    /// Prints the summary, whose last line is `N passed, N failed`.
    pub(crate) fn close(&self) -> ExitCode {
        for (name, outcome) in &self.parts {
            println!("{name}: {}", outcome.text());
        }
        let total: Tally = self.parts.iter().map(|(_, outcome)| outcome.tally()).sum();
        println!("{} passed, {} failed", total.passed, total.failed);
        if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: i64, failed: i64) -> Tally {
        Tally { passed, failed, skipped: 0 }
    }

    #[test]
    fn a_part_is_green_only_when_tests_ran_and_nothing_failed() {
        let broken = |reason: &str| Outcome::Broken(reason.to_owned());
        let cases = [
            (Outcome::of(true, false, tally(3, 0)), Outcome::Ran(tally(3, 0))),
            (Outcome::of(false, false, tally(3, 1)), Outcome::Ran(tally(3, 1))),
            (Outcome::of(false, false, tally(3, 0)), broken("the runner failed outside of its tests")),
            (Outcome::of(true, false, tally(0, 0)), broken("no test ran")),
            (Outcome::of(true, true, tally(3, 0)), broken("a test left a process behind that holds the output")),
        ];
        for (outcome, expected) in cases {
            assert_eq!(outcome, expected);
        }
        assert_eq!(broken("x").tally().failed, 1);
    }
}
