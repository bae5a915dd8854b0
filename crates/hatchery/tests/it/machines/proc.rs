//! Where `/proc` shows little, nothing, or another PID namespace, whose numbers are not ours.

use std::process::{Child, Command};

use hatchery::{Hatchery, PoolBuilder};
use rustix::process::{Pid, test_kill_process};

use super::Machine;
use crate::{Rig, app, eventually};

const NOTHING: &str = "mount -t tmpfs -o ro none /proc";
/// What was mounted before the namespace had its own.
const ANOTHER: &str = "umount /proc";
const LAYER: &str = "record and sweep";

#[test]
fn other_users_are_hidden() {
    let Some(seen) = Machine::that(r#"mount -o remount,hidepid=2 /proc; "$@""#).for_nobody().seen() else { return };
    seen.works_without(&[("cgroup leaf", "Permission denied")]);
    seen.doctor_finds(&[
        ("control groups", "warning", "Permission denied"),
        ("containment", "warning", "Permission denied"),
        ("orphan sweep", "warning", "/proc hides other users' processes"),
    ]);
}

#[test]
fn nothing_is_mounted_there() {
    let Some(seen) = Machine::that(&format!(r#"{NOTHING}; "$@""#)).seen() else { return };
    let why = "a sweep of dead runs ends nothing here: /proc cannot be read";
    seen.works_without(&[("cgroup leaf", "/proc/self/cgroup: No such file"), (LAYER, why)]);
    let unknown = "cannot be told without /proc";
    seen.doctor_finds(&[
        ("posix_spawn", "warning", unknown),
        ("control groups", "warning", unknown),
        ("user namespaces", "warning", unknown),
        ("containment", "warning", "/proc/self/cgroup: No such file"),
        ("orphan sweep", "warning", "/proc cannot be read"),
    ]);
}

#[test]
fn another_namespace_s_is_mounted_there() {
    let Some(seen) = Machine::that(&format!(r#"{ANOTHER}; "$@""#)).seen() else { return };
    let why = "a sweep of dead runs ends nothing here: /proc is another PID namespace's";
    seen.works_without(&[(LAYER, why)]);
    seen.doctor_finds(&[("orphan sweep", "warning", "/proc is another PID namespace's")]);
}

/// Without control groups, so that the guardian has to know who is whose child.
#[test]
fn a_daemon_ends_though_nobody_can_be_looked_up() {
    for line in [NOTHING, ANOTHER] {
        let line = format!(r#"mount -t tmpfs -o ro none /sys/fs/cgroup; {line}; "$@""#);
        Machine::that(&line).passes("machines::proc::alone_with_a_daemon");
    }
}

#[tokio::test]
#[ignore = "run by a_daemon_ends_though_nobody_can_be_looked_up, on a machine of its own"]
async fn alone_with_a_daemon() {
    let rig = Rig::of(confined()).await;
    let daemon = rig.daemon("daemon").await;
    assert!(is_there(daemon));
    drop_to_the_end(rig).await;
    assert!(!is_there(daemon), "it outlives keeper and guardian");
}

/// The numbers that such a `/proc` has of a guardian's children may be those of innocents here.
#[test]
fn a_stranger_with_a_worker_s_number_in_another_namespace_lives() {
    let line = format!(r#"mount -t tmpfs -o ro none /sys/fs/cgroup; {ANOTHER}; "$@""#);
    Machine::that(&line).passes("machines::proc::alone_with_a_stranger");
}

#[tokio::test]
#[ignore = "run by a_stranger_with_a_worker_s_number_in_another_namespace_lives, on a machine of its own"]
async fn alone_with_a_stranger() {
    let rig = Rig::of(confined()).await;
    let stranger = process_with(outer_number(rig.pids()[0]));
    drop_to_the_end(rig).await;
    assert!(is_running(stranger), "an innocent was ended");
}

fn confined() -> PoolBuilder {
    Hatchery::builder().pool("default", app("confined.py"))
}

/// The guardian goes when it has ended everything, and then the keeper.
async fn drop_to_the_end(mut rig: Rig) {
    let (keeper, _) = rig.guarded().await;
    drop((rig.hatchery, rig.pool));
    eventually("the keeper is gone", || !is_there(keeper)).await;
}

fn is_there(pid: i32) -> bool {
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

/// What `/proc`, which is another namespace's, calls a process of ours.
fn outer_number(pid: i32) -> i32 {
    let numbers =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_it = |outer: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{outer}/status")).unwrap_or_default();
        let both = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        both.split_whitespace().map(str::parse).collect::<Vec<_>>().ends_with(&[Ok(*outer), Ok(pid)])
    };
    numbers.into_iter().find(is_it).unwrap()
}

/// An innocent, which the namespace ends in the end.
#[expect(clippy::disallowed_methods, reason = "an innocent of the test's own, in a namespace of its own")]
fn process_with(number: i32) -> Child {
    loop {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        if child.id() == number.cast_unsigned() {
            return child;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn is_running(mut child: Child) -> bool {
    child.try_wait().unwrap().is_none()
}
