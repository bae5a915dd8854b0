//! What a running daemon is told by commands: each does it, says so in one line, and knows its mistakes.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::sandbox::{Sandbox, wait_until};

const CALL: [&str; 4] = ["call", "word_count", "text=a", "-q"];

/// Id and generation of those that take calls.
fn idle(sandbox: &Sandbox) -> Vec<(String, u64)> {
    let workers = sandbox.run(&["workers", "--json"]).exits(0).json();
    let idle = workers.as_array().unwrap().iter().filter(|worker| worker["state"] == "idle").cloned();
    idle.map(|worker: Value| (worker["id"].as_str().unwrap().to_owned(), worker["generation"].as_u64().unwrap()))
        .collect()
}

fn lives(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter().map(|(id, generation)| ((*id).to_owned(), *generation)).collect()
}

#[test]
fn a_pool_gets_more_workers_and_fewer() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    sandbox.run(&["scale", "default", "2"]).exits(0).prints("pool default goes from 1 to 2 workers");
    wait_until("there are two", || idle(&sandbox) == lives(&[("default-1", 1), ("default-2", 1)]));
    let done = sandbox.run(&["scale", "default", "2", "--json"]).exits(0).json();
    assert_eq!(done, json!({ "pool": "default", "from": 2, "to": 2 }));
    sandbox.run(&["scale", "default", "1"]).exits(0).prints("pool default goes from 2 to 1 workers");
    wait_until("there is one", || idle(&sandbox).len() == 1);
    for wrong in ["0", "many", "1.5"] {
        sandbox.run(&["scale", "default", wrong]).exits(2).prints("").says("expected a whole number from 1");
    }
    sandbox.run(&["scale", "default"]).exits(2).says("<N>");
    sandbox.run(&["scale", "defualt", "2"]).exits(2).prints("").says("did you mean `default`?");
    daemon.end();
}

#[test]
fn a_worker_is_replaced_restarted_or_stopped() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &["--workers", "2"]);
    let told = sandbox.run(&["recycle", "default-1"]).exits(0);
    told.prints("default-1 (generation 1) is replaced; its successor starts first");
    wait_until("its successor is there", || idle(&sandbox) == lives(&[("default-1", 2), ("default-2", 1)]));
    let told = sandbox.run(&["restart", "default-2", "--json"]).exits(0).json();
    assert_eq!(
        (&told["worker"], &told["order"], &told["generation"]),
        (&json!("default-2"), &json!("restart"), &json!(1))
    );
    wait_until("another has its place", || idle(&sandbox) == lives(&[("default-1", 2), ("default-2", 2)]));
    let told = sandbox.run(&["stop", "default-2"]).exits(0);
    told.prints("default-2 (generation 2) ends, and pool default has one fewer");
    wait_until("there is one", || idle(&sandbox) == lives(&[("default-1", 2)]));
    for order in ["recycle", "restart", "stop"] {
        let refused = sandbox.run(&[order, "defualt-1"]).exits(2).prints("");
        refused.says("error: no such worker").says("hint: the daemon has default-1");
        sandbox.run(&[order, "default-9"]).exits(2).says("default-9").says("hint: the daemon has default-1");
    }
    sandbox.run(&["recycle"]).exits(2).says("<WORKER>");
    sandbox.run(&CALL).exits(0);
    daemon.end();
}

#[test]
fn a_drained_pool_finishes_what_it_has_and_takes_nothing_until_it_is_resumed() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let (mark, gate) = (format!("mark={}", sandbox.name("mark")), format!("gate={}", sandbox.name("gate")));
    let call = sandbox.start(&["call", "pass_gate", &mark, &gate]);
    sandbox.wait_for("mark");
    let still = "pool default takes no calls; 1 still run, and 0 wait";
    sandbox.run(&["drain", "default", "--wait", "0s"]).exits(0).prints(still);
    sandbox.run(&["drain", "default", "--wait", "20ms"]).exits(3).prints(still);
    let people = sandbox.run(&["status"]).exits(0).stdout;
    assert!(people.contains("\ndefault  draining  "), "{people}");
    sandbox.run(&CALL).exits(4).says("pool default drains");
    let waiting = sandbox.start(&["drain", "default", "--json"]);
    sandbox.write("gate", "");
    call.finish().exits(0).prints("\"passed\"");
    assert_eq!(waiting.finish().exits(0).json()["drained"], true);
    let none = "pool default takes no calls, and has none left; `hatchery resume default` opens it again";
    sandbox.run(&["drain", "default"]).exits(0).prints(none);
    sandbox.run(&["resume", "default"]).exits(0).prints("pool default takes calls; it is serving");
    sandbox.run(&CALL).exits(0);
    sandbox.run(&["drain", "other"]).exits(2).says("no such pool: other");
    sandbox.run(&["drain", "default", "--wait", "soon"]).exits(2).says("expected a duration like");
    daemon.end();
}

