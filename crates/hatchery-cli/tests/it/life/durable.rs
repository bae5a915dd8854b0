//! What outlives a daemon that is killed with -9 under load, and what does not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::sandbox::{Sandbox, eventually};

const APP: &str = "
import os, time
from hatchery import tool

@tool
def who() -> int:
    time.sleep(0.005)
    return os.getpid()

@tool
def never(mark: str) -> None:
    open(mark, 'w').close()
    time.sleep(3600)
";

/// One request on a connection of its own: the status and the body. `None`: nobody answered.
fn ask(address: &str, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all(format!("{head}{text}").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, serde_json::from_str(body).unwrap_or(Value::Null)))
}

/// What the clients of a load have come to.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    /// Calls, and comes again a little later where nobody answers.
    fn call(&self, address: &str) {
        while !self.is_over.load(Ordering::SeqCst) {
            match ask(address, "POST", "/v1/pools/default/call/who", &json!({})) {
                Some((200, _)) => _ = self.answered.fetch_add(1, Ordering::SeqCst),
                // Nobody there, or on its way up or down.
                None | Some((502 | 503, _)) => {
                    self.failed.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(5));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn more_than(&self, count: &AtomicU64, before: u64) {
        eventually("calls were made", || (count.load(Ordering::SeqCst) > before).then_some(()));
    }
}

fn pids(sandbox: &Sandbox) -> Vec<u64> {
    let workers = sandbox.run(&["workers", "--json"]).exits(0).json();
    workers.as_array().unwrap().iter().filter_map(|worker| worker["pid"].as_u64()).collect()
}

fn config(address: &str) -> String {
    format!("[server]\nlisten = \"{address}\"\n[[pools]]\nname = \"default\"\napp = \"app.py\"\nworkers = 3\n")
}

#[test]
fn a_daemon_that_is_killed_under_load_leaves_no_worker_and_loses_no_session() {
    let sandbox = Sandbox::with(APP);
    sandbox.write("hatchery.toml", &config("127.0.0.1:0"));
    let daemon = Daemon::start(&sandbox, &["serve"]);
    let address = daemon.address.clone();
    // The next one listens where this one did, as a service does.
    sandbox.write("hatchery.toml", &config(&address));
    let program = json!({"steps": ["one", "two"], "limit": 3});
    for (path, value) in [("programs/plan", &program), ("metadata/owner", &json!("ann"))] {
        if path.starts_with("programs") {
            assert_eq!(ask(&address, "POST", "/v1/sessions", &json!({"id": "user-7"})).unwrap().0, 200);
        }
        let (status, answer) = ask(&address, "PUT", &format!("/v1/sessions/user-7/{path}"), value).unwrap();
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
    }
    let mark = format!("mark={}", sandbox.name("mark"));
    let stuck = sandbox.start(&["call", "never", &mark, "-q"]);
    sandbox.wait_for("mark");
    let old = pids(&sandbox);
    assert_eq!(old.len(), 3);

    let load = Load::default();
    let next = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| load.call(&address));
        }
        load.more_than(&load.answered, 100);
        daemon.running.signal(Signal::KILL);
        daemon.running.finish();
        stuck.finish().exits(4);
        let next = Daemon::start(&sandbox, &["serve"]);
        assert_eq!(next.address, address);
        let left: Vec<&u64> = old.iter().filter(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists()).collect();
        assert!(left.is_empty(), "a daemon serves, and workers of the one before it live: {left:?}");
        load.more_than(&load.answered, load.answered.load(Ordering::SeqCst) + 100);
        load.is_over.store(true, Ordering::SeqCst);
        next
    });
    assert!(load.failed.load(Ordering::SeqCst) > 0, "the load went on while nobody was there");

    let stored = ask(&address, "GET", "/v1/sessions/user-7/programs/plan", &Value::Null).unwrap();
    assert_eq!(stored, (200, program));
    let owner = ask(&address, "GET", "/v1/sessions/user-7/metadata/owner", &Value::Null).unwrap();
    assert_eq!(owner, (200, json!("ann")));
    let orphans = sandbox.run(&["orphans", "--json"]).exits(0).json();
    assert_eq!(orphans["found"], 0, "{orphans}");
    next.end();
}
