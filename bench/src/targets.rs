//! What hatchery is held to: ratios to rows of the same run, and bounds where a page of limits has them.

use std::fmt;

use serde::Serialize;

use crate::contender::{Contender, Flavour, Measured};
use crate::floor::{Channel, Depth};
use crate::orphans::State;
use crate::outage::{self, Outage};
use crate::peer::Peer;
use crate::pin::Placement;
use crate::sample::Sample;
use crate::scale::{Decision, Figures};
use crate::startup::{self, Modules, Start, Started};
use crate::workload::Workload;

/// One figure of ours, held against the same of another row.
#[derive(Clone, Copy, Debug)]
struct Target {
    against: Contender,
    figure: Figure,
    bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Call,
    Rate,
    FirstChunk,
    ToWorker,
    FromWorker,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    /// Our time is at most so many times theirs, or our rate at least.
    Ratio(f64),
    /// We are at least so many times faster.
    Faster(f64),
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
    pub(crate) fn at_most(text: String, figure: f64, most: f64) -> Verdict {
        Verdict { text, ratio: figure / most, met: figure <= most }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { text, ratio, met } = self;
        write!(f, "{} {text} ({ratio:.2})", if *met { "met   " } else { "MISSED" })
    }
}

/// The floor that a row of this runtime is held against.
pub(crate) fn floor(workload: Workload, flavour: Flavour) -> Contender {
    match workload {
        Workload::W1 => Contender::Floor(Channel::Pipes, Depth::One, flavour),
        Workload::W2 => Contender::Floor(Channel::Pipes, Depth::Pipelined, flavour),
        Workload::W3 => Contender::PooledMemory,
        Workload::W4 => Contender::Floor(Channel::Socket, Depth::One, flavour),
    }
}

/// How a row stands to the floor: of times in W1 and W3 (there the worse direction), of rates in the others.
pub(crate) fn to_floor(workload: Workload, row: &Sample, floor: &Sample) -> Option<f64> {
    let ratio = |figure: Figure| Some(figure.of(row)? / figure.of(floor)?);
    match workload {
        Workload::W1 => ratio(Figure::Call),
        Workload::W2 | Workload::W4 => ratio(Figure::Rate),
        Workload::W3 => Some(ratio(Figure::ToWorker)?.max(ratio(Figure::FromWorker)?)),
    }
}

/// The verdicts on hatchery's rows; none where it, or what it is held against, was not measured.
pub(crate) fn judge(workload: Workload, placement: Placement, rows: &[Measured]) -> Vec<Verdict> {
    let sample = |contender: Contender| {
        rows.iter().find(|row| row.contender == contender).and_then(|row| row.sample.as_ref().ok())
    };
    let mut verdicts = Vec::new();
    for flavour in [Flavour::OneThread, Flavour::Threads] {
        let Some(ours) = sample(Contender::Hatchery(flavour)) else { continue };
        for target in targets(workload, flavour) {
            verdicts.extend(sample(target.against).and_then(|theirs| target.judge(flavour, ours, theirs)));
        }
        if (workload, placement) == (Workload::W1, Placement::Free) {
            verdicts.extend(ours.p50_us.map(|us| ancestor(flavour, us)));
        }
    }
    verdicts
}

/// What one call took in Snakepit, not pinned, when it was measured; it is in no run of ours.
const ANCESTOR_US: f64 = 1590.0;
const ANCESTOR_FASTER: f64 = 100.0;

fn ancestor(flavour: Flavour, us: f64) -> Verdict {
    let ratio = ANCESTOR_US / us;
    let ours = Contender::Hatchery(flavour).name();
    let text = format!("{ours}: at least {ANCESTOR_FASTER} x faster than Snakepit's recorded {ANCESTOR_US} us");
    Verdict { text, ratio, met: ratio >= ANCESTOR_FASTER }
}

fn targets(workload: Workload, flavour: Flavour) -> Vec<Target> {
    use Bound::{Faster, Ratio};
    use Contender::JsonLines;
    use Figure::{Call, FirstChunk, FromWorker, Rate, ToWorker};
    let floor = floor(workload, flavour);
    let [pool, executor, mosec, grpc, ray] =
        [Peer::Pool, Peer::Executor, Peer::Mosec, Peer::Grpc, Peer::Ray].map(Contender::Peer);
    let bounds = match workload {
        Workload::W1 => vec![
            (floor, Call, Ratio(1.3)),
            (JsonLines, Call, Ratio(1.05)),
            (pool, Call, Faster(2.5)),
            (executor, Call, Faster(6.0)),
            (mosec, Call, Faster(10.0)),
            (grpc, Call, Faster(20.0)),
            (ray, Call, Faster(40.0)),
        ],
        Workload::W2 => vec![
            (floor, Rate, Ratio(0.8)),
            (JsonLines, Rate, Ratio(1.2)),
            (pool, Rate, Faster(5.0)),
            (executor, Rate, Faster(10.0)),
            (grpc, Rate, Faster(20.0)),
            (ray, Rate, Faster(50.0)),
        ],
        Workload::W3 => vec![
            (floor, ToWorker, Ratio(1.3)),
            (floor, FromWorker, Ratio(1.3)),
            (executor, ToWorker, Faster(15.0)),
            (executor, FromWorker, Faster(15.0)),
            (ray, ToWorker, Faster(4.0)),
            (ray, FromWorker, Faster(4.0)),
        ],
        Workload::W4 => vec![
            (floor, Rate, Ratio(0.8)),
            (grpc, Rate, Faster(10.0)),
            (mosec, Rate, Faster(10.0)),
            (mosec, FirstChunk, Ratio(0.3)),
        ],
    };
    bounds.into_iter().map(|(against, figure, bound)| Target { against, figure, bound }).collect()
}

