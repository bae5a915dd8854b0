//! The Python client, as the command carries it, against a daemon of the same command.

mod guarded;

use std::path::Path;

use rustix::process::Signal;

use crate::daemon::Daemon;
use crate::sandbox::{Finished, Sandbox};

/// Plays a scenario of `client.py`, with the package that `hatchery python-path` names.
fn play(sandbox: &Sandbox, scenario: &str, python: &str) -> Finished {
    sandbox.write("client.py", include_str!("python_client/client.py"));
    sandbox.shell(&format!(r#"PYTHONPATH="$("$0" python-path)" exec {python} -B client.py {scenario}"#))
}

/// The same with words that follow the scenario's name.
fn play_with(sandbox: &Sandbox, words: &[&str]) -> Finished {
    play(sandbox, &words.join(" "), "python3")
}

fn with_daemon(scenario: &str) {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    play(&sandbox, scenario, "python3").exits(0).prints("");
    daemon.end();
}

#[test]
fn it_calls_and_streams() {
    with_daemon("calls");
}

#[test]
fn it_does_so_in_an_event_loop() {
    with_daemon("calls_in_a_loop");
}

#[test]
fn what_fails_is_an_exception_of_its_kind() {
    with_daemon("failures");
}

#[test]
fn what_is_given_up_is_cancelled() {
    with_daemon("cancels");
}

#[test]
fn who_is_interrupted_gives_up() {
    with_daemon("interrupted");
}

#[test]
fn it_sees_and_calls_host_tools() {
    let sandbox = Sandbox::with_app();
    let tool =
        "[[host_tools]]\nname = \"count\"\npool = \"default\"\ntool = \"word_count\"\ndescription = \"Counts.\"\n";
    let text = format!("[server]\nlisten = \"127.0.0.1:0\"\n[[pools]]\nname = \"default\"\napp = \"app.py\"\n{tool}");
    sandbox.write("hatchery.toml", &text);
    let daemon = Daemon::start(&sandbox, &["serve"]);
    play(&sandbox, "calls_host_tools", "python3").exits(0).prints("");
    daemon.end();
}

#[test]
fn it_tells_what_the_daemon_does() {
    with_daemon("looks");
}

#[test]
fn it_gives_orders_and_hears_of_what_comes_of_them() {
    with_daemon("orders");
}

#[test]
fn it_keeps_things_in_sessions() {
    with_daemon("remembers");
}

#[test]
fn arrays_go_and_come_as_they_are() {
    let Some(home) = std::env::var_os("HATCHERY_TEST_VENV") else {
        return crate::examples::skipped(
            "HATCHERY_TEST_VENV names no environment with NumPy; `cargo xtask test` makes one",
        );
    };
    let python = Path::new(&home).join("bin/python");
    let python = python.to_str().unwrap();
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &["--python", python]);
    play(&sandbox, "arrays", python).exits(0);
    daemon.end();
}

#[test]
fn it_finds_a_daemon_that_was_killed_and_started_anew() {
    let sandbox = Sandbox::with_app();
    let first = Daemon::serve(&sandbox, &[]);
    std::thread::scope(|scope| {
        let script = scope.spawn(|| play(&sandbox, "comes_back", "python3"));
        sandbox.wait_for("ready");
        first.running.signal(Signal::KILL);
        first.running.finish();
        let again = Daemon::serve(&sandbox, &[]);
        sandbox.write("again", "");
        script.join().unwrap().exits(0);
        again.end();
    });
}

#[test]
fn a_daemon_that_dies_within_a_stream_ends_it() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    std::thread::scope(|scope| {
        let script = scope.spawn(|| play(&sandbox, "loses_it_midway", "python3"));
        sandbox.wait_for("ready");
        daemon.running.signal(Signal::KILL);
        daemon.running.finish();
        script.join().unwrap().exits(0);
    });
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let sandbox = Sandbox::new();
    play(&sandbox, "nobody", "python3").exits(0);
}
