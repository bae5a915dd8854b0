//! Workers that misbehave, one fault each: callers get a typed error, the pool a new worker, and nobody hangs.

use hatchery::fault::{Crash, CrashClass};
use hatchery::{ErrorKind, Event, Hatchery, WorkerEvent};
use serde_json::{Value, json};

use crate::{Rig, eventually_gone, misbehaving, spawn};

/// One call to a worker that breaks the protocol in answering it.
async fn breach(fixture: &str) -> String {
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving(fixture))).await;
    let pid = rig.pids()[0];
    let error = rig.pool.call::<Value>("echo", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{fixture}: {error}");
    assert!(error.is_retryable(), "another worker may do better");
    eventually_gone(pid).await;
    rig.end().await;
    error.to_string()
}

#[tokio::test]
async fn garbage_on_the_channel_cuts_the_worker_off() {
    let error = breach("garbage").await;
    assert!(error.contains("hello, this is"), "the text is shown: {error}");
}

#[tokio::test]
async fn an_oversized_frame_cuts_the_worker_off() {
    let error = breach("oversized").await;
    assert!(error.contains("4294967295"), "{error}");
}

#[tokio::test]
async fn a_frame_without_its_capability_cuts_the_worker_off() {
    let error = breach("uninvited_log").await;
    assert!(error.contains("`log`"), "{error}");
}

#[tokio::test]
async fn a_second_answer_cuts_the_worker_off_but_the_first_counts() {
    let mut rig = Rig::of(Hatchery::builder().pool("default", misbehaving("answers_twice"))).await;
    let pid = rig.pids()[0];
    assert_eq!(rig.pool.call::<u64>("echo", json!({})).await.unwrap(), 1);
    let reason = rig
        .event(
            |event| if let Event::Worker(WorkerEvent::Restarting { reason, .. }) = event { Some(reason) } else { None },
        )
        .await;
    assert!(reason.contains("which is not open"), "{reason}");
    eventually_gone(pid).await;
    rig.end().await;
}

#[tokio::test]
async fn a_stream_beyond_its_credit_is_cut_off() {
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving("no_credit"))).await;
    let mut chunks = rig.pool.stream::<Value>("stream_zeros", json!({})).await.unwrap();
    let mut rig = rig;
    // Nobody reads until the breach is known, so no credit is granted.
    rig.event(|event| matches!(event, Event::Worker(WorkerEvent::Gone { .. })).then_some(())).await;
    let mut got = 0;
    let error = loop {
        match chunks.next().await.unwrap() {
            Ok(_) => got += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!((15..=17).contains(&got), "a window of 1 MiB is sixteen chunks of 64 KiB, not {got}");
    rig.end().await;
}

#[tokio::test]
async fn a_worker_that_exits_takes_only_its_own_call_down() {
    let mut rig = Rig::basics(2).await;
    let gate = rig.path("gate");
    let other = spawn({
        let (pool, gate) = (rig.pool.clone(), gate.clone());
        async move { pool.call::<bool>("wait_for_file", json!({"path": gate})).await }
    });
    crate::eventually("one is busy", || rig.pool.workers().iter().any(|worker| worker.state == "busy")).await;
    let error = rig.pool.call::<Value>("die", json!({"status": 7})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    assert!(error.message().contains("exit status 7"), "{error}");
    assert_eq!(error.last_output(), ["these are my last words"]);
    let crash = Crash::from_error(&error).unwrap();
    assert_eq!((crash.class, crash.exit_code, crash.signal), (CrashClass::Exit, Some(7), None));
    std::fs::write(&gate, "").unwrap();
    assert!(other.await.unwrap().unwrap());
    let gone =
        rig.event(
            |event| if let Event::Worker(WorkerEvent::Gone { expected, .. }) = event { Some(expected) } else { None },
        );
    assert!(!gone.await);
    rig.end().await;
}

#[tokio::test]
async fn a_killed_worker_is_replaced_and_names_the_signal() {
    let mut rig = Rig::basics(1).await;
    rig.ready().await;
    let pid = rig.pids()[0];
    let error = rig.pool.call::<Value>("die", json!({"with_signal": 9})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    assert!(error.message().contains("SIGKILL"), "{error}");
    assert_eq!(Crash::from_error(&error).unwrap().class, CrashClass::Killed);
    rig.ready().await;
    let who: Value = rig.pool.call("who", json!({})).await.unwrap();
    assert_ne!(who["pid"], pid);
    rig.end().await;
}

#[tokio::test]
async fn a_segfault_is_told_as_one() {
    let mut rig = Rig::basics(1).await;
    rig.ready().await;
    let error = rig.pool.call::<Value>("die", json!({"with_signal": 11})).await.unwrap_err();
    let details = error.details().unwrap();
    let facts = ["type", "classification", "exit_code", "signal", "device"].map(|fact| details[fact].clone());
    assert_eq!(facts, [json!("worker_crash"), json!("segfault"), json!(139), json!(11), json!(null)]);
    rig.end().await;
}

#[tokio::test]
async fn half_a_frame_is_a_death_not_an_answer() {
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving("half_a_frame"))).await;
    let error = rig.pool.call::<Value>("echo", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    rig.end().await;
}

#[tokio::test]
async fn a_gibibyte_on_stdout_neither_blocks_nor_fills_the_memory() {
    let mut rig = Rig::of(Hatchery::builder().pool("default", misbehaving("floods"))).await;
    let answer = rig.pool.call::<String>("echo", json!({})).await.unwrap();
    assert_eq!(answer, "done");
    // A child that floods may die with its words in the pipe; the throttle says what it swallowed.
    let dropped = rig
        .event(|event| match event {
            Event::Worker(WorkerEvent::Log(log)) if log.source == hatchery::LogSource::Host => Some(log.message),
            _ => None,
        })
        .await;
    assert!(dropped.contains("dropped"), "{dropped}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 400 * 1024, "peak memory of the host: {kib} KiB");
    rig.end().await;
}

#[tokio::test]
async fn a_child_that_holds_the_channels_dies_with_its_worker() {
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving("leaves_children"))).await;
    let child: i32 = rig.pool.call("echo", json!({})).await.unwrap();
    assert!(crate::exists(child));
    let error = rig.pool.call::<Value>("echo", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    eventually_gone(child).await;
    rig.end().await;
}

#[tokio::test]
async fn what_a_worker_cannot_do_is_a_typed_error_and_the_worker_lives() {
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving("no_capabilities"))).await;
    let pid = rig.pids()[0];
    let mut stream = rig.pool.stream::<Value>("stream_nothing", json!({})).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("`streams`"), "{error}");
    let array = hatchery::Array::from_slice(&[1], &[1.0f32]).unwrap();
    let error = rig.pool.call::<Value>("echo", json!({"a": 1, "array": null})).await;
    assert!(error.is_ok());
    let error = rig.pool.call::<Value>("echo", std::collections::BTreeMap::from([("a", array)])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("`attachments`"), "{error}");
    let error = rig.pool.set_telemetry(&hatchery::Telemetry::default()).unwrap_err();
    assert!(error.message().contains("`telemetry_control`"), "{error}");
    assert_eq!(rig.pids(), [pid]);
    rig.end().await;
}