impl Figure {
    fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            Figure::Call => sample.p50_us,
            Figure::Rate => sample.per_s,
            Figure::FirstChunk => sample.first_us,
            Figure::ToWorker => sample.to_ms,
            Figure::FromWorker => sample.from_ms,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Figure::Call => "the time of a call",
            Figure::Rate => "the rate",
            Figure::FirstChunk => "the time to the first chunk",
            Figure::ToWorker => "the time to the worker",
            Figure::FromWorker => "the time from the worker",
        }
    }
}

impl Target {
    fn judge(self, flavour: Flavour, ours: &Sample, theirs: &Sample) -> Option<Verdict> {
        let (ours, theirs) = (self.figure.of(ours)?, self.figure.of(theirs)?);
        let is_rate = self.figure == Figure::Rate;
        let (ratio, met, bound) = match self.bound {
            Bound::Ratio(least) if is_rate => (ours / theirs, ours / theirs >= least, format!("at least {least} x")),
            Bound::Ratio(most) => (ours / theirs, ours / theirs <= most, format!("at most {most} x")),
            Bound::Faster(least) => {
                let ratio = if is_rate { ours / theirs } else { theirs / ours };
                (ratio, ratio >= least, format!("at least {least} x faster in"))
            }
        };
        let (name, against) = (Contender::Hatchery(flavour).name(), self.against.name());
        Some(Verdict { text: format!("{name}: {bound} {} of {against}", self.figure.name()), ratio, met })
    }
}

/// The verdicts on W5: on starts from a template, with the modules that take long to import.
pub(crate) fn judge_startup(modules: Modules, rows: &[startup::Measured]) -> Vec<Verdict> {
    use startup::Contender::{ColdFloor, Executor, Hatchery, TemplateFloor};
    let started = |contender: startup::Contender| {
        rows.iter().find(|(row, _)| *row == contender).and_then(|(_, started)| started.as_ref().ok())
    };
    let Some(ours) = started(Hatchery(Start::Template)) else { return Vec::new() };
    if !matches!(modules, Modules::Numpy | Modules::Sklearn) {
        return Vec::new();
    }
    let ready = |started: &Started| started.ready_ms;
    let ratios = [
        (TemplateFloor, "ready in at most 2 x the time of", ratio(ours, started(TemplateFloor), ready), 2.0),
        (ColdFloor, "ready in at most 1/15 of the time of", ratio(ours, started(ColdFloor), ready), 1.0 / 15.0),
        (Executor, "ready in at most 1/15 of the time of", ratio(ours, started(Executor), ready), 1.0 / 15.0),
        (
            ColdFloor,
            "boot included, at most 1/6 of the time of",
            ratio(ours, started(ColdFloor), Started::whole_ms),
            1.0 / 6.0,
        ),
        (
            ColdFloor,
            "PSS at most 0.25 x that of",
            ratio(ours, started(ColdFloor), |started| started.memory.pss_mib),
            0.25,
        ),
    ];
    let verdict = |(against, bound, ratio, most): (startup::Contender, &str, Option<f64>, f64)| {
        let text = format!("{}: {bound} {}", Hatchery(Start::Template).name(), against.name());
        ratio.map(|ratio| Verdict { text, ratio, met: ratio <= most })
    };
    ratios.into_iter().filter_map(verdict).collect()
}

