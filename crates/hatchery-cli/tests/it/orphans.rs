//! Runs of which nothing is left but a record and processes that carry their mark. The record is written here by hand: it
//! is a format on disk, which a newer command must understand.

use std::process::{Child, Command};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// A run with one process.
struct Left {
    id: String,
    process: Child,
}

impl Drop for Left {
    fn drop(&mut self) {
        let _ended_by_the_command = self.process.kill();
        let _reaped_by_the_test = self.process.wait();
    }
}

impl Left {
    /// In the sandbox's usual data dir, with an owner that is dead.
    fn in_sandbox(sandbox: &Sandbox, bits: u128) -> Left {
        let (hard, soft) = mark(bits);
        let id = format!("{bits:032x}");
        let process = sleeper();
        let limit = Rlimit { current: Some(soft | 1), maximum: Some(hard) };
        prlimit(Some(Pid::from_child(&process)), Resource::Locks, limit).unwrap();
        let header = json!({
            "version": 1, "run": id, "boot": boot(), "pid_namespace": pid_namespace(),
            "instance": { "name": "default", "token": null }, "owner": dead_owner(), "mark": [hard, soft],
            "command": "hatchery serve", "started_at": 1_700_000_000,
        });
        let reserved = json!({ "reserved": { "number": 1, "worker": "default-1", "pool": "default" } });
        let identity = process.id().to_string();
        let started = json!({ "started": { "number": 1, "identity": identity, "command": "sleep 600" } });
        let folder = format!("state/hatchery/default/runs/{id}");
        std::fs::create_dir_all(sandbox.path(&folder)).unwrap();
        sandbox.write(&format!("{folder}/record"), &format!("{header}\n{reserved}\n{started}\n"));
        sandbox.write(&format!("{folder}/lock"), "");
        Left { id, process }
    }

    fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// What a report says of its process.
    fn in_report<'a>(&self, report: &'a Value) -> &'a Value {
        let details = report["details"].as_array().unwrap();
        details.iter().find(|detail| detail["pid"] == self.process.id()).unwrap()
    }
}

/// As the guardian sets it: 62 bits of the run in the hard limit, 40 in the soft one above the number of the worker.
fn mark(bits: u128) -> (u64, u64) {
    ((1 << 62) | (bits as u64 & ((1 << 62) - 1)), ((bits >> 62) as u64 & ((1 << 40) - 1)) << 22)
}

#[expect(clippy::disallowed_methods, reason = "these processes are the test's own")]
fn sleeper() -> Child {
    Command::new("sleep").arg("600").spawn().unwrap()
}

/// A number that nobody has, or somebody who started later.
fn dead_owner() -> String {
    let mut owner = sleeper();
    owner.kill().unwrap();
    owner.wait().unwrap();
    format!("{} start=1 boot={}", owner.id(), boot())
}

fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().replace('-', "")
}

fn pid_namespace() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap();
    link.to_str().unwrap().trim_start_matches("pid:[").trim_end_matches(']').parse().unwrap()
}

/// Different in each test: all see the same processes.
fn bits() -> u128 {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
    u128::from_ne_bytes(bytes)
}

#[test]
fn where_nothing_ever_ran_there_are_none() {
    let sandbox = Sandbox::new();
    let report = sandbox.run(&["orphans", "--json"]).exits(0).json();
    assert_eq!((&report["found"], &report["terminated"], &report["errors"]), (&json!(0), &json!(0), &json!(0)));
    assert!(sandbox.run(&["orphans"]).exits(0).stdout.starts_with("no orphans"));
}

#[test]
fn an_orphan_is_listed_with_its_evidence_until_it_is_ended() {
    let sandbox = Sandbox::new();
    let mut left = Left::in_sandbox(&sandbox, bits());
    for words in [&["orphans", "--json"][..], &["orphans", "--json", "--kill", "--dry-run"]] {
        let report = sandbox.run(words).exits(6).json();
        assert_eq!((&report["found"], &report["terminated"]), (&json!(1), &json!(0)));
        let detail = left.in_report(&report);
        assert_eq!((&detail["class"], &detail["worker"]), (&json!("orphan"), &json!("default-1")));
        assert_eq!((&detail["run"], &detail["command"]), (&json!(left.id), &json!("sleep 600")));
        assert!(detail["evidence"].as_str().unwrap().contains("is dead"), "{detail}");
        assert!(left.is_alive());
    }
    let finished = sandbox.run(&["orphans"]).exits(6);
    assert!(finished.stdout.contains("1 orphan; end it with --kill"), "{finished:#?}");

    let report = sandbox.run(&["orphans", "--kill", "--json"]).exits(0).json();
    assert_eq!((&report["found"], &report["terminated"], &report["errors"]), (&json!(1), &json!(1), &json!(0)));
    assert!(!left.is_alive());
    assert!(!sandbox.path(&format!("state/hatchery/default/runs/{}", left.id)).exists());
    sandbox.run(&["orphans", "--kill"]).exits(0);
}

