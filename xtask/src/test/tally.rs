//! Counts of tests, read from the lines that test runners print.

use std::iter::Sum;

/// How many tests ended how. One line of a runner may take back what another has counted, so the counts are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: i64,
    pub(crate) failed: i64,
    pub(crate) skipped: i64,
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(tallies: I) -> Tally {
        tallies.fold(Tally::default(), |sum, tally| Tally {
            passed: sum.passed + tally.passed,
            failed: sum.failed + tally.failed,
            skipped: sum.skipped + tally.skipped,
        })
    }
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; …`, of which there is one per test program.
pub(crate) fn of_cargo_line(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
    Some(Tally { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
}

/// `Ran 12 tests in 0.1s`, then `OK (skipped=2)` or `FAILED (failures=1, errors=2)`.
pub(crate) fn of_unittest_line(line: &str) -> Option<Tally> {
    if let Some(rest) = line.strip_prefix("Ran ") {
        let ran = rest.split_once(" test")?.0.parse().ok()?;
        return Some(Tally { passed: ran, ..Tally::default() });
    }
    let details = line.strip_prefix("OK (").or_else(|| line.strip_prefix("FAILED ("))?.strip_suffix(')')?;
    let count = |what: &str| -> i64 {
        details.split(", ").find_map(|part| part.strip_prefix(what)?.strip_prefix('=')?.parse().ok()).unwrap_or(0)
    };
    let failed = count("failures") + count("errors") + count("unexpected successes");
    Some(Tally { passed: -failed - count("skipped"), failed, skipped: count("skipped") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: i64, failed: i64, skipped: i64) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn cargo_lines() {
        let ok = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let failed = "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(of_cargo_line(ok), Some(tally(5, 0, 1)));
        assert_eq!(of_cargo_line(failed), Some(tally(4, 2, 0)));
        assert_eq!(of_cargo_line("test id::tests::renders ... ok"), None);
    }

    #[test]
    fn unittest_lines() {
        let cases: [(&[&str], Tally); 5] = [
            (&["Ran 12 tests in 0.101s", "OK"], tally(12, 0, 0)),
            (&["Ran 1 test in 0.101s", "OK"], tally(1, 0, 0)),
            (&["Ran 12 tests in 0.101s", "OK (skipped=2)"], tally(10, 0, 2)),
            (&["Ran 12 tests in 0.1s", "FAILED (failures=1, errors=2, skipped=1)"], tally(8, 3, 1)),
            (&["Ran 2 tests in 0.1s", "FAILED (unexpected successes=1)"], tally(1, 1, 0)),
        ];
        for (lines, expected) in cases {
            assert_eq!(lines.iter().filter_map(|line| of_unittest_line(line)).sum::<Tally>(), expected, "{lines:?}");
        }
    }
}
