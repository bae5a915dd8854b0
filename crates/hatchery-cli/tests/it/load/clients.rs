//! Clients that call again as soon as they are answered, and what they are told.

mod grpc;
mod http;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hatchery::{Error, ErrorKind};

/// When the load ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// So many calls were served, and some were told each of the other answers.
    Served(u64),
    Passed(Duration),
}

/// How one call ended.
enum Outcome {
    Served,
    Failed(Error),
}

/// Calls of `nap`, and their answers so far.
pub(super) struct Load {
    address: SocketAddr,
    milliseconds: u64,
    until: Until,
    pause: Duration,
    began: Instant,
    served: AtomicU64,
    saturated: AtomicU64,
    late: AtomicU64,
    /// Of those that were served.
    latencies: Mutex<Vec<Duration>>,
    unexpected: Mutex<Vec<String>>,
}

/// What all clients were told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) served: u64,
    /// Too many waited.
    pub(super) saturated: u64,
    /// They waited for too long.
    pub(super) late: u64,
    pub(super) unexpected: Vec<String>,
    /// Of those that were served, in order.
    latencies: Vec<Duration>,
    /// From the first call until this was told.
    took: Duration,
}

impl Load {
    pub(super) fn new(address: SocketAddr, milliseconds: u64, until: Until, pause: Duration) -> Load {
        let (served, saturated, late) = Default::default();
        let (latencies, unexpected) = Default::default();
        let began = Instant::now();
        Load { address, milliseconds, until, pause, began, served, saturated, late, latencies, unexpected }
    }

    pub(super) fn told(&self) -> Told {
        let mut latencies = self.latencies.lock().unwrap().clone();
        latencies.sort();
        let [served, saturated, late] =
            [&self.served, &self.saturated, &self.late].map(|count| count.load(Ordering::Relaxed));
        Told {
            served,
            saturated,
            late,
            unexpected: self.unexpected.lock().unwrap().clone(),
            latencies,
            took: self.began.elapsed(),
        }
    }

    /// From 0 to 1.
    fn progress(&self) -> f64 {
        match self.until {
            Until::Served(count) => {
                let told = [&self.saturated, &self.late].map(|count| count.load(Ordering::Relaxed).min(1));
                let served = self.served.load(Ordering::Relaxed) as f64 / count as f64;
                if told == [1, 1] { served } else { served.min(0.99) }
            }
            Until::Passed(time) => self.began.elapsed().as_secs_f64() / time.as_secs_f64(),
        }
    }

    fn goes_on(&self) -> bool {
        self.progress() < 1.0 && self.unexpected.lock().unwrap().is_empty()
    }

    /// What is allowed is counted. All else is kept in words.
    async fn note(&self, outcome: Outcome, took: Duration) {
        if matches!(outcome, Outcome::Failed(_)) && !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        match outcome {
            Outcome::Served => {
                self.latencies.lock().unwrap().push(took);
                self.served.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Failed(error) => match error.kind() {
                ErrorKind::Saturated => drop(self.saturated.fetch_add(1, Ordering::Relaxed)),
                ErrorKind::Deadline if error.message().ends_with("in the queue") => {
                    self.late.fetch_add(1, Ordering::Relaxed);
                }
                _ => self.unexpected.lock().unwrap().push(format!("{error:?}")),
            },
        }
    }
}

impl Told {
    /// Served, in a second.
    pub(super) fn rate(&self) -> f64 {
        self.served as f64 / self.took.as_secs_f64()
    }

    pub(super) fn in_words(&self) -> String {
        let Told { served, saturated, late, latencies, .. } = self;
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_millis();
        format!(
            "{served} served, {:.1} a second (p50 {} ms, p99 {} ms, slowest {} ms), {saturated} refused, {late} waited in vain",
            self.rate(),
            at(0.5),
            at(0.99),
            at(1.0)
        )
    }
}

/// How often something is looked at.
const EACH: Duration = Duration::from_millis(100);

/// Has so many clients call until it is enough. Looks at something again and again, from a sixth of the load to its end.
pub(super) async fn put<T>(load: &Arc<Load>, clients: usize, look: impl Fn() -> T) -> Vec<T> {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..clients {
        let load = Arc::clone(load);
        match number % 2 {
            0 => tasks.spawn(async move { http::call(&load, number).await }),
            _ => tasks.spawn(async move { grpc::call(&load).await }),
        };
    }
    let mut seen = Vec::new();
    while load.goes_on() {
        if load.progress() > 1.0 / 6.0 {
            seen.push(look());
        }
        tokio::time::sleep(EACH).await;
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    seen
}
