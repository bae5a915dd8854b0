//! Workers that were written for Snakepit, from a configuration alone.

#![expect(clippy::print_stderr, reason = "what was skipped, and why")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::daemon::Daemon;
use crate::sandbox::{Sandbox, wait_until};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../hatchery-snakepit/tests/fixtures/bridge_worker")
}

/// `hatchery.toml` with a pool of the test worker, which says this besides; `None` if there is no interpreter for it.
fn configuration(pool: &str) -> Option<String> {
    let Some(home) = std::env::var_os("HATCHERY_TEST_VENV") else {
        eprintln!("skipped: HATCHERY_TEST_VENV names no environment with grpcio; `cargo xtask test` makes one");
        return None;
    };
    let (python, fixture) = (Path::new(&home).join("bin/python"), fixture());
    let path = format!("{}:{}", stubs(&python), fixture.display());
    Some(format!(
        "python = {python:?}\n[server]\nlisten = \"127.0.0.1:0\"\n[[pools]]\nname = \"default\"\ntransport = \"grpc\"\n\
         script = {:?}\nadapter = \"bridge_tools.plain.Plain\"\nenv.PYTHONPATH = {path:?}\nenv.PYTHONDONTWRITEBYTECODE = \"1\"\n{pool}\n",
        fixture.join("grpc_server.py"),
    ))
}

#[expect(clippy::disallowed_methods, reason = "a test may wait for what it needs")]
fn stubs(python: &Path) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bridge-stubs");
    let built = Command::new(python).arg(fixture().join("stubs.py")).arg(&folder).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    folder.to_str().unwrap().to_owned()
}

#[test]
fn a_pool_of_them_is_served_called_and_reloaded() {
    let Some(text) = configuration("workers = 1") else { return };
    let sandbox = Sandbox::new();
    sandbox.write("pools.toml", &text);
    let daemon = Daemon::start(&sandbox, &["--config", "pools.toml", "serve"]);
    let call = ["--config", "pools.toml", "call", "add", "a=2", "b=3"];
    sandbox.run(&call).exits(0).prints("5.0");
    let wrong = sandbox.run(&["--config", "pools.toml", "call", "error_demo", "error_type=ValueError", "message=x"]);
    wrong.exits(1).says("ValueError: x");
    sandbox.write("pools.toml", &text.replace("plain.Plain", "full.Full").replace("workers = 1", "workers = 2"));
    daemon.running.signal(Signal::HUP);
    wait_until("it was read", || {
        daemon.running.has_said("reload: applied pools.default.adapter, pools.default.workers;")
    });
    wait_until("there are two, and both are new", || {
        let workers = sandbox.run(&["--config", "pools.toml", "workers", "--json"]).exits(0).json();
        let idle: Vec<_> =
            workers.as_array().unwrap().iter().filter(|worker| worker["state"] == "idle").cloned().collect();
        idle.len() == 2 && idle[0]["generation"] == json!(2)
    });
    sandbox.run(&call).exits(0).prints("5.0");
    daemon.end();
}

#[test]
fn a_worker_that_cannot_start_says_why() {
    let Some(text) = configuration("restarts.max_failures = 1") else { return };
    let sandbox = Sandbox::new();
    sandbox.write("hatchery.toml", &text.replace("plain.Plain", "plain.Missing"));
    sandbox.run(&["serve"]).exits(5).says("Missing");
}

#[test]
fn mistakes_are_found_before_anything_starts() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "hatchery.toml",
        "[[pools]]\nname = \"a\"\ntransport = \"grpc\"\nscript = \"s.py\"\nadapter = \"Alone\"\n\
         [[pools]]\nname = \"b\"\ntransport = \"grpc\"\napp = \"a.py\"\n\
         [[pools]]\nname = \"c\"\ntransport = \"grpc\"\nscript = \"s.py\"\nadapter = \"a.B\"\nshim = false\npreload = [\"x\"]\n",
    );
    let expected = [
        "hatchery.toml:5: pools[0].adapter: expected a class by its module, like \"package.module.Class\", found \"Alone\"",
        "hatchery.toml:9: pools[1].app: expected `script` and `adapter`, or `command`, with transport = \"grpc\"; found `app`",
        "hatchery.toml:15: pools[2].shim: without \"loopback\" its workers listen on all addresses, and ask nobody for a password; expected it in the list, or unsafe_bind = true besides",
        "hatchery.toml:16: pools[2].preload: expected only with transport = \"native\", found transport = \"grpc\"",
    ];
    let checked = sandbox.run(&["config", "check"]).exits(2).prints("");
    assert_eq!(checked.stderr.lines().collect::<Vec<_>>(), expected);
    sandbox.run(&["serve"]).exits(2).says("4 mistakes in the configuration").hides("sweeping");
    assert!(!sandbox.path("state").exists());
}

const APP: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[[pools]]\nname = \"a\"\napp = \"app.py\"\n";

#[test]
fn a_port_for_the_bridge_that_is_taken_ends_the_start_before_there_is_a_worker() {
    let sandbox = Sandbox::with_app();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let bridge = format!("[bridge]\nmode = \"external\"\nhost = \"localhost\"\nport = {port}\n");
    sandbox.write("hatchery.toml", &format!("{bridge}{APP}"));
    let said = format!("listen on 127.0.0.1:{port} for `[bridge]`: another program listens there");
    let finished = sandbox.run(&["serve"]).says(&said).hides("sweeping").hides("filling");
    assert_ne!(finished.status, Some(0));
    assert!(!sandbox.path("state/hatchery/default/daemon.json").exists());
}

#[test]
fn the_first_free_port_for_the_bridge_is_taken_and_told() {
    let sandbox = Sandbox::with_app();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config =
        format!("config :snakepit, grpc_listener: [mode: :external_pool, host: \"localhost\", base_port: {port}]");
    sandbox.write("config.exs", &config);
    let converted = sandbox.run(&["import", "snakepit-config", "config.exs", "--quiet"]).exits(0).stdout;
    sandbox.write("hatchery.toml", &format!("{converted}{APP}"));
    let daemon = Daemon::start(&sandbox, &["serve"]);
    let bridge = sandbox.run(&["status", "--json"]).exits(0).json()["bridge"].as_str().unwrap().to_owned();
    let (host, found) = bridge.rsplit_once(':').unwrap();
    assert!(host == "localhost" && found.parse::<u16>().unwrap() > port, "{bridge}");
    let people = sandbox.run(&["status"]).exits(0).stdout;
    assert!(people.contains(&format!(", bridge on {bridge}, pid ")), "{people}");
    TcpStream::connect(&bridge).unwrap();
    daemon.end();
    assert!(TcpStream::connect(&bridge).is_err(), "nobody listens any more");
}

#[test]
fn where_each_key_comes_from_is_shown() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "hatchery.toml",
        "[[pools]]\nname = \"a\"\ntransport = \"grpc\"\nscript = \"s.py\"\nadapter = \"a.B\"\n",
    );
    let shown = sandbox.shell(r#"HATCHERY__POOLS__A__ADAPTER=shop.Tools "$0" config show --origin"#).exits(0).stdout;
    let lines: Vec<String> = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "transport = \"grpc\" # hatchery.toml:3",
        "adapter = \"shop.Tools\" # HATCHERY__POOLS__A__ADAPTER",
        "shim = [\"loopback\"] # default",
        "unsafe_bind = false # default",
    ] {
        assert!(lines.iter().any(|shown| shown == line), "{line}\n{shown}");
    }
}