#[test]
fn only_the_run_that_is_named_is_ended() {
    let sandbox = Sandbox::new();
    let (mut one, mut two) = (Left::in_sandbox(&sandbox, bits()), Left::in_sandbox(&sandbox, bits()));
    let report = sandbox.run(&["orphans", "--kill", "--run", &one.id[..20], "--json"]).exits(0).json();
    assert_eq!((&report["found"], &report["terminated"]), (&json!(1), &json!(1)));
    assert!(!one.is_alive() && two.is_alive());
    sandbox.run(&["orphans", "--run", "no-run"]).exits(2).says("not the beginning of a run's id");
    sandbox.run(&["orphans", "--kill"]).exits(0);
    assert!(!two.is_alive());
}

#[test]
fn another_instance_s_are_foreign_and_left_alone() {
    let sandbox = Sandbox::new();
    let mut left = Left::in_sandbox(&sandbox, bits());
    let data_dir = sandbox.name("state/hatchery/default");
    sandbox.write("hatchery.toml", "[instance]\nname = \"other\"\ntoken = \"run-a\"\n");
    let report = sandbox.run(&["orphans", "--kill", "--json", "--data-dir", &data_dir]).exits(0).json();
    assert_eq!(left.in_report(&report)["class"], json!("foreign"));
    assert!(left.is_alive());
}

#[test]
fn the_registry_lists_what_dead_runs_have_written_down_if_asked_for_all() {
    let sandbox = Sandbox::new();
    let left = Left::in_sandbox(&sandbox, bits());
    assert_eq!(sandbox.run(&["registry", "--json"]).exits(0).json(), json!([]));
    let entries = sandbox.run(&["registry", "--all-runs", "--json"]).exits(0).json();
    let entry = &entries.as_array().unwrap()[0];
    assert_eq!((&entry["run"], &entry["pid"]), (&json!(left.id), &json!(left.process.id())));
    assert_eq!((&entry["worker"], &entry["state"]), (&json!("default-1"), &json!("active")));
    let finished = sandbox.run(&["registry", "--all-runs"]).exits(0);
    assert!(finished.stdout.starts_with("state ") && finished.stdout.contains("\nactive "), "{finished:#?}");
}

