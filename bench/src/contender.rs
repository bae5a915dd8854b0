//! Who is measured, and the rounds in which they take turns.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::Result;
use crate::child::output;
use crate::floor::{self, Channel, Depth};
use crate::jsonl;
use crate::options::Options;
use crate::pin::Placement;
use crate::sample::Sample;
use crate::workload::Workload;

/// Which tokio runtime a client runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    OneThread,
    Threads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Floor(Channel, Depth, Flavour),
    Hatchery(Flavour),
    /// Its client for threads that wait.
    Blocking,
    JsonLines,
    Pool,
    Executor,
}

/// Measures every contender of a workload, in turn, round after round; the medians.
pub(crate) fn measure_all(
    workload: Workload,
    placement: Placement,
    options: &Options,
) -> Result<Vec<(Contender, Sample)>> {
    let _held = placement.hold()?;
    let contenders = Contender::of(workload);
    let mut samples = vec![Vec::new(); contenders.len()];
    for round in 1..=options.rounds {
        eprintln!("{} {}, round {round} of {}", workload.name(), placement.name(), options.rounds);
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            let sample = contender.measure(workload, options);
            samples.push(sample.map_err(|error| format!("{} {}: {error}", workload.name(), contender.name()))?);
        }
    }
    Ok(contenders.into_iter().zip(samples.iter().map(|samples| Sample::median(samples))).collect())
}

impl Contender {
    fn of(workload: Workload) -> Vec<Contender> {
        use Channel::{Pipes, Socket};
        use Contender::{Executor, Floor, JsonLines, Pool};
        use Depth::{One, Pipelined};
        use Flavour::{OneThread, Threads};
        let others = match workload {
            Workload::W1 => {
                let floors = [Floor(Pipes, One, OneThread), Floor(Pipes, One, Threads)];
                [&[Contender::Blocking], &floors[..], &[JsonLines, Pool, Executor]].concat()
            }
            Workload::W2 => vec![
                Floor(Pipes, Pipelined, OneThread),
                Floor(Pipes, Pipelined, Threads),
                Floor(Pipes, One, OneThread),
                Floor(Pipes, One, Threads),
                JsonLines,
                Pool,
                Executor,
            ],
            Workload::W4 => {
                let floor = |channel| [Floor(channel, One, OneThread), Floor(channel, One, Threads)];
                [floor(Socket), floor(Pipes)].concat().into_iter().chain([JsonLines]).collect()
            }
        };
        [[OneThread, Threads].map(Contender::Hatchery).to_vec(), others].concat()
    }

    pub(crate) fn name(self) -> String {
        match self {
            Contender::Floor(channel, depth, flavour) => {
                let channel = if channel == Channel::Pipes { "pipes" } else { "socket" };
                let depth = if depth == Depth::Pipelined { ", pipelined" } else { ", one call per worker" };
                format!("floor, {channel}{depth}, {}", flavour.name())
            }
            Contender::Hatchery(flavour) => format!("hatchery, {}", flavour.name()),
            Contender::Blocking => "hatchery (blocking)".to_owned(),
            Contender::JsonLines => "JSON lines over pipes, blocking client".to_owned(),
            Contender::Pool => "multiprocessing.Pool".to_owned(),
            Contender::Executor => "ProcessPoolExecutor".to_owned(),
        }
    }

    fn measure(self, workload: Workload, options: &Options) -> Result<Sample> {
        let (python, size) = (options.python.clone(), options.size);
        match self {
            Contender::Floor(channel, depth, flavour) => match workload {
                Workload::W1 => flavour.run(floor::echo(python, channel, size)),
                Workload::W2 => flavour.run(floor::in_flight(python, channel, depth, size)),
                Workload::W4 => flavour.run(floor::stream(python, channel, size)),
            },
            Contender::Hatchery(flavour) => flavour.run(crate::ours::measure(workload, size)),
            Contender::Blocking => crate::ours::echo_blocking(size),
            Contender::JsonLines => jsonl::measure(&python, workload, size),
            Contender::Pool => executors("pool", workload, options),
            Contender::Executor => executors("executor", workload, options),
        }
    }
}

/// The pools of the standard library measure themselves; they get fewer calls in W2, being slower.
fn executors(kind: &str, workload: Workload, options: &Options) -> Result<Sample> {
    let calls = match workload {
        Workload::W2 => options.size.in_flight / 5,
        _ => options.size.calls,
    };
    let printed = output(&options.python, "peers/executors.py", &[kind, workload.name(), &calls.to_string()])?;
    Ok(serde_json::from_str(&printed)?)
}

impl Flavour {
    fn name(self) -> &'static str {
        match self {
            Flavour::OneThread => "tokio current_thread",
            Flavour::Threads => "tokio multi_thread",
        }
    }

    /// Runs the client as a task, as a program would: the thread that blocks on a multi-threaded runtime is none of its workers.
    pub(crate) fn run<T: Send + 'static>(self, client: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        self.build()?.block_on(async { tokio::spawn(client).await })?
    }

    fn build(self) -> std::io::Result<Runtime> {
        match self {
            Flavour::OneThread => Builder::new_current_thread().enable_all().build(),
            Flavour::Threads => Builder::new_multi_thread().enable_all().build(),
        }
    }
}
