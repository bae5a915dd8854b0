//! Host programs with habits of their own. Those that concern the whole process run in one of their own: this test
//! binary, started again for one test.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{WaitOptions, wait};

use super::pairs::{own_guardian, send, state_of, stop, until};
use super::*;

#[tokio::test]
async fn a_host_that_ignores_sigchld() {
    run_alone("foreign_hosts::alone_with_sigchld_ignored").await;
}

#[tokio::test]
#[ignore = "run alone by a_host_that_ignores_sigchld"]
#[allow(unsafe_code, reason = "no safe wrapper sets dispositions")]
async fn alone_with_sigchld_ignored() {
    // It is asked for with a `wait` of the standard library's, which would fail below.
    python();
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    // Its keeper is the only child, and nobody waits for that one's status.
    for _ in 0..20 {
        let (child, _lines) = start(fixture("exit_at_once.sh"));
        assert_eq!(bounded(end(child, &PATIENT, || ())).await.status, Status::Exited(3));
    }
    let (child, mut lines) = start(fixture("fork_tree.py"));
    let (member, identity) = (lines.next_pid().await, *child.identity());
    drop(child);
    assert_goes(&identity).await;
    assert_ends(member).await;
    assert!(bounded(guardian().closed(DEADLINE)).await);
}

#[tokio::test]
async fn a_host_that_waits_for_every_child() {
    run_alone("foreign_hosts::alone_with_a_wait_for_every_child").await;
}

#[tokio::test]
#[ignore = "run alone by a_host_that_waits_for_every_child"]
async fn alone_with_a_wait_for_every_child() {
    let (child, mut lines) = start(fixture("leave_grandchild.sh"));
    let grandchild = lines.next_pid().await;
    bounded(child.exited()).await;
    assert!(matches!(wait(WaitOptions::NOHANG), Ok(None)), "no worker is the host's child");
    guardian().close();
    // The keeper is. Whether this or the one who owns it waits first, neither minds.
    let _either = wait(WaitOptions::empty());
    assert!(bounded(guardian().closed(DEADLINE)).await);
    assert_eq!(bounded(end(child, &PATIENT, || ())).await.status, Status::Unguarded);
    assert_ends(grandchild).await;
}

#[tokio::test]
async fn a_host_in_a_namespace_whose_proc_is_another_s() {
    run_alone_by(&["unshare", "--pid", "--fork"], "foreign_hosts::alone_with_the_proc_of_another_namespace").await;
}

/// What is called so there is a stranger here.
#[tokio::test]
#[ignore = "run alone by a_host_in_a_namespace_whose_proc_is_another_s"]
async fn alone_with_the_proc_of_another_namespace() {
    assert!(!sight::numbers_are_ours());
    let numbers = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let strangers: Vec<Pid> = numbers.filter_map(Pid::new).collect();
    assert!(!strangers.is_empty());
    for stranger in strangers {
        assert_eq!(mark::by_limits_file(stranger), Err(rustix::io::Errno::PERM));
    }
}

#[tokio::test]
async fn a_host_that_forks() {
    run_alone("foreign_hosts::alone_with_a_fork").await;
}

#[tokio::test]
#[ignore = "run alone by a_host_that_forks"]
#[allow(unsafe_code, reason = "no safe wrapper forks")]
async fn alone_with_a_fork() {
    let (child, mut lines) = start(fixture("ignore_sigterm.py"));
    lines.next().await;
    // SAFETY: the copy drops a value, which takes no lock that another thread may have held, and leaves.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        child.terminator().kill();
        drop(child);
        // SAFETY: runs nothing of the copied program.
        unsafe { libc::_exit(0) }
    }
    let copy = rustix::process::Pid::from_raw(copy).unwrap();
    rustix::process::waitpid(Some(copy), WaitOptions::empty()).unwrap();
    assert!(!child.has_exited(), "the copy ended what it does not own");
    assert_eq!(end(child, &AT_ONCE, || ()).await.rung, Rung::Kill);
}

#[tokio::test]
async fn a_host_without_descriptors() {
    run_alone("foreign_hosts::alone_without_descriptors").await;
}

fn take_every_descriptor() -> Vec<fs::File> {
    std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect()
}

#[tokio::test]
#[ignore = "run alone by a_host_without_descriptors"]
async fn alone_without_descriptors() {
    guardian();
    let mut taken = take_every_descriptor();
    // From none to enough: the start fails at every step in turn.
    let mut failures = Vec::new();
    let child = loop {
        match spawn(spec("/bin/sleep", ["60".into()])) {
            Ok(Spawned { child, .. }) => break child,
            Err(error) => failures.push(error.to_string()),
        }
        taken.pop().unwrap();
    };
    let steps = ["copy the descriptor of /dev/null", "make a pipe for its output", "take hold of the new process"];
    for step in steps {
        let expected = format!("{step}: Too many open files (os error 24)");
        assert!(failures.contains(&expected), "{expected}: {failures:?}");
    }

    taken.extend(take_every_descriptor());
    child.kill_now();
    let death = bounded(end(child, &PATIENT, || ())).await;
    assert_eq!(death.to_string(), "killed by signal 9 (SIGKILL)");
}

#[tokio::test]
async fn a_host_with_signal_handlers() {
    run_alone("foreign_hosts::alone_with_a_signal_handler").await;
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_signal: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Whoever waits for a keeper does not take a signal for its end, and kill it in the middle of its work.
#[tokio::test]
#[ignore = "run alone by a_host_with_signal_handlers"]
#[allow(unsafe_code, reason = "no safe wrapper sets handlers, or signals a thread")]
async fn alone_with_a_signal_handler() {
    // SAFETY: the handler adds to a number.
    unsafe { libc::signal(libc::SIGUSR1, count as extern "C" fn(i32) as libc::sighandler_t) };
    let (guardian, pair) = own_guardian();
    stop(pair.keeper()).await;
    guardian.close();
    until("its guardian has ended", || state_of(pair.guardian()).is_none_or(|state| state == 'Z')).await;
    until("many signals are handled", || {
        for listener in threads_called("hatchery-guardi") {
            // SAFETY: no pointers; a thread of this process, or none.
            unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), listener, libc::SIGUSR1) };
        }
        HANDLED.load(Ordering::Relaxed) > 50
    })
    .await;
    assert_eq!(state_of(pair.keeper()), Some('T'), "the keeper was not waited for");
    send(pair.keeper(), Signal::CONT);
    assert!(guardian.closed(DEADLINE).await);
}

/// Of this process, by what the kernel calls them.
fn threads_called(name: &str) -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let is_called_so =
        |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name);
    tasks.filter(is_called_so).map(|task| task.file_name().to_str().unwrap().parse().unwrap()).collect()
}
