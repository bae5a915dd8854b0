//! Numbers that were given to somebody else, made to happen: in a PID namespace of its own, the next number can be set.

use super::*;

/// A process with this number, if the kernel lets us choose.
fn sleeper_with(pid: u32) -> Option<Sleeper> {
    for _ in 0..100 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        let sleeper = Sleeper::start();
        if sleeper.pid() == pid {
            return Some(sleeper);
        }
    }
    None
}

/// Runs a test of this file in a PID namespace of its own, where the kernel allows it.
#[expect(clippy::disallowed_methods, reason = "these tests do not rest on the process room")]
fn in_a_namespace(test: &str, options: &[&str]) {
    let test = format!("registry::sweep::tests::recycled::{test}");
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["-Urpf", "--kill-child"]).args(options).arg(std::env::current_exe().unwrap());
    match unshare.args([&test, "--exact", "--ignored", "--nocapture"]).output() {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("1 passed"), "{said}");
        }
        Ok(output) if String::from_utf8_lossy(&output.stderr).starts_with("unshare:") => {
            println!("not checked: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => panic!("{output:?}"),
        Err(error) => println!("not checked: unshare: {error}"),
    }
}

#[test]
fn a_number_that_was_given_to_somebody_else() {
    in_a_namespace("alone_in_a_namespace", &["--mount-proc"]);
}

#[test]
#[ignore = "run in a PID namespace by a_number_that_was_given_to_somebody_else"]
fn alone_in_a_namespace() {
    let scene = Scene::new();
    let (mut owner, mut worker) = (Sleeper::start(), Sleeper::start());
    let run = scene.run_of(owner.identity().remembered(), vec![reserved(1), started(1, &worker)], |_| {});
    let mut orphan = run.process(2);
    let (owner_pid, worker_pid) = (owner.pid(), worker.pid());
    owner.end();
    worker.end();
    let Some(mut second_owner) = sleeper_with(owner_pid) else { return println!("not checked: ns_last_pid") };
    let mut second_worker = sleeper_with(worker_pid).unwrap();

    let report = scene.sweep(true);
    assert_eq!(run.in_report(&report), ["orphan #2, ended"], "{report:?}");
    assert!(!orphan.is_alive(), "its owner is dead, whoever has its number now");
    assert!(second_owner.is_alive() && second_worker.is_alive());
}

/// Our numbers and those in `/proc` are different processes then.
#[test]
fn where_proc_is_another_namespace_s_nothing_is_ended() {
    in_a_namespace("alone_with_the_wrong_proc", &[]);
}

#[test]
#[ignore = "run in a PID namespace by where_proc_is_another_namespace_s_nothing_is_ended"]
fn alone_with_the_wrong_proc() {
    let scene = Scene::new();
    let report = scene.sweep(true);
    assert!(report.notes.iter().any(|note| note.contains("another PID namespace")), "{report:?}");
    assert_eq!(report.terminated, 0);
}
