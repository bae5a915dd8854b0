use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::{Daemon, SERVE};
use crate::sandbox::{Running, Sandbox, wait_until};

const RECORD: &str = "state/hatchery/default/daemon.json";

#[test]
fn where_it_listens_is_told_to_people_on_stderr() {
    let sandbox = Sandbox::with_app();
    let running = sandbox.start(&SERVE);
    wait_until("it serves", || sandbox.run(&["call", "word_count", "text=a", "-q"]).status == Some(0));
    let address = record(&sandbox)["address"].as_str().unwrap().to_owned();
    running.signal(Signal::INT);
    let finished = running.finish().exits(0).prints("");
    let lines: Vec<&str> = finished.stderr.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["sweeping", "filling", "listening on http", "draining"], "{finished:#?}");
    finished.says(&format!("listening on http://{address}\n")).says("draining: calls that run have 30s to finish");
}

#[test]
fn a_drain_has_the_time_that_the_configuration_gives_it() {
    let sandbox = Sandbox::with_app();
    sandbox.write("hatchery.toml", "[[pools]]\nname = \"a\"\napp = \"app.py\"\nstop = { ask = \"50ms\" }\n");
    let daemon = Daemon::serve(&sandbox, &[]);
    let mark = format!("mark={}", sandbox.name("mark"));
    let call = sandbox.start(&["call", "stubborn", &mark]);
    sandbox.wait_for("mark");
    daemon.end().says("draining: calls that run have 50ms to finish");
    call.finish().exits(130);
}

fn record(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&std::fs::read_to_string(sandbox.path(RECORD)).unwrap()).unwrap()
}

#[test]
fn where_it_listens_is_kept_in_the_data_directory_as_long_as_it_lives() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &["--quiet"]);
    let mode = std::fs::metadata(sandbox.path(RECORD)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode, &record(&sandbox)["address"]), (0o600, &json!(daemon.address)));
    assert_eq!(daemon.end().stderr, "");
    assert!(!sandbox.path(RECORD).exists());
}

#[test]
fn status_and_workers_are_told() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &["--workers", "2"]);
    let status = sandbox.run(&["status", "--json"]).exits(0).json();
    assert_eq!((&status["phase"], &status["pools"][0]["workers"]), (&json!("serving"), &json!(2)));
    let people = sandbox.run(&["status"]).exits(0).stdout;
    assert!(people.starts_with(&format!("serving on http://{}, pid {}", daemon.address, status["pid"])), "{people}");
    let promise = status["guarantee"]["promise"].as_str().unwrap();
    assert!(people.contains(&format!("\npromise: {promise}\n")), "{people}");
    assert!(people.trim_end().ends_with("\norphans: 0\nhealth: healthy"), "{people}");
    sandbox.run(&["call", "fail", "message=no", "-q"]).exits(1);
    let workers = sandbox.run(&["workers", "--json"]).exits(0).json();
    let workers = workers.as_array().unwrap();
    assert_eq!(
        workers.iter().map(|worker| worker["id"].as_str().unwrap()).collect::<Vec<_>>(),
        ["default-1", "default-2"]
    );
    assert_eq!(workers.iter().map(|worker| worker["errors"].as_u64().unwrap()).sum::<u64>(), 1);
    assert!(workers.iter().all(|worker| worker["rss_bytes"].as_u64().unwrap() > 1 << 20), "{workers:?}");
    let people = sandbox.run(&["workers"]).exits(0).stdout;
    assert!(people.lines().nth(1).unwrap().starts_with("default-1  idle"), "{people}");
    daemon.end();
}

