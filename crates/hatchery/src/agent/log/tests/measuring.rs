//! How fast it is. Not a test: `cargo test --release -p hatchery --lib agent::log::tests::measuring -- --ignored --nocapture`.

use std::io::Write;
use std::time::{Duration, Instant};

use super::*;

/// Lines that say when they were written.
fn speak(end: std::os::fd::OwnedFd, begun: Instant, count: usize) {
    let mut end: std::fs::File = end.into();
    for _ in 0..count {
        std::thread::sleep(Duration::from_millis(2));
        writeln!(end, "{}", begun.elapsed().as_nanos()).unwrap();
    }
}

async fn pump(mut writer: LogWriter, mut source: Source) {
    while let Some(batch) = source.next().await.unwrap() {
        writer.write(batch, 0).await;
    }
}

async fn latencies(mut events: AgentEvents, begun: Instant, count: usize) -> Vec<Duration> {
    let mut latencies = Vec::new();
    for _ in 0..count {
        let line = text(&event(events.next().await.unwrap()).line);
        let written = Duration::from_nanos(line.parse().unwrap());
        latencies.push(begun.elapsed() - written);
    }
    latencies.sort_unstable();
    latencies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn from_the_agents_write_to_the_readers_ear() {
    const COUNT: usize = 1000;
    for fidelity in [Fidelity::File, Fidelity::Pipe] {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder.path().join("run"), OutputLimits { fidelity, ..limits() });
        let watcher = Watcher::default();
        let (source, end) = match fidelity {
            Fidelity::File => {
                (writer.follow(Stream::Stdout, &watcher).unwrap(), writer.agents_end(Stream::Stdout).unwrap())
            }
            Fidelity::Pipe => {
                let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
                (writer.drain(Stream::Stdout, read).unwrap(), write)
            }
        };
        let (log, begun) = (writer.log(), Instant::now());
        let pump = tokio::spawn(pump(writer, source));
        let speaking = std::thread::spawn(move || speak(end, begun, COUNT));
        let sorted = latencies(log.from(1), begun, COUNT).await;
        speaking.join().unwrap();
        pump.abort();
        println!("{fidelity:?}: p50 {:?}, p99 {:?}", sorted[COUNT / 2], sorted[COUNT * 99 / 100]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn runs_that_write_as_fast_as_they_can() {
    for (runs, mib) in [(50, 100), (1, 4096)] {
        for fidelity in [Fidelity::File, Fidelity::Pipe] {
            let begun = Instant::now();
            let disk = all_at_once(runs, mib << 20, fidelity).await;
            let took = begun.elapsed();
            let rate = (runs * mib) as f64 / took.as_secs_f64();
            println!("{fidelity:?}: {runs} runs of {mib} MiB in {took:.1?}, {rate:.0} MiB/s");
            println!("  in memory {}, left on disk {} MiB", resident(), disk >> 20);
        }
    }
}

/// What they leave on disk.
async fn all_at_once(runs: usize, bytes: usize, fidelity: Fidelity) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let watcher = Watcher::default();
    let folders: Vec<_> = (0..runs).map(|run| folder.path().join(run.to_string())).collect();
    let start = |folder: &std::path::PathBuf| {
        let limits = OutputLimits { fidelity, spool: Some(16 << 20), ..limits() };
        tokio::spawn(one(writer(folder, limits), watcher.clone(), fidelity, bytes))
    };
    for run in folders.iter().map(start).collect::<Vec<_>>() {
        run.await.unwrap();
    }
    folders.iter().map(|folder| on_disk(folder)).sum()
}

async fn one(mut writer: LogWriter, watcher: Watcher, fidelity: Fidelity, bytes: usize) {
    let (mut source, end) = match fidelity {
        Fidelity::File => {
            (writer.follow(Stream::Stdout, &watcher).unwrap(), writer.agents_end(Stream::Stdout).unwrap())
        }
        Fidelity::Pipe => {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
            (writer.drain(Stream::Stdout, read).unwrap(), write)
        }
    };
    let log = writer.log();
    let script = format!("yes {} | head -c {bytes}; echo; echo last", "x".repeat(199));
    let mut agent = tokio::task::spawn_blocking(move || following::shell(&script, end).wait().unwrap());
    let mut is_running = true;
    loop {
        tokio::select! {
            _ = &mut agent, if is_running => {
                is_running = false;
                source.exited().unwrap();
            }
            batch = source.next() => match batch.unwrap() {
                Some(batch) => drop(writer.write(batch, 0).await),
                None => break,
            }
        }
    }
    drop(writer);
    let last = hear_all(log.from(log.last())).await;
    assert_eq!(texts(last), ["last"]);
}

/// What this process has in memory, in kB.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    format!("{} (at most {})", of("VmRSS:"), of("VmHWM:"))
}