#[tokio::test]
async fn arguments_over_the_workers_limit_are_refused_and_the_next_call_runs() {
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving("small_limits"))).await;
    let error = rig.pool.call::<Value>("echo", json!({"text": "x".repeat(500)})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.message().contains("200"), "{error}");
    let echoed: Value = rig.pool.call("echo", json!({"text": "x"})).await.unwrap();
    assert_eq!(echoed, json!({"text": "x"}));
    rig.end().await;
}

#[tokio::test]
async fn a_result_over_the_limit_is_a_typed_error_and_the_worker_lives() {
    let limits = hatchery::Limits { max_body: 20_000, ..hatchery::Limits::default() };
    let rig = Rig::of(Hatchery::builder().pool("default", crate::app("basics.py")).limits(limits)).await;
    let pid = rig.pids()[0];
    let error = rig.pool.call::<String>("oversized", json!({"size": 50_000})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert_eq!(rig.pool.call::<String>("oversized", json!({"size": 10})).await.unwrap().len(), 10);
    assert_eq!(rig.pids(), [pid]);
    rig.end().await;
}

#[tokio::test]
async fn garbage_is_the_reason_even_if_the_worker_dies_of_it() {
    let error = breach("garbage_and_exit").await;
    assert!(error.contains("hello, this is"), "{error}");
}

#[tokio::test]
async fn an_answer_that_was_written_counts_though_its_worker_died() {
    for _ in 0..3 {
        let rig = Rig::of(Hatchery::builder().pool("default", misbehaving("answers_and_exits"))).await;
        assert_eq!(rig.pool.call::<String>("echo", json!({})).await.unwrap().len(), 60_000);
        rig.end().await;
    }
}

/// On one thread, so that a reader that never rests would stop the clock too.
async fn a_flood_does_not_stop_the_clock(fixture: &str) {
    let grace = std::time::Duration::from_millis(50);
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving(fixture)).cancel_grace(grace)).await;
    let pid = rig.pids()[0];
    let options = hatchery::CallOptions::new().timeout(std::time::Duration::from_millis(200));
    let error = rig.pool.call_with::<Value>("echo", json!({}), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
    eventually_gone(pid).await;
    rig.end().await;
}

#[tokio::test]
async fn a_flood_on_the_control_channel_does_not_stop_the_clock() {
    a_flood_does_not_stop_the_clock("floods_control").await;
}

#[tokio::test]
async fn a_flood_on_the_data_channel_does_not_stop_the_clock() {
    a_flood_does_not_stop_the_clock("floods_log").await;
}

#[tokio::test]
async fn a_worker_that_asks_and_never_listens_is_cut_off() {
    let error = breach("floods_host").await;
    assert!(error.contains("host calls open"), "{error}");
}

#[tokio::test]
async fn a_daemon_that_floods_the_channel_does_not_hold_up_the_burial() {
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving("leaves_a_flooding_daemon"))).await;
    assert_eq!(rig.pool.call::<String>("echo", json!({})).await.unwrap(), "answered");
    let error = rig.pool.call::<Value>("echo", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
    rig.end().await;
}
