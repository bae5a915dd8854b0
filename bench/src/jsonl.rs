//! A peer: one JSON value per line on the standard streams of a child, with a blocking client.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::Result;
use crate::child::Python;
use crate::sample::Sample;
use crate::workload::{CHUNKS, IN_FLIGHT, Size, WORKERS, Workload, check, payload};

pub(crate) fn measure(python: &Path, workload: Workload, size: Size) -> Result<Sample> {
    match workload {
        Workload::W1 => echo(&mut Worker::start(python)?, size),
        Workload::W2 => in_flight(python, size),
        Workload::W3 => Err("lines of text carry no arrays".into()),
        Workload::W4 => stream(&mut Worker::start(python)?, size),
    }
}

fn echo(worker: &mut Worker, size: Size) -> Result<Sample> {
    let mut taken = Vec::with_capacity(size.calls);
    for id in 0..(size.warm_up() + size.calls) as u64 {
        let start = Instant::now();
        worker.send(&[payload(id)])?;
        let answer = worker.receive()?;
        taken.push(start.elapsed());
        check(&answer, id)?;
    }
    Ok(Sample::of_calls(&taken[size.warm_up()..]))
}

/// A thread for each worker, which keeps its half of the calls in flight.
fn in_flight(python: &Path, size: Size) -> Result<Sample> {
    let calls = size.in_flight / WORKERS;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let mut worker = Worker::start(python)?;
        worker.window(1)?;
        workers.push(worker);
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| worker.window(calls))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client thread panicked")?)
    })?;
    Ok(Sample::of_rate(calls * WORKERS, start.elapsed()))
}

fn stream(worker: &mut Worker, size: Size) -> Result<Sample> {
    let mut samples = Vec::new();
    for _ in 0..=size.streams {
        let start = Instant::now();
        worker.send(&[json!({ "n": CHUNKS })])?;
        check(&worker.receive()?, 0)?;
        let first = start.elapsed();
        for id in 1..CHUNKS as u64 {
            check(&worker.receive()?, id)?;
        }
        samples.push(Sample::of_stream(CHUNKS, first, start.elapsed()));
    }
    Ok(Sample::median(&samples[1..]))
}

struct Worker {
    output: ChildStdin,
    input: BufReader<ChildStdout>,
    line: String,
    _process: Python,
}

impl Worker {
    fn start(python: &Path) -> Result<Worker> {
        let mut process = Python::start(python, "peers/jsonl_worker.py", Stdio::piped(), Stdio::piped())?;
        let missing = "a child without its pipes";
        let output = process.inner().stdin.take().ok_or(missing)?;
        let input = BufReader::with_capacity(1 << 16, process.inner().stdout.take().ok_or(missing)?);
        Ok(Worker { output, input, line: String::new(), _process: process })
    }

    /// Sends the values in one write.
    fn send(&mut self, values: &[Value]) -> Result<()> {
        let mut lines = Vec::new();
        for value in values {
            serde_json::to_writer(&mut lines, value)?;
            lines.push(b'\n');
        }
        Ok(self.output.write_all(&lines)?)
    }

    fn receive(&mut self) -> Result<Value> {
        self.line.clear();
        match self.input.read_line(&mut self.line)? {
            0 => Err("the worker closed its output".into()),
            _ => Ok(serde_json::from_str(&self.line)?),
        }
    }

    /// Makes calls with this worker's share of them in flight.
    fn window(&mut self, calls: usize) -> Result<()> {
        let (mut sent, calls) = (0, calls as u64);
        for answered in 0..calls {
            // The window is refilled when half of it is gone, so that lines leave together.
            let window = (IN_FLIGHT / WORKERS) as u64;
            if sent - answered <= window / 2 {
                let until = calls.min(answered + window);
                self.send(&(sent..until).map(payload).collect::<Vec<_>>())?;
                sent = until;
            }
            check(&self.receive()?, answered)?;
        }
        Ok(())
    }
}
