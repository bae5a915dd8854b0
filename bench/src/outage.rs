//! W6: one of two workers is killed under eight callers. What fails, what hangs, and how long until all is as before.
//!
//! Contenders only keep a record of their calls; what it comes to is worked out here, for all of them alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::child::output;
use crate::contender::Flavour;
use crate::grid::{Grid, shown};
use crate::options::Options;
use crate::sample::median;
use crate::targets::{Verdict, judge_outage};

mod ours;

pub(crate) const CALLERS: usize = 8;
/// What a call takes, in milliseconds: so much that two workers do twice as many as one, whatever a call costs.
pub(crate) const NAP_MS: u64 = 1;
/// No call takes longer, in seconds: one that does hangs.
pub(crate) const BOUND_S: f64 = 2.0;
/// From the first call to the kill, in seconds; the first half is warm-up.
pub(crate) const BEFORE_S: f64 = 1.0;
/// From the kill to the last call, in seconds.
pub(crate) const AFTER_S: f64 = 1.5;
/// The throughput is looked at in steps of so many seconds...
const BUCKET_S: f64 = 0.01;
/// ... and is full again in the first that has so much of the rate before.
const FULL: f64 = 0.9;

/// One call, in seconds of its program's clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) start: f64,
    pub(crate) end: f64,
    /// The process that answered, or the kind of the error.
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    By(i32),
    Failed(String),
}

/// All calls of one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) killed_at: f64,
    /// The workers that were there before.
    pub(crate) workers: Vec<i32>,
    pub(crate) calls: Vec<Call>,
}

/// What a round came to, or what several did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Outage {
    pub(crate) calls_per_s: f64,
    /// Calls that failed, those that hung among them; of several rounds, the most.
    pub(crate) failed: usize,
    pub(crate) hung: usize,
    /// The errors, by kind.
    pub(crate) errors: BTreeMap<String, usize>,
    /// From the kill to the last error.
    pub(crate) told_ms: Option<f64>,
    /// The longest call that was answered after the kill.
    pub(crate) longest_ms: Option<f64>,
    /// From the kill to the first answer of a worker that was not there before.
    pub(crate) successor_ms: Option<f64>,
    /// From the kill to the end of the first bucket at the full rate.
    pub(crate) full_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// A bare worker: killed, started again, called.
    Floor,
    Hatchery {
        idempotent: bool,
    },
    Pool,
    Executor,
    Loky,
}

/// All rounds of all contenders.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    rows: Vec<Row>,
    targets: Vec<Verdict>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    #[serde(flatten)]
    outage: Outage,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

const CONTENDERS: [Contender; 6] = [
    Contender::Floor,
    Contender::Hatchery { idempotent: false },
    Contender::Hatchery { idempotent: true },
    Contender::Pool,
    Contender::Executor,
    Contender::Loky,
];

/// Measures every contender, in turn, round after round.
pub(crate) fn measure_all(options: &Options) -> Result<Table> {
    let mut rounds = vec![Ok(Vec::new()); CONTENDERS.len()];
    for round in 1..=options.rounds {
        eprintln!("w6, round {round} of {}", options.rounds);
        for (contender, rounds) in CONTENDERS.into_iter().zip(&mut rounds) {
            let Ok(so_far) = rounds else { continue };
            match contender.measure(options) {
                Ok(outage) => so_far.push(outage),
                // A peer that cannot be had is left out, and its row says so; ours must run.
                Err(error) if contender.is_peer() => *rounds = Err(error.to_string()),
                Err(error) => return Err(format!("{}: {error}", contender.name()).into()),
            }
        }
    }
    let measured: Vec<_> =
        CONTENDERS.into_iter().zip(rounds).map(|(c, rounds)| (c, rounds.map(|r| Outage::of_rounds(&r)))).collect();
    let targets = judge_outage(
        &measured.iter().filter_map(|(c, outage)| Some((*c, outage.as_ref().ok()?.clone()))).collect::<Vec<_>>(),
    );
    Ok(Table { rows: measured.into_iter().map(|(contender, outage)| Row::of(contender, outage)).collect(), targets })
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Contender::Floor => "floor, a bare worker started again",
            Contender::Hatchery { idempotent: false } => "hatchery",
            Contender::Hatchery { idempotent: true } => "hatchery, idempotent calls",
            Contender::Pool => "multiprocessing.Pool",
            Contender::Executor => "ProcessPoolExecutor",
            Contender::Loky => "loky",
        }
    }

    fn is_peer(self) -> bool {
        matches!(self, Contender::Pool | Contender::Executor | Contender::Loky)
    }

    fn measure(self, options: &Options) -> Result<Outage> {
        let peer = |kind| {
            let [before, after, nap] = [BEFORE_S, AFTER_S, NAP_MS as f64 / 1e3].map(|seconds| seconds.to_string());
            let (callers, bound) = (CALLERS.to_string(), BOUND_S.to_string());
            let printed = output(&options.python, "peers/outage.py", &[kind, &callers, &nap, &before, &after, &bound])?;
            Ok(Outage::of_record(&serde_json::from_str(&printed)?))
        };
        match self {
            Contender::Floor => Flavour::Threads.run(crate::floor::successor(options.python.clone())),
            Contender::Hatchery { idempotent } => {
                Ok(Outage::of_record(&Flavour::Threads.run(ours::record(idempotent))?))
            }
            Contender::Pool => peer("pool"),
            Contender::Executor => peer("executor"),
            Contender::Loky => peer("loky"),
        }
    }
}

