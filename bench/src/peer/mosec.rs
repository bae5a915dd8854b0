//! mosec: a front of HTTP written in Rust, and Python workers behind it. Every call is a batch of one.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::http::Client;
use super::server::{Server, free_port};
use crate::Result;
use crate::arrays::{self, Exchange, ones, sum};
use crate::sample::Sample;
use crate::workload::{CHUNKS, IN_FLIGHT, Size, Workload, check, payload};

pub(super) fn measure(python: &Path, workload: Workload, size: Size) -> Result<Sample> {
    let port = free_port()?;
    let workers = workload.workers().to_string();
    let prepare = |command: &mut std::process::Command| {
        command.env("PEER_WORKERS", workers).env("PEER_WORKLOAD", workload.name());
        command.env("MOSEC_ADDRESS", "127.0.0.1").env("MOSEC_PORT", port.to_string()).env("MOSEC_LOG_LEVEL", "error");
        command.env("MOSEC_MAX_REQUEST_SIZE", (80 << 20).to_string()).env("MOSEC_TIMEOUT", "60000");
    };
    // Only a worker that has come up answers.
    let probe = || {
        let mut client = Client::connect(port)?;
        client.post("/echo", &serde_json::to_vec(&payload(0))?)?;
        Ok(client)
    };
    let (_server, mut client) = Server::start(python, "peers/mosec_server.py", prepare, probe)?;
    match workload {
        Workload::W1 => echo(&mut client, size),
        Workload::W2 => in_flight(port, size),
        Workload::W3 => arrays::measure(&mut Arrays { client, array: ones() }, size),
        Workload::W4 => streams(port, size),
    }
}

fn echo(client: &mut Client, size: Size) -> Result<Sample> {
    let mut taken = Vec::with_capacity(size.calls);
    for id in 0..(size.warm_up() + size.calls) as u64 {
        let start = Instant::now();
        let answer = call(client, id)?;
        taken.push(start.elapsed());
        check(&answer, id)?;
    }
    Ok(Sample::of_calls(&taken[size.warm_up()..]))
}

fn call(client: &mut Client, id: u64) -> Result<Value> {
    Ok(serde_json::from_slice(&client.post("/echo", &serde_json::to_vec(&payload(id))?)?)?)
}

/// A thread and a connection for each call in flight; a fifth of the calls, it being slower.
fn in_flight(port: u16, size: Size) -> Result<Sample> {
    let calls = size.in_flight / 5 / IN_FLIGHT;
    let clients: Vec<Client> = (0..IN_FLIGHT).map(|_| Client::connect(port)).collect::<Result<_>>()?;
    let caller =
        |mut client: Client| -> Result<()> { (0..calls as u64).try_for_each(|id| check(&call(&mut client, id)?, id)) };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = clients.into_iter().map(|client| scope.spawn(|| caller(client))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client thread panicked")?)
    })?;
    Ok(Sample::of_rate(calls * IN_FLIGHT, start.elapsed()))
}

struct Arrays {
    client: Client,
    array: Vec<u8>,
}

impl Exchange for Arrays {
    fn to(&mut self) -> Result<f64> {
        Ok(serde_json::from_slice(&self.client.post("/total", &self.array)?)?)
    }

    fn from(&mut self) -> Result<f64> {
        Ok(sum(&self.client.post("/array", b"{}")?))
    }
}

/// A connection for each stream: the end of one is the server's to say, and nobody waits for it.
fn streams(port: u16, size: Size) -> Result<Sample> {
    let mut samples = Vec::new();
    for _ in 0..=size.streams {
        samples.push(stream(&mut Client::connect(port)?)?);
    }
    Ok(Sample::median(&samples[1..]))
}

fn stream(client: &mut Client) -> Result<Sample> {
    let start = Instant::now();
    let (mut first, mut came) = (start.elapsed(), 0);
    let request = serde_json::to_vec(&payload(0))?;
    client.events("/ticks", &request, |data| {
        check(&serde_json::from_str(data)?, came)?;
        if came == 0 {
            first = start.elapsed();
        }
        came += 1;
        Ok(came < CHUNKS as u64)
    })?;
    Ok(Sample::of_stream(CHUNKS, first, start.elapsed()))
}
