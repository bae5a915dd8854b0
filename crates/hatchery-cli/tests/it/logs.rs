use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::{Daemon, SERVE};
use crate::sandbox::{Finished, Sandbox, wait_until};

fn said(sandbox: &Sandbox, log: &[&str]) -> Finished {
    sandbox.run(&[&["call", "--app", "app.py", "say", "text=hello"], log].concat()).exits(0)
}

#[test]
fn none_is_wholly_silent() {
    let sandbox = Sandbox::with_app();
    assert_eq!(said(&sandbox, &["--log", "none"]).stderr, "");
    let daemon = Daemon::serve(&sandbox, &["--log", "none"]);
    sandbox.run(&["call", "say", "text=hello"]).exits(0);
    assert_eq!(daemon.end().stderr, "");
}

#[test]
fn a_category_is_shown_or_hidden_for_itself() {
    let sandbox = Sandbox::with_app();
    said(&sandbox, &[]).says("default-1 | hello\n").hides("ready in");
    said(&sandbox, &["--log", "debug,output=none"]).hides("hello").says("default-1 ready in");
    said(&sandbox, &["--log", "none,guardian=debug"]).hides("default-1").says("guardian has pid");
    let wrong = sandbox.run(&["call", "say", "--log", "info,pols=debug"]).exits(2);
    wrong.says("no log category `pols` (did you mean `pool`?)");
}

#[test]
fn json_is_one_object_per_line_with_shapes_and_without_values() {
    let sandbox = Sandbox::with_app();
    let finished = said(&sandbox, &["--log", "trace,output=none", "--log-format", "json"]);
    let lines: Vec<Value> = finished.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of =
        |event: &str| lines.iter().find(|line| line["event"] == event).unwrap_or_else(|| panic!("{event}: {lines:#?}"));
    let ready = of("worker.ready");
    assert_eq!((&ready["level"], &ready["category"]), (&json!("debug"), &json!("worker")));
    assert!(ready["fields"]["took_seconds"].as_f64().unwrap() > 0.0, "{ready}");
    assert_eq!(of("call.finished")["fields"]["outcome"], "ok");
    let called = lines.iter().find(|line| line["message"] == "say is called").unwrap();
    assert_eq!(called["fields"]["arguments"], "{text: text of 5}");
    assert!(!finished.stderr.contains("hello"), "{finished:#?}");
}

#[test]
fn a_daemon_says_everything_in_the_form_that_is_asked_for() {
    let sandbox = Sandbox::with_app();
    let running = sandbox.start(&[&SERVE[..], &["--log-format", "json"]].concat());
    wait_until("it serves", || sandbox.run(&["call", "word_count", "text=a", "-q"]).status == Some(0));
    running.signal(Signal::TERM);
    let finished = running.finish().exits(0);
    let lines: Vec<Value> = finished.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_told = |begin: &str| {
        lines.iter().any(|line| line["category"] == "daemon" && line["message"].as_str().unwrap().starts_with(begin))
    };
    assert!(is_told("listening on http://127.0.0.1:") && is_told("draining: "), "{lines:#?}");
}
