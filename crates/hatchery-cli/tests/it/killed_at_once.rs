//! What is left when supervisor, keeper and guardian are killed in the same instant: the worker dies with its guardian, a daemon
//! that it left behind does not, and `hatchery orphans` finds it.

use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::sandbox::{Running, Sandbox, wait_until};

const APP: &str = r#"
import os, time
from hatchery import tool

@tool
def leave_a_daemon(path: str) -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for fd in range(64):
                if fd != null:
                    try:
                        os.dup2(null, fd)
                    except OSError:
                        pass
            with open(path + ".new", "w") as file:
                file.write(str(os.getpid()))
            os.rename(path + ".new", path)
            time.sleep(300)
        os._exit(0)
    os.wait()
    time.sleep(3600)

@tool
def answer() -> int:
    return 42
"#;

/// A command of which nothing is left but a daemon of its worker's.
struct Supervisor {
    running: Running,
    daemon: u32,
}

impl Supervisor {
    fn with_a_daemon(sandbox: &Sandbox) -> Supervisor {
        let path = format!("path={}", sandbox.name("daemon.pid"));
        let running = sandbox.start(&["call", "leave_a_daemon", &path, "--app", "app.py"]);
        sandbox.wait_for("daemon.pid");
        let daemon = std::fs::read_to_string(sandbox.path("daemon.pid")).unwrap().parse().unwrap();
        Supervisor { running, daemon }
    }

    /// Stopped first, all three of them, so that none does anything about the death of another. A stop that was sent is not
    /// one yet: on a busy machine a thread of the supervisor would see its guardian die, and end the daemon.
    fn killed_with_its_guardians(self) -> u32 {
        let supervisor = self.running.id();
        let keeper = self.child(supervisor, "hatchery-keeper");
        let guardian = self.child(keeper, "hatchery-guard");
        let worker = self.child(guardian, "python");
        let all = [keeper, guardian, supervisor];
        all.iter().for_each(|pid| signal(*pid, Signal::STOP));
        wait_until("all of them are stopped", || all.iter().all(|pid| is_stopped(*pid)));
        all.iter().for_each(|pid| signal(*pid, Signal::KILL));
        assert_eq!(self.running.finish().status, None);
        wait_until("all of them are gone", || [keeper, guardian, worker].iter().all(|pid| !is_running(*pid)));
        assert!(is_running(self.daemon), "the daemon outlives them");
        self.daemon
    }

    /// The child whose name begins so. The daemon is the guardian's by now, is named as the worker, and may have the lower
    /// number.
    fn child(&self, parent: u32, name: &str) -> u32 {
        let is_it = |pid: &u32| stat(*pid).is_some_and(|(found, _, of)| of == parent && found.starts_with(name));
        let mut found = numbers_in("/proc").into_iter().filter(|pid| *pid != self.daemon);
        found.find(is_it).unwrap_or_else(|| panic!("{parent} has no child {name}"))
    }
}

/// Known to be the test's own.
fn signal(pid: u32, signal: Signal) {
    let pidfd = pidfd_open(Pid::from_raw(pid.cast_signed()).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&pidfd, signal).unwrap();
}

fn is_running(pid: u32) -> bool {
    stat(pid).is_some_and(|(_, state, _)| state != "Z" && state != "X")
}

/// With all its threads.
fn is_stopped(pid: u32) -> bool {
    let threads = numbers_in(&format!("/proc/{pid}/task"));
    threads.iter().all(|thread| stat(*thread).is_some_and(|(_, state, _)| state == "T"))
}

/// Processes, or threads.
fn numbers_in(folder: &str) -> Vec<u32> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Name, state and parent of a process or thread.
fn stat(pid: u32) -> Option<(String, String, u32)> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let (head, tail) = stat.rsplit_once(") ")?;
    let mut fields = tail.split(' ');
    Some((head.split_once('(')?.1.to_owned(), fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

fn runs(sandbox: &Sandbox) -> usize {
    std::fs::read_dir(sandbox.path("state/hatchery/default/runs")).map_or(0, Iterator::count)
}

fn in_report(report: &Value, pid: u32) -> &Value {
    report["details"].as_array().unwrap().iter().find(|detail| detail["pid"] == pid).unwrap()
}

#[test]
fn the_orphan_is_listed_and_ended() {
    let sandbox = Sandbox::with(APP);
    let orphan = Supervisor::with_a_daemon(&sandbox).killed_with_its_guardians();

    let listed = sandbox.run(&["orphans"]).exits(6);
    let line = listed.stdout.lines().next().unwrap();
    assert!(line.starts_with("orphan ") && line.contains(&orphan.to_string()) && line.contains("default-1"), "{line}");
    assert!(listed.stdout.contains("is dead") && listed.stdout.contains("1 orphan; end it with --kill"), "{listed:#?}");
    let report = sandbox.run(&["orphans", "--kill", "--dry-run", "--json"]).exits(6).json();
    assert_eq!((&report["found"], &report["terminated"], &report["errors"]), (&json!(1), &json!(0), &json!(0)));
    assert_eq!((&in_report(&report, orphan)["class"], runs(&sandbox)), (&json!("orphan"), 1));
    assert!(is_running(orphan));

    let ended = sandbox.run(&["orphans", "--kill"]).exits(0);
    assert!(ended.stdout.starts_with("ended ") && ended.stdout.contains("1 orphan, 1 ended"), "{ended:#?}");
    assert!(!is_running(orphan));
    assert_eq!(runs(&sandbox), 0, "its record went with it");
    assert!(sandbox.run(&["orphans"]).exits(0).stdout.starts_with("no orphans"));
}

#[test]
fn a_command_that_starts_ends_what_the_last_one_left() {
    let sandbox = Sandbox::with(APP);
    let orphan = Supervisor::with_a_daemon(&sandbox).killed_with_its_guardians();
    sandbox.run(&["call", "answer", "--app", "app.py"]).exits(0).prints("42");
    assert!(!is_running(orphan));
    assert_eq!(runs(&sandbox), 0);
}

/// The daemon lists none of its own among them, and goes on.
#[test]
fn beside_a_daemon_the_orphan_is_listed_and_ended() {
    let sandbox = Sandbox::with(APP);
    let supervisor = Supervisor::with_a_daemon(&sandbox);
    let daemon = Daemon::serve(&sandbox, &[]);
    // It looks for orphans from time to time, and would be faster.
    daemon.running.signal(Signal::STOP);
    wait_until("the daemon is stopped", || is_stopped(daemon.running.id()));
    let orphan = supervisor.killed_with_its_guardians();

    let report = sandbox.run(&["orphans", "--json"]).exits(6).json();
    assert_eq!(report["found"], json!(1), "{report}");
    let classes: Vec<&Value> = report["details"].as_array().unwrap().iter().map(|detail| &detail["class"]).collect();
    assert!(classes.contains(&&json!("active")), "the daemon's own: {report}");
    assert_eq!(in_report(&report, orphan)["class"], json!("orphan"));
    let report = sandbox.run(&["orphans", "--json", "--kill"]).exits(0).json();
    assert_eq!((&report["found"], &report["terminated"]), (&json!(1), &json!(1)));
    daemon.running.signal(Signal::CONT);
    assert!(!is_running(orphan));

    sandbox.run(&["call", "answer"]).exits(0).prints("42");
    sandbox.run(&["orphans"]).exits(0);
    daemon.end();
    assert_eq!(runs(&sandbox), 0);
}
