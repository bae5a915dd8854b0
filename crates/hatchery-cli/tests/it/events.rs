//! What happens in a daemon, as `hatchery events` shows it.

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::sandbox::{Running, Sandbox, wait_until};

/// Follows, and hears everything from now on.
fn following(sandbox: &Sandbox, words: &[&str]) -> Running {
    let running = sandbox.start(&[&["events", "--follow"], words].concat());
    wait_until("it listens", || running.has_said("from now on; Ctrl-C ends this"));
    running
}

#[test]
fn events_are_shown_as_they_happen_until_ctrl_c() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let mut people = following(&sandbox, &["--kind", "pool.scaled", "--pool", "default"]);
    let mut scripts = following(&sandbox, &["--json", "--kind", "pool.*"]);
    sandbox.run(&["scale", "default", "2"]).exits(0);
    let line = people.line();
    assert!(line.contains("Z  pool.scaled  ") && line.contains("pool=default") && line.contains("to=2"), "{line}");
    let event: Value = serde_json::from_str(&scripts.line()).unwrap();
    assert_eq!((&event["name"], &event["from"], &event["to"]), (&"pool.scaled".into(), &1.into(), &2.into()));
    people.signal(Signal::INT);
    people.finish().exits(130).prints("").hides("error");
    scripts.close_stdout();
    let finished = scripts.finish().exits(0);
    assert!(!finished.stderr.contains("error"), "{finished:?}");
    daemon.end();
}

#[test]
fn only_what_was_asked_for_is_shown() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &["--workers", "2"]);
    let one = following(&sandbox, &["--json", "--count", "1", "--kind", "worker.ready", "--worker", "default-2"]);
    for worker in ["default-1", "default-2"] {
        sandbox.run(&["restart", worker]).exits(0);
    }
    let finished = one.finish().exits(0);
    let event: Value = serde_json::from_str(finished.stdout.trim_end()).unwrap();
    assert_eq!((&event["name"], &event["worker"]), (&"worker.ready".into(), &"default-2".into()));
    daemon.end();
}

#[test]
fn without_following_it_ends_by_itself() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    sandbox.run(&["events", "--kind", "pool.draining", "--for", "10ms"]).exits(0).prints("");
    sandbox.run(&["events", "--kind", "worker.redy"]).exits(2).prints("").says("did you mean `worker.ready`?");
    sandbox.run(&["events", "--follow", "--for", "1s"]).exits(2).says("cannot be used with");
    sandbox.run(&["events", "--count", "0"]).exits(2);
    sandbox.run(&["events", "--for", "soon"]).exits(2).says("expected a duration like");
    daemon.end();
}

#[test]
fn the_end_of_the_daemon_is_told() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let running = following(&sandbox, &["--kind", "pool.scaled"]);
    daemon.end();
    running.finish().exits(4).says("error: ");
    let daemon = Daemon::serve(&sandbox, &[]);
    let running = following(&sandbox, &["--kind", "pool.scaled"]);
    daemon.running.signal(Signal::KILL);
    daemon.running.finish();
    running.finish().exits(4).says("error: ");
}

#[test]
fn the_catalogue_needs_no_daemon() {
    let sandbox = Sandbox::new();
    let all = sandbox.run(&["events", "--catalogue", "--json"]).exits(0).json();
    let ready = all.as_array().unwrap().iter().find(|kind| kind["name"] == "worker.ready").unwrap();
    assert_eq!((&ready["room"], &ready["standing"]), (&"worker".into(), &"emitted".into()));
    let some = sandbox.run(&["events", "--catalogue", "--kind", "breaker.*"]).exits(0).stdout;
    assert!(some.starts_with("breaker.closed\n") && !some.contains("worker.ready"), "{some}");
    sandbox.run(&["events", "--catalogue", "--kind", "worker.redy"]).exits(2).says("did you mean `worker.ready`?");
    sandbox.run(&["events", "--catalogue", "--follow"]).exits(2).says("cannot be used with");
    sandbox.run(&["events", "--markdown"]).exits(2).says("--catalogue");
}

#[test]
fn the_page_of_events_is_the_one_in_the_repository() {
    let page = include_str!("../../../../docs/events.md");
    assert_eq!(Sandbox::new().run(&["events", "--catalogue", "--markdown"]).exits(0).stdout, page);
}
