//! Calls one after another on one connection that is kept.

use std::net::SocketAddr;

use hatchery::{Hatchery, PythonApp};
use serde::Serialize;

use super::client::Client;
use super::server::Server;
use super::{Protocol, bounded};
use crate::Result;
use crate::child::folder;
use crate::contender::Flavour;
use crate::grid::{Grid, shown};
use crate::options::Options;
use crate::pin::Placement;
use crate::sample::Sample;
use crate::targets::Verdict;
use crate::workload::{Size, WORKERS};

/// Of one placement; medians of the rounds.
#[derive(Debug, Serialize)]
pub(super) struct Calls {
    placement: &'static str,
    /// In this process, through the library: what the daemon does itself.
    library: Sample,
    over: Vec<Over>,
    targets: Vec<Verdict>,
}

#[derive(Debug, Serialize)]
struct Over {
    protocol: Protocol,
    floor: Sample,
    /// The floor with a call through the library in it.
    calling: Sample,
    daemon: Sample,
}

/// By how much the daemon may make a call longer, in calls of the floor.
const MOST: f64 = 1.5;

pub(super) fn measure(placement: Placement, options: &Options) -> Result<Calls> {
    let _held = placement.hold()?;
    let (floor, daemon) = (Server::floor()?, Server::daemon()?);
    let mut library = Vec::new();
    let mut over = Protocol::ALL.map(|protocol| (protocol, Vec::new(), Vec::new(), Vec::new()));
    for round in 1..=options.rounds {
        eprintln!("daemon {}, round {round} of {}", placement.name(), options.rounds);
        for (protocol, floors, callings, daemons) in &mut over {
            floors.push(through(*protocol, floor.address(*protocol)?, options.size)?);
            callings.push(through(*protocol, floor.calling(*protocol)?, options.size)?);
            daemons.push(through(*protocol, daemon.address(*protocol)?, options.size)?);
        }
        library.push(Flavour::Threads.run(in_process(options.size))?);
    }
    let library = Sample::median(&library);
    let over = over.map(|(protocol, floors, callings, daemons)| Over {
        protocol,
        floor: Sample::median(&floors),
        calling: Sample::median(&callings),
        daemon: Sample::median(&daemons),
    });
    let targets = over.iter().filter_map(|over| over.judged(placement)).collect();
    Ok(Calls { placement: placement.name(), library, over: over.into(), targets })
}

/// The client has one thread: nothing of it is woken across processors but by the server.
fn through(protocol: Protocol, address: SocketAddr, size: Size) -> Result<Sample> {
    Flavour::OneThread.run(async move { Client::connect(protocol, address).await?.take_turns(size).await })
}

/// In a task of a runtime of many threads, as those of the daemon's connections are.
async fn in_process(size: Size) -> Result<Sample> {
    let app = PythonApp::file(folder().join("app.py"));
    let hatchery = Hatchery::builder().pool("bench", app).workers(WORKERS).start().await?;
    let sample = Client::Library(hatchery.pool("bench")?).take_turns(size).await;
    hatchery.shutdown().await?;
    sample
}

impl Over {
    /// What a call through the daemon takes longer than one through the library, and that in calls of the floor. What a call through the
    /// library takes is what it adds to the floor: in a process of its own, where two take turns on a processor and not three, it takes half.
    fn added(&self) -> Option<(f64, f64)> {
        let (floor, calling) = (self.floor.p50_us?, self.calling.p50_us?);
        let added = self.daemon.p50_us? - (calling - floor);
        Some((added, added / floor))
    }

    fn judged(&self, placement: Placement) -> Option<Verdict> {
        let (added, ratio) = self.added()?;
        let text = format!(
            "{} {}: adds at most {MOST} x an {} to the same call through the library in such a server; {added:.1} us",
            self.protocol.name(),
            placement.name(),
            self.protocol.floor()
        );
        Some(bounded(text, ratio, MOST))
    }

    fn rows(&self) -> [Vec<String>; 3] {
        let name = self.protocol.name();
        let ratio = self.daemon.p50_us.zip(self.floor.p50_us).map(|(daemon, floor)| daemon / floor);
        let (added, in_floors) = self.added().unzip();
        let daemon = [shown(ratio, 2), shown(added, 1), shown(in_floors, 2)];
        [
            row(format!("{name}: floor, {}", self.protocol.floor()), &self.floor, Default::default()),
            row(format!("{name}: floor with a call through the library"), &self.calling, Default::default()),
            row(format!("{name}: hatchery serve"), &self.daemon, daemon),
        ]
    }
}

fn row(name: String, sample: &Sample, rest: [String; 3]) -> Vec<String> {
    let figures = [shown(sample.p50_us, 1), shown(sample.p99_us, 1), shown(sample.per_s, 0)];
    std::iter::once(name).chain(figures).chain(rest).collect()
}

impl Calls {
    pub(super) fn grid(&self) -> Grid {
        let title = format!("daemon  calls of an empty tool one after another, one connection, {}", self.placement);
        let head = ["", "p50 us", "p99 us", "calls/s", "to floor", "added to the library us", "in floors"];
        let library = row("library, in process".to_owned(), &self.library, Default::default());
        let over = self.over.iter().flat_map(Over::rows);
        Grid::new(title, head).rows([library].into_iter().chain(over)).judged(&self.targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(us: f64) -> Sample {
        Sample { p50_us: Some(us), ..Sample::default() }
    }

    #[test]
    fn what_the_library_takes_is_not_the_daemons() {
        let judged = |daemon| {
            let over = Over { protocol: Protocol::Grpc, floor: of(100.0), calling: of(180.0), daemon: of(daemon) };
            over.judged(Placement::Free).unwrap()
        };
        assert_eq!([judged(229.0), judged(231.0)].map(|verdict| verdict.met), [true, false]);
        assert!(judged(230.0).text.ends_with("150.0 us"), "{}", judged(230.0));
    }
}