impl Outage {
    fn of_record(record: &Record) -> Outage {
        let Record { killed_at, workers, calls } = record;
        let ms = |at: f64| (at - killed_at) * 1e3;
        let answered = |call: &&Call| matches!(call.outcome, Outcome::By(_));
        let is_new = |call: &&Call| matches!(call.outcome, Outcome::By(pid) if !workers.contains(&pid));
        let half = BEFORE_S / 2.0;
        let ended = |from: f64, to: f64| calls.iter().filter(answered).filter(|c| c.end > from && c.end <= to).count();
        let calls_per_s = ended(killed_at - half, *killed_at) as f64 / half;
        let is_full = |bucket: &usize| {
            let from = killed_at + *bucket as f64 * BUCKET_S;
            ended(from, from + BUCKET_S) as f64 >= FULL * calls_per_s * BUCKET_S
        };
        let full = (0..(AFTER_S / BUCKET_S) as usize).find(is_full);
        let mut errors: BTreeMap<String, usize> = BTreeMap::new();
        for call in calls {
            if let Outcome::Failed(kind) = &call.outcome {
                *errors.entry(kind.clone()).or_default() += 1;
            }
        }
        let after = calls.iter().filter(answered).filter(|call| call.end > *killed_at);
        Outage {
            calls_per_s,
            failed: errors.values().sum(),
            hung: calls.iter().filter(|call| call.end - call.start >= BOUND_S).count(),
            errors,
            told_ms: last(calls.iter().filter(|call| !answered(call)).map(|call| ms(call.end))),
            longest_ms: last(after.map(|call| (call.end - call.start) * 1e3)),
            successor_ms: first(calls.iter().filter(is_new).map(|call| ms(call.end))),
            full_ms: full.map(|bucket| (bucket + 1) as f64 * BUCKET_S * 1e3),
        }
    }

    /// Of a bare worker, which is back when it answers.
    pub(crate) fn of_successor(ms: f64) -> Outage {
        Outage { successor_ms: Some(ms), full_ms: Some(ms), ..Outage::default() }
    }

    /// Medians of times and rates; of failures, the worst.
    fn of_rounds(rounds: &[Outage]) -> Outage {
        let times = |of: fn(&Outage) -> Option<f64>| {
            // Never is later than any time.
            let figures = rounds.iter().map(|round| of(round).unwrap_or(f64::INFINITY)).collect();
            median(figures).filter(|figure| figure.is_finite())
        };
        let mut errors = BTreeMap::new();
        for (kind, count) in rounds.iter().flat_map(|round| &round.errors) {
            let most = errors.entry(kind.clone()).or_insert(0);
            *most = (*most).max(*count);
        }
        Outage {
            calls_per_s: times(|round| Some(round.calls_per_s)).unwrap_or_default(),
            failed: rounds.iter().map(|round| round.failed).max().unwrap_or_default(),
            hung: rounds.iter().map(|round| round.hung).max().unwrap_or_default(),
            errors,
            // Rounds without an error have nobody to tell.
            told_ms: last(rounds.iter().filter_map(|round| round.told_ms)),
            longest_ms: last(rounds.iter().filter_map(|round| round.longest_ms)),
            successor_ms: times(|round| round.successor_ms),
            full_ms: times(|round| round.full_ms),
        }
    }
}

