//! Workers that were written for Snakepit, from a configuration alone.

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

/// The folder of the worker's scripts: the fixture's, or the original's.
fn worker() -> PathBuf {
    std::env::var_os("HATCHERY_BRIDGE_WORKER").map_or_else(fixture, PathBuf::from)
}

fn venv() -> Option<PathBuf> {
    let home = std::env::var_os("HATCHERY_TEST_VENV");
    if home.is_none() {
        crate::examples::skipped("HATCHERY_TEST_VENV names no environment with grpcio; `cargo xtask test` makes one");
    }
    home.map(PathBuf::from)
}

/// Where a worker finds the adapters of the tests.
fn path(home: &Path) -> String {
    format!("{}:{}", stubs(&home.join("bin/python")), fixture().display())
}

/// `hatchery.toml` with a pool of the test worker, which says this besides; `None` if there is no interpreter for it.
fn configuration(pool: &str) -> Option<String> {
    let home = venv()?;
    let (python, path) = (home.join("bin/python"), path(&home));
    Some(format!(
        "python = {python:?}\n[server]\nlisten = \"127.0.0.1:0\"\n[[pools]]\nname = \"default\"\ntransport = \"grpc\"\n\
         script = {:?}\nadapter = \"bridge_tools.plain.Plain\"\nenv.PYTHONPATH = {path:?}\nenv.PYTHONDONTWRITEBYTECODE = \"1\"\n{pool}\n",
        worker().join("grpc_server.py"),
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
fn the_doctor_looks_at_what_they_need() {
    let Some(text) = configuration("workers = 1") else { return };
    let sandbox = Sandbox::new();
    sandbox.write("pools.toml", &text);
    let checks = sandbox.run(&["--config", "pools.toml", "doctor", "--json"]).exits(0).json();
    let of_grpc =
        checks.as_array().unwrap().iter().filter(|check| check["name"].as_str().unwrap().starts_with("grpc "));
    let found: Vec<_> =
        of_grpc.map(|check| (check["name"].as_str().unwrap(), check["status"].as_str().unwrap())).collect();
    assert_eq!(found, [("grpc modules", "ok"), ("grpc adapters", "ok"), ("grpc ports", "ok")]);
    sandbox.write("pools.toml", &text.replace("bridge_tools.plain.Plain", "no_such_module.Adapter"));
    let finished = sandbox.run(&["--config", "pools.toml", "doctor"]).exits(6);
    let said = "no_such_module.Adapter: no module named no_such_module";
    assert!(finished.stdout.contains(said) && finished.stdout.contains("env.PYTHONPATH"), "{finished:#?}");
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

/// A program that is told nothing but where its host is and where to say that it is ready.
#[test]
fn a_command_that_speaks_the_bridge_is_called() {
    let Some(home) = venv() else { return };
    let text = configuration("workers = 1").unwrap();
    let python = home.join("bin/python");
    let script = worker().join("grpc_server.py");
    let command = [python.to_str().unwrap(), script.to_str().unwrap(), "--adapter", "bridge_tools.plain.Plain"];
    let keys_of_a_script = ["python = ", "script = ", "adapter = "];
    let (of_a_script, others): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| keys_of_a_script.iter().any(|key| line.starts_with(key)));
    assert_eq!(of_a_script.len(), keys_of_a_script.len());
    let sandbox = Sandbox::new();
    sandbox.write("hatchery.toml", &format!("{}\ncommand = {command:?}\n", others.join("\n")));
    let daemon = Daemon::start(&sandbox, &["serve"]);
    sandbox.run(&["call", "add", "a=2", "b=3"]).exits(0).prints("5.0");
    sandbox.run(&["stream", "stream_numbers", "count=3"]).exits(0).prints("0\n1\n2");
    sandbox.run(&["call", "error_demo", "error_type=ValueError", "message=x"]).exits(1).says("ValueError: x");
    daemon.end();
}

#[test]
fn the_example_searches_the_documents_of_this_repository() {
    let Some(home) = venv() else { return };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let example = repository.join("examples/snakepit");
    let written = std::fs::read_to_string(example.join("hatchery.toml")).unwrap();
    let script = worker().join("grpc_server.py");
    let of_this_machine = written.replace("\"priv/python/grpc_server.py\"", &format!("{script:?}"));
    assert_ne!(of_this_machine, written);
    let path = format!("{}:{}", example.display(), path(&home));
    let sandbox = Sandbox::new();
    let python = home.join("bin/python");
    let pool = format!("python = {python:?}\nenv.PYTHONPATH = {path:?}\nenv.PYTHONDONTWRITEBYTECODE = \"1\"\n");
    sandbox.write("hatchery.toml", &(of_this_machine + &pool));
    let daemon = Daemon::start(&sandbox, &["serve", "--listen", "127.0.0.1:0"]);
    let docs = format!("root={}", repository.join("docs").display());
    let title = "Workers written for Snakepit";
    // What else speaks of them may come before it.
    let search = ["call", "search", &docs, &format!("query={title}"), "top=50"];
    let found = sandbox.run(&search).exits(0).json();
    assert!(found["sections"].as_u64() > Some(50), "{found}");
    assert!(found["found"].as_array().unwrap().iter().any(|section| section["title"] == title), "{found}");
    let outline = sandbox.run(&["stream", "outline", &docs]).exits(0).stdout;
    assert_eq!(outline.lines().count() as u64, found["sections"].as_u64().unwrap());
    assert!(outline.contains(title), "{outline}");
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