#[test]
fn the_registry_is_asked_by_worker_pid_fingerprint_and_run() {
    let sandbox = Sandbox::new();
    let (one, two) = (Left::in_sandbox(&sandbox, bits()), Left::in_sandbox(&sandbox, bits()));
    let runs = |words: &[&str]| {
        let entries = sandbox.run(&[&["registry", "--json"], words].concat()).exits(0).json();
        entries.as_array().unwrap().iter().map(|entry| entry["run"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(runs(&["--worker", "default-1"]).len(), 2, "of all runs");
    assert_eq!(runs(&["--pid", &one.process.id().to_string()]), [&*one.id]);
    assert_eq!(runs(&["--fingerprint", &format!("{}:1", &two.id[..7])]), [&*two.id]);
    assert_eq!(runs(&["--run", &two.id[..20]]), [&*two.id]);
    assert!(runs(&["--worker", "default-2"]).is_empty());
    sandbox.run(&["registry", "--pid", "1"]).exits(0).prints("").says("no such process is written down");
    sandbox.run(&["registry", "--pid", "1", "--worker", "default-1"]).exits(2).says("cannot be used with");
}

#[test]
fn who_gives_the_wrong_token_is_told_that_it_is_another_instance_s() {
    let sandbox = Sandbox::new();
    let mut left = Left::in_sandbox(&sandbox, bits());
    let data_dir = sandbox.name("state/hatchery/default");
    let line =
        |variables: &str| sandbox.shell(&format!(r#"{variables} exec "$0" orphans --kill --data-dir {data_dir}"#));
    let other = line("HATCHERY__INSTANCE__TOKEN=job-7").exits(0);
    // Others' tests have processes, too.
    let says_so = |text: &str| text.starts_with("no orphans; left alone: ") && text.contains(" of other instances");
    assert!(says_so(&other.stdout), "{other:#?}");
    assert!(says_so(&line("HATCHERY__INSTANCE__NAME=other").exits(0).stdout));
    line("HATCHERY__INSTANCE__TOKEN=../..").exits(2).says("HATCHERY__INSTANCE__TOKEN: expected a name");
    assert!(left.is_alive());
    assert!(line("").exits(0).stdout.contains("1 orphan, 1 ended"));
    assert!(!left.is_alive());
}

#[test]
fn what_cannot_be_looked_at_is_not_called_healthy() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    for data_dir in ["file", "file/below"] {
        for command in [&["orphans"][..], &["orphans", "--kill"], &["registry"], &["status"]] {
            let finished = sandbox.run(&[command, &["--data-dir", data_dir]].concat()).exits(2).prints("");
            finished.says(&format!("error: data directory {data_dir}: "));
        }
    }
    let serve = ["serve", "--app", "app.py", "--listen", "127.0.0.1:0", "--data-dir", "file"];
    sandbox.run(&serve).exits(2).says("data directory file: it is no directory");

    std::fs::create_dir(sandbox.path("data")).unwrap();
    std::os::unix::fs::symlink("/", sandbox.path("data/runs")).unwrap();
    let finished = sandbox.run(&["orphans", "--data-dir", "data"]).exits(6).says("note: data/runs: is a symbolic link");
    assert!(finished.stdout.starts_with("no orphans; but not everything could be looked at"), "{finished:#?}");
    assert_eq!(sandbox.run(&["orphans", "--data-dir", "data", "--json"]).exits(6).json()["errors"], json!(1));
    sandbox.run(&["registry", "--data-dir", "data"]).exits(4).says("read the registry: data/runs: is a symbolic link");
    sandbox.run(&["orphans", "--run", "0123abcd"]).exits(0).says("no run here has an id that begins with 0123abcd");
}

/// Somebody else's, for whoever may give it away.
#[test]
fn a_data_directory_of_another_user_is_named_with_its_owner() {
    let sandbox = Sandbox::with_app();
    std::fs::create_dir_all(sandbox.path("data/runs")).unwrap();
    if std::os::unix::fs::chown(sandbox.path("data/runs"), Some(65_534), None).is_err() {
        return;
    }
    let whose = "data/runs: belongs to user 65534, and not to this one";
    sandbox.run(&["orphans", "--data-dir", "data"]).exits(6).says(whose);
    sandbox.run(&["registry", "--data-dir", "data"]).exits(4).says(whose);
    let call = ["call", "word_count", "text=a", "--app", "app.py", "--data-dir", "data"];
    sandbox.run(&call).exits(0).prints(r#"{"a":1}"#).says("warning: ").says(whose);
    sandbox.run(&[&call[..], &["--require-registry"]].concat()).exits(2).says(whose);
}

/// Another sweep is at work, which ours would wait for.
fn busy(sandbox: &Sandbox) -> std::fs::File {
    let runs = std::fs::File::open(sandbox.path("state/hatchery/default/runs")).unwrap();
    rustix::fs::flock(&runs, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    runs
}

#[test]
fn ctrl_c_ends_the_command_and_what_is_left_is_ended_by_the_next() {
    let sandbox = Sandbox::new();
    let mut left = Left::in_sandbox(&sandbox, bits());
    let turn = busy(&sandbox);
    let running = sandbox.start(&["orphans", "--kill"]);
    running.wait_for_thread("sweep");
    running.signal(rustix::process::Signal::INT);
    running.finish().exits(130).prints("");
    assert!(left.is_alive(), "it was not its turn");
    drop(turn);
    sandbox.run(&["orphans", "--kill"]).exits(0);
    assert!(!left.is_alive());
}

#[test]
fn a_reader_that_goes_away_does_not_keep_orphans_from_being_ended() {
    let sandbox = Sandbox::new();
    let mut left = Left::in_sandbox(&sandbox, bits());
    let turn = busy(&sandbox);
    let mut running = sandbox.start(&["orphans", "--kill"]);
    running.wait_for_thread("sweep");
    running.close_stdout();
    drop(turn);
    running.finish().exits(0).hides("error");
    assert!(!left.is_alive());
    sandbox.shell(r#""$0" orphans --json | true"#).exits(0).hides("error");
}

#[test]
fn a_damaged_record_is_told_until_nothing_can_belong_to_it() {
    let sandbox = Sandbox::new();
    let mut left = Left::in_sandbox(&sandbox, bits());
    let record = format!("state/hatchery/default/runs/{}/record", left.id);
    sandbox.write(&record, "garbage");
    for words in [&["orphans"][..], &["orphans", "--kill"]] {
        sandbox.run(words).exits(6).says("cannot be relied on");
        assert!(left.is_alive() && sandbox.path(&record).exists());
    }
    left.process.kill().unwrap();
    left.process.wait().unwrap();
    sandbox.run(&["orphans", "--kill"]).exits(6).says("is removed");
    assert!(!sandbox.path(&record).exists());
    sandbox.run(&["orphans"]).exits(0).hides("cannot be relied on");
}

#[test]
fn without_a_registry_a_command_runs_and_says_so_unless_it_is_required() {
    let sandbox = Sandbox::with_app();
    let count = ["call", "word_count", "text=a b", "--app", "app.py"];
    let nowhere = [&count[..], &["--data-dir", "/dev/null/data"]].concat();
    let why = "/dev/null/data: Not a directory";
    sandbox.run(&nowhere).exits(0).says("the record of this run is in ").says(why);
    let required = sandbox.run(&[&nowhere[..], &["--require-registry"]].concat()).exits(2);
    required.says("the registry is required, and cannot be written: ").says(why);
    sandbox.run(&[&count[..], &["--require-registry"]].concat()).exits(0);
    sandbox.run(&["call", "word_count", "--require-registry"]).exits(2).says("--require-registry is for --app");
}