fn first(times: impl Iterator<Item = f64>) -> Option<f64> {
    times.min_by(f64::total_cmp)
}

fn last(times: impl Iterator<Item = f64>) -> Option<f64> {
    times.max_by(f64::total_cmp)
}

impl Table {
    pub(crate) fn grids(&self) -> Vec<Grid> {
        let title = format!("W6  kill -9 of one of two workers under {CALLERS} callers of {NAP_MS} ms calls, free");
        let head = ["", "calls/s", "failed", "hung", "told", "longest", "new worker", "full rate", "errors"];
        let note =
            "Failed, hung, told, longest: the worst round; new worker, full rate: medians, from the kill, in ms.";
        vec![Grid::new(title, head).note(note).rows(self.rows.iter().map(Row::cells)).judged(&self.targets)]
    }
}

impl Row {
    fn of(contender: Contender, outage: std::result::Result<Outage, String>) -> Row {
        let missing = outage.as_ref().err().cloned();
        Row { name: contender.name(), outage: outage.unwrap_or_default(), missing }
    }

    fn cells(&self) -> Vec<String> {
        let Row { name, outage, missing } = self;
        if let Some(reason) = missing {
            return vec![(*name).to_owned(), format!("not measured: {reason}")];
        }
        let rate = Some(outage.calls_per_s).filter(|rate| *rate > 0.0);
        let times = [outage.told_ms, outage.longest_ms, outage.successor_ms, outage.full_ms].map(|ms| shown(ms, 1));
        let counts = [shown(rate, 0), outage.failed.to_string(), outage.hung.to_string()];
        let errors: Vec<_> = outage.errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        [&[(*name).to_owned()], &counts[..], &times[..], &[errors.join(", ")]].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(start: f64, end: f64, outcome: Outcome) -> Call {
        Call { start, end, outcome }
    }

    /// Two workers answer 100 calls each a second; one is killed at 1.0, and another is there at 1.2.
    fn record() -> Record {
        let answers = |pid, from: usize, to: usize| {
            (from..to).map(move |n| n as f64 / 1e3).map(move |at| call(at - 0.001, at, Outcome::By(pid)))
        };
        let calls = answers(1, 0, 1000).chain(answers(2, 0, 2500)).chain(answers(3, 1200, 2500));
        let mut record = Record { killed_at: 1.0, workers: vec![1, 2], calls: calls.collect() };
        record.calls.push(call(0.999, 1.002, Outcome::Failed("worker_died".to_owned())));
        record
    }

    #[test]
    fn a_record_says_what_failed_and_when_all_was_as_before() {
        let outage = Outage::of_record(&record());
        assert_eq!((outage.failed, outage.hung, outage.errors["worker_died"]), (1, 0, 1));
        let rounded = |figure: Option<f64>| figure.unwrap().round();
        assert_eq!((rounded(outage.told_ms), rounded(outage.successor_ms)), (2.0, 200.0));
        assert_eq!(rounded(outage.full_ms), 210.0);
        assert_eq!(outage.calls_per_s.round(), 1998.0);
    }

    #[test]
    fn a_call_that_never_comes_back_hangs() {
        let mut record = record();
        record.calls.push(call(0.9, 0.9 + BOUND_S, Outcome::Failed("deadline".to_owned())));
        assert_eq!(Outage::of_record(&record).hung, 1);
    }

    #[test]
    fn what_never_came_back_is_later_than_what_did() {
        let of = |full_ms| Outage { full_ms, ..Outage::default() };
        assert_eq!(Outage::of_rounds(&[of(Some(1.0)), of(None), of(None)]).full_ms, None);
        assert_eq!(Outage::of_rounds(&[of(Some(1.0)), of(None), of(Some(3.0))]).full_ms, Some(3.0));
    }
}
