use std::io::Write;
use std::process::Stdio;

use rustix::process::Signal;

use crate::sandbox::{Running, Sandbox};

const SIGNALS: [(Signal, i32); 4] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)];

#[test]
fn any_of_the_four_ends_a_call() {
    for (signal, status) in SIGNALS {
        let sandbox = Sandbox::with_app();
        let mark = format!("mark={}", sandbox.name("running"));
        let running = sandbox.start(&["call", "--app", "app.py", "wait_after", &mark]);
        sandbox.wait_for("running");
        running.signal(signal);
        running.finish().exits(status).prints("");
    }
}

#[test]
fn a_start_is_ended_while_the_app_is_imported() {
    let sandbox = Sandbox::with("import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(3600)\n");
    let running = sandbox.start(&["call", "--app", "app.py", "anything", "--workers", "2"]);
    sandbox.wait_for("importing");
    running.signal(Signal::INT);
    running.finish().exits(130);
}

#[test]
fn a_stream_is_ended() {
    let sandbox = Sandbox::with_app();
    let mark = format!("mark={}", sandbox.name("silent"));
    let mut running = sandbox.start(&["stream", "--app", "app.py", "silent_after_one", &mark]);
    assert_eq!(running.line(), "1");
    running.signal(Signal::INT);
    running.finish().exits(130);
}

#[test]
fn a_stream_is_ended_while_nobody_reads_it() {
    let sandbox = Sandbox::with_app();
    let mut running = sandbox.start(&["stream", "--app", "app.py", "countdown", "n=100000000"]);
    assert_eq!(running.line(), "100000000");
    // The pipe fills up, and the write into it blocks.
    running.signal(Signal::INT);
    running.finish().exits(130);
}

#[test]
fn a_map_is_ended_while_it_works() {
    let sandbox = Sandbox::with_app();
    sandbox.write("input", &format!("{{\"mark\":\"{}\"}}\n", sandbox.name("running")));
    let running = sandbox.start(&["map", "--app", "app.py", "wait_after", "-i", "input"]);
    sandbox.wait_for("running");
    running.signal(Signal::INT);
    running.finish().exits(130).prints("");
}

#[test]
fn a_map_is_ended_while_it_waits_for_input() {
    let sandbox = Sandbox::with_app();
    let mut child = sandbox.command(&["map", "--app", "app.py", "echo"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{\"value\":1}\n").unwrap();
    let mut running = Running::new(child);
    assert_eq!(running.line(), "1");
    running.signal(Signal::INT);
    running.finish().exits(130).prints("");
}

#[test]
fn arguments_that_do_not_come_can_be_given_up() {
    let sandbox = Sandbox::with("");
    let mut child =
        sandbox.command(&["call", "--app", "app.py", "anything", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let _open = child.stdin.take();
    let running = Running::new(child);
    running.wait_for_thread("stdin");
    running.signal(Signal::TERM);
    running.finish().exits(143);
}

#[test]
fn the_second_signal_ends_even_what_ignores_the_first() {
    let sandbox = Sandbox::with_app();
    let mark = format!("mark={}", sandbox.name("running"));
    let running = sandbox.start(&["call", "--app", "app.py", "stubborn", &mark]);
    sandbox.wait_for("running");
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    running.finish().exits(130);
}

#[test]
fn a_load_that_is_ended_tells_what_it_measured() {
    let sandbox = Sandbox::with_app();
    let mark = format!("mark={}", sandbox.name("running"));
    let words = ["bench", "--app", "app.py", "mark_call", &mark, "number=10", "--duration", "infinity", "--json"];
    let running = sandbox.start(&words);
    sandbox.wait_for("running");
    running.signal(Signal::INT);
    let measured = running.finish().exits(130).json();
    assert!(measured["calls"].as_u64().unwrap() >= 9, "{measured}");
}

/// What a terminal does for Ctrl-C. Workers are in sessions of their own, so that only the command hears it.
#[test]
fn a_signal_to_the_whole_group_ends_a_call() {
    let sandbox = Sandbox::with_app();
    let mark = format!("mark={}", sandbox.name("running"));
    let mut command = sandbox.command(&["call", "--app", "app.py", "wait_after", &mark]);
    let running = Running::new(std::os::unix::process::CommandExt::process_group(&mut command, 0).spawn().unwrap());
    sandbox.wait_for("running");
    running.signal_group(Signal::INT);
    running.finish().exits(130).prints("").hides("Traceback");
}
