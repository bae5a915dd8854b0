//! Who is measured, and the rounds in which they take turns.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::Result;
use crate::floor::{self, Channel, Depth, pooled};
use crate::jsonl;
use crate::options::Options;
use crate::peer::Peer;
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
    /// The floor of W3.
    PooledMemory,
    Hatchery(Flavour),
    /// Its client for threads that wait.
    Blocking,
    JsonLines,
    Peer(Peer),
}

/// What the rounds of one contender came to.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) contender: Contender,
    pub(crate) rounds: usize,
    /// The medians, or why there are none.
    pub(crate) sample: std::result::Result<Sample, String>,
}

/// Measures every contender of a workload, in turn, round after round.
pub(crate) fn measure_all(workload: Workload, placement: Placement, options: &Options) -> Result<Vec<Measured>> {
    let _held = placement.hold()?;
    let contenders = Contender::of(workload);
    let mut rounds = vec![Ok(Vec::new()); contenders.len()];
    for round in 1..=options.rounds {
        eprintln!("{} {}, round {round} of {}", workload.name(), placement.name(), options.rounds);
        for (contender, samples) in contenders.iter().zip(&mut rounds) {
            contender.take_turn(round, samples, workload, options);
        }
    }
    Ok(contenders.into_iter().zip(rounds).map(|(contender, samples)| Measured::of(contender, samples)).collect())
}

type Rounds = std::result::Result<Vec<Sample>, String>;

impl Measured {
    fn of(contender: Contender, samples: Rounds) -> Measured {
        let rounds = samples.as_ref().map_or(0, Vec::len);
        Measured { contender, rounds, sample: samples.map(|samples| Sample::median(&samples)) }
    }
}

impl Contender {
    fn of(workload: Workload) -> Vec<Contender> {
        use Channel::{Pipes, Socket};
        use Contender::{Blocking, Floor, Hatchery, JsonLines, PooledMemory};
        use Depth::{One, Pipelined};
        use Flavour::{OneThread, Threads};
        let (ours, floors): (&[Contender], &[Contender]) = match workload {
            Workload::W1 => (
                &[Hatchery(OneThread), Hatchery(Threads), Blocking],
                &[Floor(Pipes, One, OneThread), Floor(Pipes, One, Threads), JsonLines],
            ),
            Workload::W2 => (
                &[Hatchery(OneThread), Hatchery(Threads)],
                &[
                    Floor(Pipes, Pipelined, OneThread),
                    Floor(Pipes, Pipelined, Threads),
                    Floor(Pipes, One, OneThread),
                    Floor(Pipes, One, Threads),
                    JsonLines,
                ],
            ),
            // A row more, for another way to hand an array over, stands here and in `ours/arrays.rs`.
            Workload::W3 => (&[Hatchery(OneThread), Hatchery(Threads)], &[PooledMemory]),
            Workload::W4 => (
                &[Hatchery(OneThread), Hatchery(Threads)],
                &[
                    Floor(Socket, One, OneThread),
                    Floor(Socket, One, Threads),
                    Floor(Pipes, One, OneThread),
                    Floor(Pipes, One, Threads),
                    JsonLines,
                ],
            ),
        };
        let peers = Peer::of(workload).iter().map(|&peer| Contender::Peer(peer));
        ours.iter().chain(floors).copied().chain(peers).collect()
    }

    pub(crate) fn name(self) -> String {
        match self {
            Contender::Floor(channel, depth, flavour) => {
                let channel = if channel == Channel::Pipes { "pipes" } else { "socket" };
                let depth = if depth == Depth::Pipelined { ", pipelined" } else { ", one call per worker" };
                format!("floor, {channel}{depth}, {}", flavour.name())
            }
            Contender::PooledMemory => "floor, pooled memory file, mapped by both".to_owned(),
            Contender::Hatchery(flavour) => format!("hatchery, {}", flavour.name()),
            Contender::Blocking => "hatchery (blocking)".to_owned(),
            Contender::JsonLines => "JSON lines over pipes, blocking client".to_owned(),
            Contender::Peer(peer) => peer.name().to_owned(),
        }
    }

    /// Whether a figure of a peer is missing if it cannot be measured, or the run has failed.
    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Contender::Peer(_))
    }

    /// One round, unless this one fails or has had as many rounds as it gets.
    fn take_turn(self, round: usize, samples: &mut Rounds, workload: Workload, options: &Options) {
        let Ok(so_far) = samples else { return };
        if round > self.most_rounds() {
            return;
        }
        match self.measure(workload, options) {
            Ok(sample) => so_far.push(sample),
            // Of a peer, the rounds that it had are enough; the row says how many.
            Err(error) if self.is_peer() && !so_far.is_empty() => {
                eprintln!("{} {}, round {round}: {error}", workload.name(), self.name());
            }
            Err(error) => {
                eprintln!("{} {}: {error}", workload.name(), self.name());
                *samples = Err(error.to_string());
            }
        }
    }

    /// Those that take long to come up have fewer rounds, so that a whole run is done in reasonable time.
    fn most_rounds(self) -> usize {
        match self {
            Contender::Peer(peer) => peer.most_rounds(),
            _ => usize::MAX,
        }
    }

    fn measure(self, workload: Workload, options: &Options) -> Result<Sample> {
        let (python, size) = (options.python.clone(), options.size);
        match self {
            Contender::Floor(channel, depth, flavour) => match workload {
                Workload::W1 => flavour.run(floor::echo(python, channel, size)),
                Workload::W2 => flavour.run(floor::in_flight(python, channel, depth, size)),
                Workload::W4 => flavour.run(floor::stream(python, channel, size)),
                Workload::W3 => Err("the floor of W3 is another one".into()),
            },
            Contender::PooledMemory => pooled::measure(&python, size),
            Contender::Hatchery(flavour) => flavour.run(crate::ours::measure(workload, size)),
            Contender::Blocking => crate::ours::echo_blocking(size),
            Contender::JsonLines => jsonl::measure(&python, workload, size),
            Contender::Peer(peer) => peer.measure(workload, options),
        }
    }
}

impl Flavour {
    pub(crate) fn name(self) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_has_ours_a_floor_and_peers_told_apart_by_their_names() {
        for workload in Workload::ALL {
            let contenders = Contender::of(workload);
            let names: std::collections::BTreeSet<_> = contenders.iter().map(|contender| contender.name()).collect();
            assert_eq!(names.len(), contenders.len());
            let has = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
            assert!(has("hatchery") && has("floor") && contenders.iter().any(|contender| contender.is_peer()));
        }
    }

    #[test]
    fn one_that_fails_is_not_asked_again() {
        let mut rounds = Err("not installed".to_owned());
        let options = Options::parse(std::iter::empty()).unwrap();
        Contender::JsonLines.take_turn(2, &mut rounds, Workload::W1, &options);
        let measured = Measured::of(Contender::JsonLines, rounds);
        assert_eq!((measured.rounds, measured.sample.unwrap_err().as_str()), (0, "not installed"));
    }
}