#[test]
fn who_gives_up_waiting_for_a_drain_leaves_a_pool_that_drains() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let (mark, gate) = (format!("mark={}", sandbox.name("mark")), format!("gate={}", sandbox.name("gate")));
    let call = sandbox.start(&["call", "pass_gate", &mark, &gate]);
    sandbox.wait_for("mark");
    let waiting = sandbox.start(&["drain", "default"]);
    wait_until("it drains", || sandbox.run(&["status", "--json"]).json()["pools"][0]["state"] == "draining");
    waiting.signal(Signal::INT);
    waiting.finish().exits(130).prints("").hides("error");
    sandbox.write("gate", "");
    call.finish().exits(0);
    sandbox.run(&CALL).exits(4).says("pool default drains");
    daemon.end();
}

#[test]
fn a_pool_is_reloaded_and_so_is_the_configuration() {
    let sandbox = Sandbox::with_app();
    let file = |rest: &str| {
        let listen = "[server]\nlisten = \"127.0.0.1:0\"\n";
        sandbox.write("hatchery.toml", &format!("{listen}[[pools]]\nname = \"default\"\napp = \"app.py\"\n{rest}"));
    };
    file("workers = 1\n");
    let daemon = Daemon::start(&sandbox, &["serve"]);
    let told = sandbox.run(&["reload", "default"]).exits(0);
    told.prints("pool default replaces its 1 workers, each when its successor is ready");
    wait_until("it is replaced", || idle(&sandbox) == lives(&[("default-1", 2)]));
    file("workers = 2\n");
    let told = sandbox.run(&["reload"]).exits(0).stdout;
    assert!(told.contains("\napplied: pools.default.workers\n"), "{told}");
    wait_until("there are two", || idle(&sandbox).len() == 2);
    let told = sandbox.run(&["reload", "--json"]).exits(0).json();
    assert_eq!(told["applied"], json!([]));
    file("worker = 1\n");
    sandbox.run(&["reload", "--config", "/dev/null"]).exits(2).prints("").says("unknown key");
    sandbox.run(&["reload", "other", "--config", "/dev/null"]).exits(2).says("no such pool: other");
    daemon.end();
}

#[test]
fn a_daemon_that_is_stopped_is_gone() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let (mark, gate) = (format!("mark={}", sandbox.name("mark")), format!("gate={}", sandbox.name("gate")));
    let call = sandbox.start(&["call", "pass_gate", &mark, &gate]);
    sandbox.wait_for("mark");
    let impatient = sandbox.start(&["stop"]);
    let patient = sandbox.start(&["stop", "--json"]);
    wait_until("it drains", || sandbox.run(&["status", "--json"]).json()["phase"] == "draining");
    impatient.signal(Signal::INT);
    impatient.finish().exits(130).prints("").hides("error");
    sandbox.write("gate", "");
    call.finish().exits(0).prints("\"passed\"");
    assert_eq!(patient.finish().exits(0).json()["stopped"], true);
    daemon.running.finish().exits(0);
    sandbox.run(&["stop"]).exits(4).prints("").says("no daemon is running");
    // Its place is free at once.
    let next = Daemon::serve(&sandbox, &[]);
    let address = next.address.clone();
    let stopped = sandbox.run(&["stop", "--addr", &address, "-q"]).exits(0);
    assert_eq!(stopped.stderr, "");
    stopped.prints(&format!("the daemon at {address} has stopped"));
    next.running.finish().exits(0);
}
