//! The floor: the least that a tokio client and a Python worker can do over the same channel with the same JSON library.
//!
//! In W2 the floor *pipelines*: each worker is kept filled with its half of the 64 calls, and both sides join frames in one
//! write. A pool that gives a worker one call at a time cannot do that; the row "one call per worker" says what it could do.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use crate::Result;
use crate::child::Python;
use crate::frame::{Frames, Tag, put};
use crate::outage::Outage;
use crate::sample::Sample;
use crate::workload::{CHUNKS, IN_FLIGHT, Size, WORKERS, check, payload};

pub(crate) mod pooled;

const PROGRAM: &str = "floor_worker.py";

/// What the bytes travel through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Pipes,
    Socket,
}

/// How many calls a worker of W2 is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    One,
    Pipelined,
}

/// W1.
pub(crate) async fn echo(python: PathBuf, channel: Channel, size: Size) -> Result<Sample> {
    let mut worker = Worker::start(&python, channel)?;
    let mut taken = Vec::with_capacity(size.calls);
    for id in 0..(size.warm_up() + size.calls) as u64 {
        let start = Instant::now();
        worker.send(Tag::Call, id, &payload(id)).await?;
        let answer: Value = serde_json::from_slice(worker.frames.next().await?.body)?;
        taken.push(start.elapsed());
        check(&answer, id)?;
    }
    Ok(Sample::of_calls(&taken[size.warm_up()..]))
}

/// W2.
pub(crate) async fn in_flight(python: PathBuf, channel: Channel, depth: Depth, size: Size) -> Result<Sample> {
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let mut worker = Worker::start(&python, channel)?;
        worker.window(1, 1).await?;
        workers.push(worker);
    }
    let (window, calls) = (depth.window(), size.in_flight / WORKERS);
    let start = Instant::now();
    let tasks = workers.into_iter().map(|mut worker| tokio::spawn(async move { worker.window(calls, window).await }));
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(Sample::of_rate(calls * WORKERS, start.elapsed()))
}

/// W4.
pub(crate) async fn stream(python: PathBuf, channel: Channel, size: Size) -> Result<Sample> {
    let mut worker = Worker::start(&python, channel)?;
    let mut samples = Vec::new();
    for id in 0..=size.streams as u64 {
        let (first, taken) = worker.stream(id).await?;
        samples.push(Sample::of_stream(CHUNKS, first, taken));
    }
    Ok(Sample::median(&samples[1..]))
}

/// W6: a worker is killed, another one started in its place, and called.
pub(crate) async fn successor(python: PathBuf) -> Result<Outage> {
    let mut worker = Worker::start(&python, Channel::Pipes)?;
    worker.window(1, 1).await?;
    let start = Instant::now();
    drop(worker);
    Worker::start(&python, Channel::Pipes)?.window(1, 1).await?;
    Ok(Outage::of_successor(start.elapsed().as_secs_f64() * 1e3))
}

impl Depth {
    fn window(self) -> usize {
        match self {
            Depth::One => 1,
            Depth::Pipelined => IN_FLIGHT / WORKERS,
        }
    }
}

type Input = Box<dyn AsyncRead + Send + Unpin>;
type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// One worker and the two directions to it.
struct Worker {
    frames: Frames<Input>,
    output: Output,
    buffer: Vec<u8>,
    _process: Python,
}

impl Worker {
    fn start(python: &Path, channel: Channel) -> Result<Worker> {
        let (process, input, output) = match channel {
            Channel::Pipes => over_pipes(python)?,
            Channel::Socket => over_socket(python)?,
        };
        Ok(Worker { frames: Frames::new(input), output, buffer: Vec::new(), _process: process })
    }

    async fn send(&mut self, tag: Tag, id: u64, body: &Value) -> Result<()> {
        self.buffer.clear();
        put(&mut self.buffer, tag, id, body)?;
        Ok(self.output.write_all(&self.buffer).await?)
    }

    /// Makes calls with a window of them in flight; as many as have been answered are sent anew in one write.
    async fn window(&mut self, calls: usize, window: usize) -> Result<()> {
        let (mut sent, mut answered) = (0, 0);
        while answered < calls as u64 {
            self.buffer.clear();
            while sent < (calls as u64).min(answered + window as u64) {
                put(&mut self.buffer, Tag::Call, sent, &payload(sent))?;
                sent += 1;
            }
            self.output.write_all(&self.buffer).await?;
            answered = self.answers(answered).await?;
        }
        Ok(())
    }

    /// Takes the answers that have come, at least one; returns how many that makes.
    async fn answers(&mut self, mut answered: u64) -> Result<u64> {
        let frame = self.frames.next().await?;
        check(&serde_json::from_slice(frame.body)?, answered)?;
        answered += 1;
        while let Some(frame) = self.frames.ready() {
            check(&serde_json::from_slice(frame.body)?, frame.id)?;
            answered += 1;
        }
        Ok(answered)
    }

    /// One stream: the time to its first chunk and to its end.
    async fn stream(&mut self, id: u64) -> Result<(Duration, Duration)> {
        let start = Instant::now();
        self.send(Tag::Stream, id, &json!({ "n": CHUNKS })).await?;
        let mut first = Duration::ZERO;
        let mut chunks = 0;
        loop {
            let frame = self.frames.next().await?;
            if frame.is_end {
                break;
            }
            check(&serde_json::from_slice(frame.body)?, chunks)?;
            if chunks == 0 {
                first = start.elapsed();
            }
            chunks += 1;
        }
        let taken = start.elapsed();
        if chunks == CHUNKS as u64 { Ok((first, taken)) } else { Err(format!("{chunks} chunks came").into()) }
    }
}

fn over_pipes(python: &Path) -> Result<(Python, Input, Output)> {
    let mut process = Python::start(python, PROGRAM, Stdio::piped(), Stdio::piped())?;
    let missing = "a child without its pipes";
    let output = pipe::Sender::from_owned_fd(OwnedFd::from(process.inner().stdin.take().ok_or(missing)?))?;
    let input = pipe::Receiver::from_owned_fd(OwnedFd::from(process.inner().stdout.take().ok_or(missing)?))?;
    Ok((process, Box::new(input), Box::new(output)))
}

fn over_socket(python: &Path) -> Result<(Python, Input, Output)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let (stdin, stdout) = (OwnedFd::from(theirs.try_clone()?), OwnedFd::from(theirs));
    let process = Python::start(python, PROGRAM, stdin.into(), stdout.into())?;
    ours.set_nonblocking(true)?;
    let (input, output) = UnixStream::from_std(ours)?.into_split();
    Ok((process, Box::new(input), Box::new(output)))
}
