//! Starts that fail: the reason is told, and nothing is left.

use std::time::Duration;

use hatchery::{CommandApp, Error, ErrorKind, Event, Hatchery, PoolBuilder, PythonApp, Timeouts, WorkerEvent};

use crate::{app, eventually_gone, misbehaving};

async fn failing(builder: PoolBuilder) -> Error {
    let started = tokio::time::timeout(crate::PATIENCE, builder.start()).await.expect("does not hang");
    started.err().expect("does not start")
}

fn of(fixture: &str) -> PoolBuilder {
    Hatchery::builder().pool("default", misbehaving(fixture)).workers(2)
}

#[tokio::test]
async fn a_worker_that_exits_before_it_is_ready_says_its_last_words() {
    let error = failing(of("exits_at_once")).await;
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    assert!(error.message().contains("exit status 3"), "{error}");
    assert_eq!(error.last_output(), ["cannot find my model file"]);
}

#[tokio::test]
async fn a_worker_that_hangs_before_it_is_ready_runs_into_the_start_deadline() {
    let timeouts = Timeouts { start: Some(Duration::from_millis(100)), ..Timeouts::default() };
    let error = failing(of("silent").timeouts(timeouts)).await;
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert!(error.message().ends_with("deadline of 100ms passed while the worker was starting"), "{error}");
}

#[tokio::test]
async fn a_program_that_is_no_worker_is_cut_off() {
    let error = failing(of("garbage_before_ready")).await;
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.message().contains("HTTP/1.1"), "{error}");
}

#[tokio::test]
async fn a_worker_that_hangs_up_is_ended() {
    let error = failing(of("hangs_up")).await;
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.message().contains("closed its control channel"), "{error}");
}

#[tokio::test]
async fn a_version_that_nobody_offered_is_refused() {
    let error = failing(of("wrong_version")).await;
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.message().contains("version 7"), "{error}");
}

#[tokio::test]
async fn a_tool_named_twice_is_refused() {
    let error = failing(of("same_tool_twice")).await;
    assert!(error.message().contains("\"echo\" twice"), "{error}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let error = failing(Hatchery::builder().pool("default", CommandApp::new("no-such-program-anywhere"))).await;
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.message().contains("no-such-program-anywhere"), "{error}");
}

#[tokio::test]
async fn an_app_that_is_not_there_is_named() {
    let error = failing(Hatchery::builder().pool("default", app("no_such_app.py"))).await;
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.message().contains("no_such_app.py"), "{error}");
}

#[tokio::test]
async fn an_app_that_does_not_load_shows_its_traceback_and_output() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        ("syntax.py", "def f(:\n    pass\n", "SyntaxError", None),
        (
            "raises.py",
            "print('loading the model')\nraise RuntimeError('no such model')\n",
            "no such model",
            Some("loading the model"),
        ),
        ("empty.py", "x = 1\n", "no tools", None),
    ];
    for (name, source, part, output) in cases {
        let path = dir.path().join(name);
        std::fs::write(&path, source).unwrap();
        let error = failing(Hatchery::builder().pool("default", PythonApp::file(&path))).await;
        assert_eq!(error.kind(), ErrorKind::Validation, "{name}: {error}");
        assert!(error.message().contains(part), "{name}: {error}");
        if let Some(line) = output {
            assert!(error.traceback().unwrap().contains("raises.py"), "{error:?}");
            assert_eq!(error.last_output(), [line]);
        }
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), cases.len(), "nothing is written beside the app: {left:?}");
}

#[tokio::test]
async fn an_interpreter_that_is_not_there_is_named() {
    let error = failing(Hatchery::builder().pool("default", app("basics.py").python("/no/such/python3"))).await;
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.message().contains("/no/such/python3"), "{error}");
}