fn ratio(ours: &Started, theirs: Option<&Started>, of: impl Fn(&Started) -> f64) -> Option<f64> {
    theirs.map(|theirs| of(ours) / of(theirs))
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

/// The verdicts on W7: after the first time that was looked, none of ours is left, grandchildren included.
pub(crate) fn judge_survivors(states: &[State]) -> Vec<Verdict> {
    let verdict = |state: &State| {
        let left = state.left.as_ref().ok().and_then(|left| left.first().copied());
        let found = left.map_or_else(|| "not measured".to_owned(), |left| format!("{left} found"));
        let text = format!("{}: nothing left after 1 s, {found}", state.name);
        Verdict { text, ratio: left.map_or(f64::NAN, |left| left as f64), met: left == Some(0) }
    };
    states.iter().filter(|state| state.is_ours).map(verdict).collect()
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

    fn verdicts(workload: Workload, ours: Sample, against: Contender, theirs: Sample) -> Vec<bool> {
        let measured = |contender, sample| Measured { contender, rounds: 1, sample: Ok(sample) };
        let rows = [measured(Contender::Hatchery(Flavour::OneThread), ours), measured(against, theirs)];
        judge(workload, Placement::Pinned, &rows).iter().map(|verdict| verdict.met).collect()
    }

    #[test]
    fn times_and_rates_are_held_against_the_floor() {
        let time = |us| Sample { p50_us: Some(us), ..Sample::default() };
        let rate = |per_s| Sample { per_s: Some(per_s), ..Sample::default() };
        let arrays = |to, from| Sample { to_ms: Some(to), from_ms: Some(from), ..Sample::default() };
        let verdicts = |workload, ours, theirs| verdicts(workload, ours, floor(workload, Flavour::OneThread), theirs);
        assert_eq!(verdicts(Workload::W1, time(12.9), time(10.0)), [true]);
        assert_eq!(verdicts(Workload::W1, time(13.1), time(10.0)), [false]);
        assert_eq!(verdicts(Workload::W2, rate(81.0), rate(100.0)), [true]);
        assert_eq!(verdicts(Workload::W4, rate(79.0), rate(100.0)), [false]);
        assert_eq!(verdicts(Workload::W3, arrays(12.0, 12.0), arrays(10.0, 8.0)), [true, false]);
    }

    #[test]
    fn peers_are_to_be_so_many_times_slower() {
        let ours = Sample { first_us: Some(10.0), per_s: Some(100.0), ..Sample::default() };
        let theirs = |first, per_s| Sample { first_us: Some(first), per_s: Some(per_s), ..Sample::default() };
        let mosec = Contender::Peer(Peer::Mosec);
        assert_eq!(verdicts(Workload::W4, ours, mosec, theirs(40.0, 9.0)), [true, true]);
        assert_eq!(verdicts(Workload::W4, ours, mosec, theirs(30.0, 11.0)), [false, false]);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let contender = floor(Workload::W1, Flavour::OneThread);
        let floor_only = [Measured { contender, rounds: 1, sample: Ok(Sample::default()) }];
        assert!(judge(Workload::W1, Placement::Free, &floor_only).is_empty());
        let ours = Contender::Hatchery(Flavour::OneThread);
        let failed = [Measured { contender: ours, rounds: 0, sample: Err("no".to_owned()) }];
        assert!(judge(Workload::W1, Placement::Free, &failed).is_empty());
    }

    #[test]
    fn the_ancestor_is_held_against_where_nobody_is_pinned() {
        let ours = Contender::Hatchery(Flavour::OneThread);
        let rows =
            [Measured { contender: ours, rounds: 1, sample: Ok(Sample { p50_us: Some(15.0), ..Sample::default() }) }];
        assert!(judge(Workload::W1, Placement::Pinned, &rows).is_empty());
        assert_eq!(judge(Workload::W1, Placement::Free, &rows)[0].ratio, 106.0);
    }

    #[test]
    fn a_template_is_held_to_its_time_with_and_without_its_boot() {
        let started = |boot_ms, ready_ms, pss_mib| {
            let memory = crate::family::Memory { rss_mib: 0.0, pss_mib };
            Ok(Started { boot_ms, ready_ms, memory })
        };
        let rows = [
            (startup::Contender::Hatchery(Start::Template), started(Some(130.0), 30.0, 50.0)),
            (startup::Contender::TemplateFloor, started(Some(100.0), 20.0, 35.0)),
            (startup::Contender::ColdFloor, started(None, 900.0, 210.0)),
            (startup::Contender::Executor, started(None, 400.0, 210.0)),
        ];
        let met: Vec<bool> = judge_startup(Modules::Numpy, &rows).iter().map(|verdict| verdict.met).collect();
        assert_eq!(met, [true, true, false, false, true]);
        assert!(judge_startup(Modules::Plain, &rows).is_empty());
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
    fn nothing_of_ours_is_left_and_what_is_not_known_is_not_nothing() {
        let states = [
            State::left("idle", true, Ok(vec![0, 0])),
            State::left("asleep", true, Ok(vec![2, 0])),
            State::left("loop", true, Err("no namespace".to_owned())),
            State::left("peer", false, Ok(vec![9, 9])),
        ];
        let met: Vec<bool> = judge_survivors(&states).iter().map(|verdict| verdict.met).collect();
        assert_eq!(met, [true, false, false]);
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
