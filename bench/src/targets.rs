//! What hatchery is held to: ratios to rows of the same run, and bounds where a page of limits has them.

use serde::Serialize;

use crate::contender::{Contender, Flavour};
use crate::floor::{Channel, Depth};
use crate::outage::{self, Outage};
use crate::sample::Sample;
use crate::scale::{Decision, Figures};
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
    /// To the row that it is held against, or to the bound.
    pub(crate) ratio: f64,
    pub(crate) met: bool,
}

impl Verdict {
    /// A figure and the most that it may be.
    fn at_most(text: String, figure: f64, most: f64) -> Verdict {
        Verdict { text, ratio: figure / most, met: figure <= most }
    }

    pub(crate) fn print(&self) {
        let Verdict { text, ratio, met } = self;
        println!("  {} {text} ({ratio:.2})", if *met { "met   " } else { "MISSED" });
    }
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

/// Until when the callers of a dead worker are to be told, and until when all is to be as before, in milliseconds.
const TOLD_MS: f64 = 50.0;
const FULL_MS: f64 = 100.0;

/// The verdicts on W6. A worker has one call at a time.
pub(crate) fn judge_outage(rows: &[(outage::Contender, Outage)]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (contender, outage) in rows {
        let outage::Contender::Hatchery { idempotent } = *contender else { continue };
        let name = contender.name();
        let typed = outage.errors.get("worker_died").copied().unwrap_or_default();
        let (most, bound) =
            if idempotent { (0, "no call failed") } else { (1, "at most 1 call failed, with worker_died") };
        verdicts.push(Verdict {
            text: format!("{name}: {bound}; {} did", outage.failed),
            ratio: outage.failed as f64,
            met: outage.failed <= most && typed == outage.failed,
        });
        verdicts.push(Verdict {
            text: format!("{name}: none hung; {} did", outage.hung),
            ratio: outage.hung as f64,
            met: outage.hung == 0,
        });
        let told = outage.told_ms.map(|told| (format!("{name}: told after at most {TOLD_MS} ms"), told, TOLD_MS));
        let full = outage.full_ms.unwrap_or(f64::INFINITY);
        let full = (format!("{name}: full rate after at most {FULL_MS} ms"), full, FULL_MS);
        verdicts.extend(told.into_iter().chain([full]).map(|(text, ms, most)| Verdict::at_most(text, ms, most)));
    }
    verdicts
}

/// By how much a cost may grow and still be flat.
const FLAT: f64 = 1.2;
const SESSIONS_MIB: f64 = 20.0;
const IDLE_KIB: f64 = 64.0;

/// The verdicts on `scale`.
pub(crate) fn judge_scale(figures: &Figures) -> Vec<Verdict> {
    let Figures { roster, backlog, idle, sessions } = figures;
    let mut verdicts = Vec::new();
    for case in roster.cases() {
        let of_case: Vec<_> = roster.decisions.iter().filter(|decision| decision.case == case).collect();
        let workers = growth(&of_case, |decision| decision.workers, |decision| decision.queued);
        let queued = growth(&of_case, |decision| decision.queued, |decision| decision.workers);
        for (growth, over) in [(workers, "1 to 256 workers"), (queued, "an empty queue to 100 000 calls")] {
            let text = format!("a decision, {case}: flat from {over}, at most {FLAT} x");
            verdicts.extend(growth.map(|ratio| Verdict { text, ratio, met: ratio <= FLAT }));
        }
    }
    let text = format!("calls/s with {} waiting: at least 1/{FLAT} of those with nobody waiting", backlog.calls);
    verdicts.push(flat(text, backlog.empty_per_s / backlog.long_per_s));
    let text = format!("a call with 64 idle workers beside: at most {FLAT} x the time of one with none");
    verdicts.push(flat(text, idle.many_p50_us / idle.few_p50_us));
    let idle = idle.kib();
    verdicts.push(Verdict::at_most(format!("an idle worker: at most {IDLE_KIB} KiB, {idle:.1} found"), idle, IDLE_KIB));
    let whole = if sessions.store_bytes.is_some() { "" } else { " without their store" };
    let text = format!("10 000 live sessions{whole}: at most {SESSIONS_MIB} MiB, {:.1} found", sessions.mib());
    verdicts.push(Verdict::at_most(text, sessions.mib(), SESSIONS_MIB));
    verdicts
}

fn flat(text: String, ratio: f64) -> Verdict {
    Verdict { text, ratio, met: ratio <= FLAT }
}

/// By how much the largest costs more than the smallest, where that is most, all else being equal; `None` if there is one size.
fn growth(decisions: &[&Decision], size: fn(&Decision) -> usize, other: fn(&Decision) -> usize) -> Option<f64> {
    let smallest = decisions.iter().map(|decision| size(decision)).min()?;
    let largest = decisions.iter().map(|decision| size(decision)).max().filter(|largest| *largest > smallest)?;
    let at = |of: usize, same: usize| {
        decisions.iter().find(|decision| size(decision) == of && other(decision) == same).map(|decision| decision.ns)
    };
    let growths = decisions.iter().map(|decision| other(decision));
    growths.filter_map(|same| Some(at(largest, same)? / at(smallest, same)?)).max_by(f64::total_cmp)
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

    #[test]
    fn an_outage_is_held_to_what_failed_and_to_when_it_was_over() {
        let outage = |failed, kind: &str, full_ms| Outage {
            failed,
            errors: [(kind.to_owned(), failed)].into(),
            told_ms: Some(2.0),
            full_ms,
            ..Outage::default()
        };
        let met = |idempotent, outage| {
            let verdicts = judge_outage(&[(outage::Contender::Hatchery { idempotent }, outage)]);
            verdicts.iter().map(|verdict| verdict.met).collect::<Vec<_>>()
        };
        assert_eq!(met(false, outage(1, "worker_died", Some(99.0))), [true; 4]);
        assert_eq!(met(true, outage(1, "worker_died", Some(101.0))), [false, true, true, false]);
        assert_eq!(met(false, outage(1, "deadline", None)), [false, true, true, false]);
    }

    #[test]
    fn growth_is_that_of_the_worst_pair_that_differs_in_one_thing() {
        let decision = |workers, queued, ns| Decision { case: String::new(), workers, queued, ns };
        let grid = [(1, 0, 10.0), (1, 9, 12.0), (8, 0, 10.0), (8, 9, 24.0)].map(|(w, q, ns)| decision(w, q, ns));
        let grid: Vec<_> = grid.iter().collect();
        assert_eq!(growth(&grid, |decision| decision.workers, |decision| decision.queued), Some(2.0));
        assert_eq!(growth(&grid, |decision| decision.queued, |decision| decision.workers), Some(2.4));
        assert_eq!(growth(&grid[..1], |decision| decision.workers, |decision| decision.queued), None);
    }
}