#[tokio::test]
async fn a_python_that_is_too_old_is_refused_with_its_version() {
    // A real interpreter that believes to be 3.8, as no old one can be expected on every machine.
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("python3.8");
    let script = "#!/bin/sh\nexec python3 -c 'import runpy, sys\nsys.version_info = (3, 8, 18, \"final\", 0)\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name=\"__main__\")' \"$@\"\n";
    std::fs::write(&old, script).unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = failing(Hatchery::builder().pool("default", app("basics.py").python(old.to_str().unwrap()))).await;
    assert_eq!(error.kind(), ErrorKind::Validation, "{error:?}");
    assert!(error.message().contains("3.8") && error.message().contains("3.9"), "{error}");
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_no_process() {
    let mut builder = of("silent");
    let mut events = builder.events();
    let start = crate::spawn(builder.start());
    let mut pids = Vec::new();
    while pids.len() < 2 {
        if let Some(hatchery::Event::Worker(hatchery::WorkerEvent::Started { pid, .. })) = events.next().await {
            pids.push(pid);
        }
    }
    start.abort();
    for pid in pids {
        eventually_gone(pid).await;
    }
}

#[tokio::test]
async fn mistakes_in_the_configuration_are_told_by_start() {
    let two = Hatchery::builder().pool("a", app("basics.py")).pool("a", app("basics.py"));
    assert_eq!(failing(two).await.message(), "there are two pools named a");
    let none = Hatchery::builder().pool("a", app("basics.py")).workers(0);
    assert_eq!(failing(none).await.message(), "pool a: expected 1 to 1024 workers, found 0");
    let name = Hatchery::builder().pool("a b", app("basics.py"));
    assert_eq!(failing(name).await.kind(), ErrorKind::Validation);
}

#[tokio::test]
async fn a_hatchery_stands_without_pools() {
    let hatchery = Hatchery::builder().start().await.unwrap();
    assert_eq!(hatchery.pool("default").err().unwrap().kind(), ErrorKind::NotFound);
    hatchery.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_worker_sends_too_early_does_not_hold_up_its_burial() {
    let timeouts = Timeouts { start: Some(Duration::from_millis(200)), ..Timeouts::default() };
    let error = failing(of("event_before_ready").timeouts(timeouts)).await;
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
}

/// Waits until a worker has come to nothing for this reason.
async fn restarting_after(rig: &mut crate::Rig, why: &str) {
    rig.event(|event| match event {
        Event::Worker(WorkerEvent::Restarting { reason, .. }) if reason.contains(why) => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_a_worker_learns_why_there_is_none() {
    let timeouts = Timeouts { queue: Some(Duration::from_millis(500)), ..Timeouts::default() };
    let dir = tempfile::tempdir().unwrap();
    let worker = misbehaving("breaks_on_restart").arg(dir.path().join("broken"));
    let mut rig = crate::Rig::of(Hatchery::builder().pool("default", worker).timeouts(timeouts)).await;
    let error = rig.pool.call::<()>("echo", serde_json::json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    restarting_after(&mut rig, "exit status 3").await;
    let error = rig.pool.call::<()>("echo", serde_json::json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    let expected = "deadline of 500ms passed while waiting in the queue; no worker is ready: start worker default-";
    assert!(error.message().starts_with(expected) && error.message().ends_with("exit status 3"), "{error}");
    assert_eq!(error.last_output(), ["the model file is gone"]);
    rig.end().await;
}

#[test]
fn a_runtime_that_cannot_do_it_is_an_error_and_not_a_hang() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let error = runtime.block_on(failing(Hatchery::builder().pool("default", app("basics.py"))));
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
}

/// An app whose `launch` does, from the second time on, what the test says.
struct Second<F>(std::sync::atomic::AtomicUsize, F);

impl<F: Fn() + Send + Sync + 'static> hatchery::App for Second<F> {
    fn launch(&self, worker: &hatchery::LaunchContext<'_>) -> hatchery::Result<hatchery::Launch> {
        if self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            self.1();
        }
        misbehaving("answers_and_exits").launch(worker)
    }

    fn describe(&self) -> String {
        "second".to_owned()
    }
}

#[tokio::test]
async fn a_launch_that_blocks_does_not_hold_up_the_shutdown() {
    let (entered, enters) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let app = Second(Default::default(), move || {
        entered.send(()).unwrap();
        let _the_test_is_over = released.lock().unwrap().recv();
    });
    let rig = crate::Rig::of(Hatchery::builder().pool("default", app)).await;
    rig.pool.call::<String>("echo", serde_json::json!({})).await.unwrap();
    crate::eventually("the second launch has begun", || enters.try_recv().is_ok()).await;
    tokio::time::timeout(crate::PATIENCE, rig.end()).await.expect("does not hang");
    drop(release);
}

#[tokio::test]
async fn a_launch_that_panics_is_an_error_and_tried_again() {
    let app = Second(Default::default(), || panic!("a bug in the app"));
    let timeouts = Timeouts { queue: Some(Duration::from_millis(200)), ..Timeouts::default() };
    let mut rig = crate::Rig::of(Hatchery::builder().pool("default", app).timeouts(timeouts)).await;
    rig.pool.call::<String>("echo", serde_json::json!({})).await.unwrap();
    restarting_after(&mut rig, "a bug in the app").await;
    let error = rig.pool.call::<String>("echo", serde_json::json!({})).await.unwrap_err();
    assert!(error.message().contains("no worker is ready") && error.message().contains("a bug in the app"), "{error}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_dropped_at_any_point_leaves_no_process() {
    for patience in [0, 1, 2, 4, 8, 16, 32, 64].map(Duration::from_millis) {
        let mut builder = Hatchery::builder().pool("default", misbehaving("ignores_everything")).workers(2);
        let mut events = builder.events();
        drop(tokio::time::timeout(patience, builder.start()).await);
        // There are events for as long as anything of it lives.
        while let Some(event) = events.next().await {
            if let Event::Worker(WorkerEvent::Started { pid, .. }) = event {
                eventually_gone(pid).await;
            }
        }
    }
}