#[test]
fn a_signal_lets_the_running_call_finish_and_takes_no_other() {
    for signal in [Signal::TERM, Signal::INT] {
        let sandbox = Sandbox::with_app();
        let daemon = Daemon::serve(&sandbox, &[]);
        let (mark, gate) = (format!("mark={}", sandbox.name("mark")), format!("gate={}", sandbox.name("gate")));
        let call = sandbox.start(&["call", "pass_gate", &mark, &gate]);
        sandbox.wait_for("mark");
        daemon.running.signal(signal);
        wait_until("it drains", || sandbox.run(&["status", "--json"]).json()["phase"] == "draining");
        sandbox.run(&["call", "word_count", "text=a"]).exits(4).says("pool default is shut down");
        sandbox.write("gate", "");
        call.finish().exits(0).prints("\"passed\"");
        daemon.running.finish().exits(0);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &["--workers", "2"]);
    let mark = format!("mark={}", sandbox.name("mark"));
    let call = sandbox.start(&["call", "stubborn", &mark]);
    sandbox.wait_for("mark");
    daemon.running.signal(Signal::TERM);
    wait_until("it drains", || sandbox.run(&["status", "--json"]).json()["phase"] == "draining");
    daemon.running.signal(Signal::INT);
    daemon.running.finish().exits(143);
    call.finish().exits(4).says("it went away before it had answered");
    assert!(!sandbox.path(RECORD).exists());
}

#[test]
fn a_signal_ends_a_start_too() {
    let sandbox = Sandbox::with("import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(3600)\n");
    let running = sandbox.start(&SERVE);
    sandbox.wait_for("importing");
    assert_eq!(sandbox.run(&["status", "--json"]).exits(0).json()["phase"], "filling");
    sandbox.run(&["call", "anything", "{}"]).exits(4).says("the daemon takes no calls: it is filling");
    running.signal(Signal::TERM);
    running.finish().exits(0).prints("").hides("listening");
    assert!(!sandbox.path(RECORD).exists());
}

#[test]
fn a_daemon_that_was_killed_is_not_running_and_another_may_follow() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    daemon.running.signal(Signal::KILL);
    daemon.running.finish();
    assert!(sandbox.path(RECORD).exists());
    sandbox.run(&["status"]).exits(4).says("no daemon is running");
    let next = Daemon::serve(&sandbox, &[]);
    sandbox.run(&["call", "word_count", "text=a", "-q"]).exits(0).prints(r#"{"a":1}"#);
    next.end();
}

#[test]
fn an_address_and_a_data_directory_have_one_daemon() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let other = ["serve", "--app", "app.py", "--data-dir", "other"];
    let finished = sandbox.run(&[&other[..], &["--listen", &daemon.address]].concat()).exits(4);
    finished.says(&format!("listen on {}: another program listens there", daemon.address));
    let pid = sandbox.run(&["status", "--json"]).json()["pid"].clone();
    let finished = sandbox.run(&SERVE).exits(4).prints("");
    finished.says(&format!("belongs to the daemon with pid {pid} at {}", daemon.address)).says("--data-dir");
    daemon.end();
}

#[test]
fn the_pools_of_the_configuration_are_served_and_a_broken_one_hurts_no_other() {
    let sandbox = Sandbox::with_app();
    sandbox.write("broken.py", "raise RuntimeError('no model')\n");
    let pool = |name: &str, app: &str| format!("[[pools]]\nname = \"{name}\"\napp = \"{app}\"\n");
    sandbox.write("hatchery.toml", &[pool("default", "app.py"), pool("other", "broken.py")].concat());
    let daemon = Daemon::start(&sandbox, &["serve", "--listen", "127.0.0.1:0"]);
    sandbox.run(&["call", "word_count", "text=a", "-q"]).exits(0);
    let status = sandbox.run(&["status", "--json"]).exits(0).json();
    let states: Vec<&Value> = status["pools"].as_array().unwrap().iter().map(|pool| &pool["state"]).collect();
    assert_eq!(states, ["serving", "unavailable"]);
    daemon.end().says("pool other cannot serve: ").says("no model");
}

