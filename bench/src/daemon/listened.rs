//! Many callers at once, and what they lose by a thousand who listen for what does not happen.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hatchery_grpc::v1;
use hyper::Request;
use serde::Serialize;

use super::client::{body, grpc, http, rate};
use super::server::Server;
use super::{Protocol, bounded};
use crate::Result;
use crate::contender::Flavour;
use crate::grid::Grid;
use crate::options::Options;
use crate::sample::median;
use crate::targets::Verdict;

/// Connections, each with one call at a time.
const CALLERS: usize = 16;
const LISTENERS: usize = 1000;
/// Of a connection of HTTP/2; the daemon takes 256.
const STREAMS: usize = 200;
/// Nobody scales the pool.
const KIND: &str = "pool.scaled";
/// Of the rate.
const MOST: f64 = 0.05;

/// Of one protocol; medians of the rounds.
#[derive(Debug, Serialize)]
pub(super) struct Listened {
    protocol: Protocol,
    alone_per_s: f64,
    listened_per_s: f64,
    /// The median of each round's, of the rate alone.
    loss: f64,
}

pub(super) fn measure(options: &Options) -> Result<Vec<Listened>> {
    let daemon = Server::daemon()?;
    Protocol::ALL.into_iter().map(|protocol| of(protocol, daemon.address(protocol)?, options)).collect()
}

fn of(protocol: Protocol, address: SocketAddr, options: &Options) -> Result<Listened> {
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        eprintln!("daemon, {LISTENERS} listeners over {}, round {round} of {}", protocol.name(), options.rounds);
        let calls = options.size.in_flight / 2;
        rounds.push(Flavour::Threads.run(one_round(protocol, address, calls, round % 2 == 0))?);
    }
    let figure = |of: fn(&(f64, f64)) -> f64| median(rounds.iter().map(of).collect()).unwrap_or(f64::NAN);
    Ok(Listened {
        protocol,
        alone_per_s: figure(|(alone, _)| *alone),
        listened_per_s: figure(|(_, listened)| *listened),
        loss: figure(|(alone, listened)| 1.0 - listened / alone),
    })
}

/// The rates alone and listened to. Which comes first alternates, as the second may find another machine.
async fn one_round(protocol: Protocol, address: SocketAddr, calls: usize, is_alone_first: bool) -> Result<(f64, f64)> {
    rate(protocol, address, CALLERS, calls / 5).await?;
    if is_alone_first {
        let alone = beside(0, protocol, address, calls).await?;
        return Ok((alone, beside(LISTENERS, protocol, address, calls).await?));
    }
    let listened = beside(LISTENERS, protocol, address, calls).await?;
    Ok((beside(0, protocol, address, calls).await?, listened))
}

/// The rate while so many listen.
async fn beside(listeners: usize, protocol: Protocol, address: SocketAddr, calls: usize) -> Result<f64> {
    let listening = listen(listeners, protocol, address).await?;
    until_heard_by(listeners, address).await?;
    let rate = rate(protocol, address, CALLERS, calls).await?;
    drop(listening);
    until_heard_by(0, address).await?;
    Ok(rate)
}

/// Listens as long as it is kept.
type Listening = Vec<Box<dyn std::any::Any + Send>>;

async fn listen(count: usize, protocol: Protocol, address: SocketAddr) -> Result<Listening> {
    let mut listening: Listening = Vec::new();
    while listening.len() < count {
        match protocol {
            Protocol::Http => listening.push(Box::new(feed(address).await?)),
            Protocol::Grpc => {
                let mut client = grpc(address).await?;
                for _ in 0..STREAMS {
                    let wanted = v1::EventsRequest { kinds: vec![KIND.to_owned()], ..Default::default() };
                    listening.push(Box::new((client.clone(), client.events(wanted).await?)));
                }
            }
        }
    }
    Ok(listening)
}

/// A connection, and the answer on it that does not end.
async fn feed(address: SocketAddr) -> Result<impl Send> {
    let mut sender = http(address).await?;
    let request = Request::get(format!("/v1/events?kind={KIND}")).header("host", "localhost");
    let answer = sender.send_request(request.body(Default::default())?).await?;
    if answer.status().is_success() { Ok((sender, answer)) } else { Err(answer.status().to_string().into()) }
}

/// Waits until the daemon has so many listeners.
async fn until_heard_by(count: usize, address: SocketAddr) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(60);
    let mut sender = http(address).await?;
    loop {
        let metrics = body(&mut sender, Request::get("/metrics"), "").await?;
        let metrics = String::from_utf8_lossy(&metrics);
        let found = metrics.lines().find_map(|line| line.strip_prefix("hatchery_event_subscribers "));
        if found.and_then(|found| found.parse().ok()) == Some(count) {
            return Ok(());
        }
        if Instant::now() > patience {
            return Err(format!("the daemon has {found:?} listeners, not {count}, after 60 s").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn grid(listened: &[Listened]) -> Grid {
    let title = format!("daemon  {CALLERS} connections call, {LISTENERS} listen for what does not happen, free");
    let verdicts: Vec<Verdict> = listened.iter().map(Listened::judged).collect();
    let row = |it: &Listened| {
        let figures = [it.alone_per_s, it.listened_per_s].map(|rate| format!("{rate:.0}"));
        let loss = format!("{:.1}", 100.0 * it.loss);
        [it.protocol.name().to_owned()].into_iter().chain(figures).chain([loss]).collect()
    };
    Grid::new(title, ["", "calls/s alone", "calls/s listened to", "loss %"])
        .rows(listened.iter().map(row))
        .judged(&verdicts)
}

impl Listened {
    fn judged(&self) -> Verdict {
        let text = format!(
            "{}: {LISTENERS} listeners cost less than {:.0} % of the rate; {:.1} %",
            self.protocol.name(),
            100.0 * MOST,
            100.0 * self.loss
        );
        bounded(text, self.loss / MOST, 1.0)
    }
}
