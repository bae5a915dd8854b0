//! Output that never stops, or never ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const MIB: u64 = 1 << 20;

/// Without the pages of the program itself, which come as it runs.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn a_gibibyte_passes_through_bounded_memory() {
    run_alone("flooding::alone_with_a_gibibyte").await;
}

#[tokio::test]
#[ignore = "run alone by a_gibibyte_passes_through_bounded_memory, as memory is counted by process"]
async fn alone_with_a_gibibyte() {
    let before = resident_bytes();
    let Spawned { child, stdout, .. } = spawn(fixture("flood.py")).unwrap();
    let (mut bytes, mut n_lines, mut peak) = (0, 0u64, 0);
    let mut tail = Tail::default();
    let sink = |line: &str| {
        bytes += line.len() as u64 + 1;
        n_lines += 1;
        tail.push(line);
        if n_lines.is_multiple_of(1 << 16) {
            peak = peak.max(resident_bytes());
        }
    };
    bounded(drain(stdout.unwrap(), std::future::pending(), sink)).await.unwrap();
    assert_eq!((bytes, n_lines, tail.lines().len()), (1024 * MIB, 8 * MIB, 50));
    assert!(peak < before + 8 * MIB, "grew from {before} to {peak} bytes");
    bounded(child.exited()).await;
    assert_eq!(end(child, &AT_ONCE, || ()).await.status, Status::Exited(0));
}

#[tokio::test]
async fn a_daemon_that_never_stops_writing_is_not_listened_to_after_the_child_s_death() {
    let Spawned { child, stdout, .. } = spawn(fixture("leave_flooding_daemon.py")).unwrap();
    let n_lines = Arc::new(AtomicU64::new(0));
    let (first, daemon) = oneshot::channel();
    let (mut first, counter) = (Some(first), Arc::clone(&n_lines));
    let sink = move |line: &str| {
        if let Some(first) = first.take() {
            first.send(line.to_owned()).unwrap();
        }
        counter.fetch_add(1, Ordering::Relaxed);
    };
    let (pinned, is_pinned) = oneshot::channel();
    let ended = async move {
        is_pinned.await.unwrap();
        child.exited().await;
    };
    let reading = tokio::spawn(drain(stdout.unwrap(), ended, sink));
    let pid: i32 = bounded(daemon).await.unwrap().parse().unwrap();
    let daemon = pidfd_open(Pid::new(pid).unwrap().raw(), PidfdFlags::empty()).unwrap();
    pinned.send(()).unwrap();

    bounded(reading).await.unwrap().unwrap();

    assert!(n_lines.load(Ordering::Relaxed) > 1000, "what came before its death was heard");
    // With its reader gone, its next write ends it: it was still writing.
    assert_ends(daemon).await;
}

#[tokio::test]
async fn what_a_dead_child_has_written_is_read_to_the_last_byte() {
    // The grandchild keeps the pipe open, so its end never comes.
    let text = "seq 5000; sleep 60 & exit 0";
    let Spawned { child, stdout, .. } = spawn(spec("sh", ["-c".into(), text.into()])).unwrap();
    bounded(child.exited()).await;
    let mut lines = Vec::new();
    bounded(drain(stdout.unwrap(), std::future::ready(()), |line| lines.push(line.to_owned()))).await.unwrap();
    assert_eq!(lines, (1..=5000).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_silent_pipe_that_stays_open_is_left_when_the_child_has_ended() {
    let (child, mut lines) = start(fixture("leave_grandchild.sh"));
    lines.next_pid().await;
    bounded(child.exited()).await;
    let mut lines = lines.child_has_ended();
    assert_eq!(bounded(lines.recv()).await, None);
}
