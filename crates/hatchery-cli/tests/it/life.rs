//! The life of `hatchery serve`, as a service manager, a container and an operator see it.

mod durable;
mod first_process;
mod systemd;

use rustix::process::Signal;
use serde_json::json;

use crate::daemon::Daemon;
use crate::sandbox::{Sandbox, wait_until};

/// Of `hatchery.toml`; the pool says this besides its name and app.
fn saying(pool: &str) -> String {
    format!("[server]\nlisten = \"127.0.0.1:0\"\n[[pools]]\nname = \"default\"\napp = \"app.py\"\n{pool}\n")
}

fn served(sandbox: &Sandbox, pool: &str) -> Daemon {
    sandbox.write("hatchery.toml", &saying(pool));
    Daemon::start(sandbox, &["serve"])
}

fn workers(sandbox: &Sandbox) -> Vec<(String, u64)> {
    let workers = sandbox.run(&["workers", "--json"]).exits(0).json();
    let ready = workers.as_array().unwrap().iter().filter(|worker| worker["state"] == "idle");
    ready.map(|worker| (worker["id"].as_str().unwrap().to_owned(), worker["generation"].as_u64().unwrap())).collect()
}

#[test]
fn a_hangup_has_the_configuration_read_again() {
    let sandbox = Sandbox::with_app();
    let daemon = served(&sandbox, "workers = 1");
    sandbox.write("hatchery.toml", &saying("workers = 2\nenv = { SHOP = \"new\" }\ntemplate = false"));
    daemon.running.signal(Signal::HUP);
    wait_until("there are two, and both are new", || {
        let workers = workers(&sandbox);
        workers.len() == 2 && workers[0].1 == 2
    });
    let finished = daemon.end();
    finished
        .says("reload: applied pools.default.env, pools.default.workers;")
        .says("reload: pools.default.template needs a restart: whether workers are forked");
}

#[test]
fn of_a_wrong_configuration_nothing_is_taken_and_everything_wrong_is_told() {
    let sandbox = Sandbox::with_app();
    let daemon = served(&sandbox, "workers = 1");
    let before = workers(&sandbox);
    sandbox.write("hatchery.toml", &saying("workers = 2\nworker = 3\nmax_queue = \"many\""));
    daemon.running.signal(Signal::HUP);
    wait_until("it was read", || daemon.running.has_said("max_queue: expected a whole number"));
    sandbox.write("hatchery.toml", &saying("workers = 1\nmax_queue = 7"));
    assert_eq!(workers(&sandbox), before);
    daemon.running.signal(Signal::HUP);
    wait_until("it was read", || daemon.running.has_said("reload: applied pools.default.max_queue"));
    let finished = daemon.end();
    finished
        .says("reload: nothing was taken: ")
        .says("2 mistakes in the configuration:")
        .says("pools[0].worker: unknown key");
}

#[test]
fn all_mistakes_are_told_at_once_before_anything_starts() {
    let sandbox = Sandbox::with_app();
    sandbox.write("hatchery.toml", &saying("workers = 0\nworker = 3\nmax_queue = \"many\""));
    let finished = sandbox.run(&["serve"]).exits(2).prints("").hides("sweeping");
    finished.says("3 mistakes").says("hatchery.toml:6: ").says("hatchery.toml:7: ").says("hatchery.toml:8: ");
    assert!(!sandbox.path("state").exists());
    let error = sandbox.run(&["serve", "--json"]).exits(2).json();
    assert_eq!(error["error"]["details"]["problems"].as_array().unwrap().len(), 3, "{error}");
}

#[test]
fn an_app_that_is_given_is_reloaded_too() {
    let sandbox = Sandbox::with_app();
    sandbox.write("hatchery.toml", "");
    let daemon = Daemon::serve(&sandbox, &["--workers", "2"]);
    sandbox.write("hatchery.toml", "[[pools]]\nname = \"a\"\napp = \"app.py\"\nworkers = 4\nmax_queue = 3\n");
    daemon.running.signal(Signal::HUP);
    wait_until("it was read", || daemon.running.has_said("reload: applied pools.default.max_queue;"));
    assert_eq!(workers(&sandbox).len(), 2, "the flag goes before the file");
    daemon.end();
}

#[test]
fn all_pools_of_the_configuration_are_served_and_changed() {
    let sandbox = Sandbox::with_app();
    let pools = |queue| {
        let pool = |name| format!("[[pools]]\nname = \"{name}\"\napp = \"app.py\"\nmax_queue = {queue}\n");
        format!("[server]\nlisten = \"127.0.0.1:0\"\n{}{}", pool("one"), pool("two"))
    };
    sandbox.write("hatchery.toml", &pools(1));
    let daemon = Daemon::start(&sandbox, &["serve"]);
    for name in ["one", "two"] {
        sandbox.run(&["call", "word_count", "text=a", "-q", "--pool", name]).exits(0).prints(r#"{"a":1}"#);
    }
    sandbox.write("hatchery.toml", &pools(2));
    daemon.running.signal(Signal::HUP);
    wait_until("both have changed", || {
        daemon.running.has_said("reload: applied pools.one.max_queue, pools.two.max_queue;")
    });
    daemon.end();
}

#[test]
fn a_hangup_during_the_start_ends_nothing() {
    let sandbox = Sandbox::with(
        "import pathlib, time\nfrom hatchery import tool\npathlib.Path('importing').touch()\nwhile not pathlib.Path('gate').exists():\n    time.sleep(0.005)\n@tool\ndef one(): return 1\n",
    );
    sandbox.write("hatchery.toml", &saying(""));
    let running = sandbox.start(&["serve"]);
    sandbox.wait_for("importing");
    running.signal(Signal::HUP);
    wait_until("it was heard", || running.has_said("reload: nothing was taken: "));
    assert_eq!(sandbox.run(&["status", "--json"]).exits(0).json()["phase"], json!("filling"));
    sandbox.write("gate", "");
    wait_until("it serves", || sandbox.run(&["call", "one", "-q"]).status == Some(0));
    running.signal(Signal::TERM);
    running.finish().exits(0).says("it is filling");
}
