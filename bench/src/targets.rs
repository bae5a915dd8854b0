//! What hatchery is held to: ratios to rows of the same run.

use serde::Serialize;

use crate::contender::{Contender, Flavour};
use crate::floor::{Channel, Depth};
use crate::sample::Sample;
use crate::workload::Workload;

/// One ratio, in which more is better or worse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    against: Contender,
    /// How many times its figure: of the time in W1, of the rate in the others.
    bound: Bound,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    /// Our time is at most so many times theirs.
    TimeAtMost(f64),
    /// We are at least so many times faster in time.
    Faster(f64),
    /// Our rate is at least so many times theirs.
    RateAtLeast(f64),
}

/// How one target stands.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) text: String,
    pub(crate) ratio: f64,
    pub(crate) met: bool,
}

/// The floor that hatchery is held against.
pub(crate) fn floor(workload: Workload, flavour: Flavour) -> Contender {
    match workload {
        Workload::W1 => Contender::Floor(Channel::Pipes, Depth::One, flavour),
        Workload::W2 => Contender::Floor(Channel::Pipes, Depth::Pipelined, flavour),
        Workload::W4 => Contender::Floor(Channel::Socket, Depth::One, flavour),
    }
}

/// How a row stands to the floor: of times in W1, of rates in the others.
pub(crate) fn to_floor(workload: Workload, row: &Sample, floor: &Sample) -> Option<f64> {
    match workload {
        Workload::W1 => Some(row.p50_us? / floor.p50_us?),
        Workload::W2 | Workload::W4 => Some(row.per_s / floor.per_s),
    }
}

/// The verdicts on hatchery's rows; none where it was not measured.
pub(crate) fn judge(workload: Workload, rows: &[(Contender, Sample)]) -> Vec<Verdict> {
    let figure = |contender: Contender| rows.iter().find(|(row, _)| *row == contender).map(|(_, sample)| sample);
    let mut verdicts = Vec::new();
    for flavour in [Flavour::OneThread, Flavour::Threads] {
        let Some(ours) = figure(Contender::Hatchery(flavour)) else { continue };
        for target in targets(workload, flavour) {
            verdicts.extend(figure(target.against).and_then(|theirs| target.judge(flavour, ours, theirs)));
        }
    }
    verdicts
}

fn targets(workload: Workload, flavour: Flavour) -> Vec<Target> {
    use Bound::{Faster, RateAtLeast, TimeAtMost};
    use Contender::{Executor, JsonLines, Pool};
    let floor = floor(workload, flavour);
    let bounds = match workload {
        Workload::W1 => {
            vec![(floor, TimeAtMost(1.3)), (JsonLines, TimeAtMost(1.05)), (Pool, Faster(2.5)), (Executor, Faster(6.0))]
        }
        Workload::W2 => {
            vec![
                (floor, RateAtLeast(0.8)),
                (JsonLines, RateAtLeast(1.2)),
                (Pool, RateAtLeast(5.0)),
                (Executor, RateAtLeast(10.0)),
            ]
        }
        Workload::W4 => vec![(floor, RateAtLeast(0.8))],
    };
    bounds.into_iter().map(|(against, bound)| Target { against, bound }).collect()
}

impl Target {
    fn judge(self, flavour: Flavour, ours: &Sample, theirs: &Sample) -> Option<Verdict> {
        let (ratio, met, bound) = match self.bound {
            Bound::TimeAtMost(most) => {
                let ratio = ours.p50_us? / theirs.p50_us?;
                (ratio, ratio <= most, format!("at most {most} x the time of"))
            }
            Bound::Faster(least) => {
                let ratio = theirs.p50_us? / ours.p50_us?;
                (ratio, ratio >= least, format!("at least {least} x faster than"))
            }
            Bound::RateAtLeast(least) => {
                let ratio = ours.per_s / theirs.per_s;
                (ratio, ratio >= least, format!("at least {least} x the rate of"))
            }
        };
        let text = format!("{}: {bound} {}", Contender::Hatchery(flavour).name(), self.against.name());
        Some(Verdict { text, ratio, met })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(workload: Workload, ours: Sample, floor_row: Sample) -> Vec<bool> {
        let flavour = Flavour::OneThread;
        let rows = [(Contender::Hatchery(flavour), ours), (floor(workload, flavour), floor_row)];
        judge(workload, &rows).iter().map(|verdict| verdict.met).collect()
    }

    #[test]
    fn times_and_rates_are_held_against_the_floor() {
        let time = |us| Sample { p50_us: Some(us), ..Sample::default() };
        let rate = |per_s| Sample { per_s, ..Sample::default() };
        assert_eq!(verdicts(Workload::W1, time(12.9), time(10.0)), [true]);
        assert_eq!(verdicts(Workload::W1, time(13.1), time(10.0)), [false]);
        assert_eq!(verdicts(Workload::W2, rate(81.0), rate(100.0)), [true]);
        assert_eq!(verdicts(Workload::W4, rate(79.0), rate(100.0)), [false]);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let floor_only = [(floor(Workload::W1, Flavour::OneThread), Sample::default())];
        assert!(judge(Workload::W1, &floor_only).is_empty());
    }
}
