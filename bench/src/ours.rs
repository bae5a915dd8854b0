//! hatchery itself, called as its users call it. The interpreter is the one that `HATCHERY_PYTHON` names.

use std::future::poll_fn;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_core::Stream;
use hatchery::{Hatchery, Pool, PythonApp};
use serde_json::{Value, json};

use crate::Result;
use crate::child::folder;
use crate::sample::Sample;
use crate::workload::{CHUNKS, IN_FLIGHT, Size, WORKERS, Workload, check, payload};

mod arrays;

pub(crate) async fn measure(workload: Workload, size: Size) -> Result<Sample> {
    let app = if workload == Workload::W3 { "arrays.py" } else { "app.py" };
    let app = PythonApp::file(folder().join(app));
    let hatchery = Hatchery::builder().pool("bench", app).workers(workload.workers()).start().await?;
    let pool = hatchery.pool("bench")?;
    let sample = match workload {
        Workload::W1 => echo(&pool, size).await,
        Workload::W2 => in_flight(&pool, size).await,
        Workload::W3 => arrays::values(&pool, size).await,
        Workload::W4 => streams(&pool, size).await,
    };
    hatchery.shutdown().await?;
    sample
}

async fn echo(pool: &Pool, size: Size) -> Result<Sample> {
    let mut taken = Vec::with_capacity(size.calls);
    for id in 0..(size.warm_up() + size.calls) as u64 {
        let start = Instant::now();
        let answer: Value = pool.call("echo", payload(id)).await?;
        taken.push(start.elapsed());
        check(&answer, id)?;
    }
    Ok(Sample::of_calls(&taken[size.warm_up()..]))
}

/// W1 from a thread that waits.
pub(crate) fn echo_blocking(size: Size) -> Result<Sample> {
    let app = PythonApp::file(folder().join("app.py"));
    let hatchery = Hatchery::builder().pool("bench", app).start_blocking()?;
    let pool = hatchery.pool("bench")?;
    let mut taken = Vec::with_capacity(size.calls);
    for id in 0..(size.warm_up() + size.calls) as u64 {
        let start = Instant::now();
        let answer: Value = pool.call("echo", payload(id))?;
        taken.push(start.elapsed());
        check(&answer, id)?;
    }
    hatchery.shutdown()?;
    Ok(Sample::of_calls(&taken[size.warm_up()..]))
}

/// A task for each call in flight.
async fn in_flight(pool: &Pool, size: Size) -> Result<Sample> {
    let calls = size.in_flight / IN_FLIGHT;
    caller(pool.clone(), WORKERS * 10).await?;
    let start = Instant::now();
    let tasks: Vec<_> = (0..IN_FLIGHT).map(|_| tokio::spawn(caller(pool.clone(), calls))).collect();
    for task in tasks {
        task.await??;
    }
    Ok(Sample::of_rate(calls * IN_FLIGHT, start.elapsed()))
}

async fn caller(pool: Pool, calls: usize) -> Result<()> {
    for id in 0..calls as u64 {
        let answer: Value = pool.call("echo", payload(id)).await?;
        check(&answer, id)?;
    }
    Ok(())
}

async fn streams(pool: &Pool, size: Size) -> Result<Sample> {
    let mut samples = Vec::new();
    for _ in 0..=size.streams {
        let (first, taken) = stream(pool).await?;
        samples.push(Sample::of_stream(CHUNKS, first, taken));
    }
    Ok(Sample::median(&samples[1..]))
}

/// One stream: the time to its first chunk and to its end.
async fn stream(pool: &Pool) -> Result<(Duration, Duration)> {
    let start = Instant::now();
    let mut chunks = pin!(pool.stream::<Value>("ticks", json!({ "n": CHUNKS })).await?);
    let mut first = Duration::ZERO;
    let mut came = 0;
    while let Some(chunk) = poll_fn(|context| chunks.as_mut().poll_next(context)).await {
        check(&chunk?, came)?;
        if came == 0 {
            first = start.elapsed();
        }
        came += 1;
    }
    let taken = start.elapsed();
    if came == CHUNKS as u64 { Ok((first, taken)) } else { Err(format!("{came} chunks came").into()) }
}