#[test]
fn what_cannot_be_served_is_told_before_anything_starts() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&["serve"]).exits(2).says("nothing to serve: give an app with --app app.py, or [[pools]]");
    sandbox.run(&["serve", "--app", "app.py", "--listen", "0.0.0.0:0"]).exits(2).says("only loopback addresses");
    sandbox.run(&["serve", "--app", "app.py", "--listen", "7411"]).exits(2).says("expected an address and a port");
    sandbox.write("file", "");
    sandbox
        .run(&[&SERVE[..], &["--data-dir", "file/x"]].concat())
        .exits(2)
        .says("directory file/x: a part of its path is no");
    let nowhere = sandbox.run(&[&SERVE[..], &["--data-dir", "/proc/self/data"]].concat()).exits(2);
    nowhere.says("write /proc/self/data/daemon.json: ").says("hint: `--data-dir DIR`");
}

#[test]
fn where_it_listens_is_what_the_flag_says_then_the_variable_then_the_file() {
    let sandbox = Sandbox::with_app();
    let line = |variable: &str, flag: &str| {
        sandbox.shell(&format!(r#"{variable} exec "$0" serve --app app.py {flag}"#)).exits(2)
    };
    sandbox.write("hatchery.toml", "[server]\nlisten = \"192.0.2.1:1\"\n");
    line("", "").says("hatchery.toml:2: server.listen: expected an address on loopback");
    line("HATCHERY__SERVER__LISTEN=192.0.2.2:1", "").says("HATCHERY__SERVER__LISTEN: expected an address on loopback");
    line("HATCHERY__SERVER__LISTEN=127.0.0.1:1", "--listen 192.0.2.3:1").says("listen on 192.0.2.3:1: only loopback");
    sandbox.write("hatchery.toml", "[server]\nlisten = 7411\n");
    line("", "").says("hatchery.toml:2: server.listen: expected an address and a port");

    sandbox.write("hatchery.toml", "[server]\nlisten = \"127.0.0.1:0\"\n");
    let running = sandbox.start(&["serve", "--app", "app.py"]);
    wait_until("it serves", || sandbox.run(&["call", "word_count", "text=a", "-q"]).status == Some(0));
    running.signal(Signal::TERM);
    running.finish().exits(0).says("listening on http://127.0.0.1:");
}

#[test]
fn an_app_that_does_not_load_is_shown_with_its_traceback() {
    let sandbox = Sandbox::with("print('so far')\nx = {}['key']\n");
    let finished = sandbox.run(&SERVE).exits(2).prints("");
    finished.says("KeyError").says("Traceback").says("default-1 | so far\n").hides("listening");
    let error = sandbox.run(&[&SERVE[..], &["--json", "-q"]].concat()).exits(2).json();
    assert_eq!(error["error"]["kind"], "validation");
    assert!(error["error"]["traceback"].as_str().unwrap().contains("KeyError"), "{error}");
    assert!(!sandbox.path(RECORD).exists());
}

#[test]
fn a_daemon_serves_on_though_nobody_reads_what_it_says() {
    let sandbox = Sandbox::with_app();
    let (reader, pipe) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = sandbox.command(&[&SERVE[..], &["--json"]].concat());
    command.stdout(pipe.try_clone().unwrap()).stderr(Stdio::from(pipe));
    let running = Running::new(command.spawn().unwrap());
    wait_until("it serves", || sandbox.run(&["call", "word_count", "text=a", "-q"]).status == Some(0));
    running.signal(Signal::TERM);
    running.finish().exits(0);
}

#[test]
fn a_stderr_that_nobody_empties_does_not_hold_up_the_end() {
    let sandbox = Sandbox::with_app();
    let (_reader, pipe) = std::io::pipe().unwrap();
    let mut command = sandbox.command(&SERVE);
    let running = Running::new(command.stderr(pipe).spawn().unwrap());
    wait_until("it serves", || sandbox.run(&["call", "word_count", "text=a", "-q"]).status == Some(0));
    sandbox.run(&["call", "flood", "mebibytes=4", "-q"]).exits(0);
    running.signal(Signal::TERM);
    running.finish().exits(0);
}
