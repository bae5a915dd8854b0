//! The ladder, the drop, and what they leave behind: nothing.

use std::cell::Cell;

use super::*;

#[tokio::test]
async fn one_that_has_ended_is_neither_asked_nor_waited_for() {
    let (child, _lines) = start(fixture("exit_at_once.sh"));
    let identity = *child.identity();
    bounded(child.exited()).await;
    let asked = Cell::new(false);
    let death = bounded(end(child, &PATIENT, || asked.set(true))).await;
    assert_eq!((death.status, death.rung, asked.get()), (Status::Exited(3), Rung::Itself, false));
    assert_eq!(death.to_string(), "exit status 3");
    assert_gone(&identity);
}

#[tokio::test]
async fn one_that_obeys_is_only_asked() {
    let (reader, writer) = std::io::pipe().unwrap();
    let (child, _lines) = start(Spec { fds: vec![reader.into()], ..fixture("ask_to_end.sh") });
    let death = bounded(end(child, &PATIENT, || drop(writer))).await;
    assert_eq!((death.status, death.rung), (Status::Exited(7), Rung::Ask));
}

#[tokio::test]
async fn one_that_does_not_obey_gets_sigterm() {
    let (child, _lines) = start(spec("sleep", ["60".into()]));
    let death = bounded(end(child, &Escalation { ask: Duration::ZERO, ..PATIENT }, || ())).await;
    assert_eq!((death.to_string().as_str(), death.rung), ("killed by signal 15 (SIGTERM)", Rung::Term));
}

#[tokio::test]
async fn one_that_ignores_sigterm_gets_sigkill() {
    let (child, mut lines) = start(fixture("ignore_sigterm.py"));
    let identity = *child.identity();
    assert_eq!(lines.next().await.unwrap(), "ready");
    let grace = Duration::from_millis(50);
    let death = bounded(end(child, &Escalation { ask: Duration::ZERO, term: grace }, || ())).await;
    assert_eq!((death.to_string().as_str(), death.rung), ("killed by signal 9 (SIGKILL)", Rung::Kill));
    assert!(death.took >= grace);
    assert_gone(&identity);
}

#[tokio::test]
async fn one_that_is_stopped_still_obeys_sigterm() {
    let (child, _lines) = start(fixture("stop_itself.sh"));
    let stat = format!("/proc/{}/stat", child.identity().pid());
    let until_stopped = async {
        while !fs::read_to_string(&stat).unwrap().contains(") T ") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    bounded(until_stopped).await;
    let death = bounded(end(child, &Escalation { ask: Duration::ZERO, ..PATIENT }, || ())).await;
    assert_eq!((death.to_string().as_str(), death.rung), ("killed by signal 15 (SIGTERM)", Rung::Term));
}

#[tokio::test]
async fn one_that_crashed_says_by_which_signal() {
    let (child, _lines) = start(fixture("die_by_signal.sh"));
    bounded(child.exited()).await;
    let death = end(child, &AT_ONCE, || ()).await;
    assert_eq!((death.to_string().as_str(), death.rung), ("killed by signal 6 (SIGABRT)", Rung::Itself));
}

#[tokio::test]
async fn the_whole_tree_goes() {
    let (child, mut lines) = start(fixture("fork_tree.py"));
    let tree = [lines.next_pid().await, lines.next_pid().await, lines.next_pid().await, lines.next_pid().await];
    end(child, &AT_ONCE, || ()).await;
    for process in tree {
        assert_ends(process).await;
    }
    lines.rest().await;
}

#[tokio::test]
async fn what_the_leader_left_in_its_group_goes_with_it() {
    let (child, mut lines) = start(fixture("leave_grandchild.sh"));
    let grandchild = lines.next_pid().await;
    bounded(child.exited()).await;
    assert!(is_running(&grandchild));
    let death = end(child, &AT_ONCE, || ()).await;
    assert_eq!((death.status, death.rung), (Status::Exited(0), Rung::Itself));
    assert_ends(grandchild).await;
    assert!(lines.rest().await.is_empty());
}

#[tokio::test]
async fn a_dropped_child_is_killed_with_its_group_and_reaped() {
    let (child, mut lines) = start(fixture("fork_tree.py"));
    let tree = [lines.next_pid().await, lines.next_pid().await];
    let identity = *child.identity();
    drop(child);
    assert_goes(&identity).await;
    for process in tree {
        assert_ends(process).await;
    }
    lines.rest().await;
}

#[tokio::test]
async fn a_ladder_that_is_dropped_half_way_kills_at_once() {
    let (child, mut lines) = start(fixture("ignore_sigterm.py"));
    let identity = *child.identity();
    lines.next().await;
    let asked = Cell::new(false);
    tokio::select! {
        biased;
        _ = end(child, &PATIENT, || asked.set(true)) => unreachable!("it does not end by itself"),
        () = std::future::ready(()) => {}
    }
    assert!(asked.get());
    assert_goes(&identity).await;
}

#[tokio::test]
async fn the_end_can_be_awaited_again_and_by_several() {
    let (child, mut lines) = start(fixture("ignore_sigterm.py"));
    lines.next().await;
    assert!(tokio::time::timeout(Duration::from_millis(1), child.exited()).await.is_err());
    let terminator = child.terminator();
    let (one, other, ()) = (child.exited(), child.exited(), assert!(terminator.kill()));
    bounded(async { tokio::join!(one, other) }).await;
    assert_eq!(end(child, &AT_ONCE, || ()).await.rung, Rung::Itself);
}

#[tokio::test]
async fn the_end_can_be_awaited_in_another_runtime_than_the_one_it_began_in() {
    let (child, mut lines) = start(fixture("ignore_sigterm.py"));
    lines.next().await;
    child.kill_now();
    let elsewhere = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(bounded(end(child, &AT_ONCE, || ())))
    };
    let death = std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap());
    assert_eq!(death.to_string(), "killed by signal 9 (SIGKILL)");
}

#[tokio::test]
async fn nothing_is_signalled_once_it_is_gone() {
    let (child, _lines) = start(fixture("exit_at_once.sh"));
    let terminator = child.terminator();
    assert_eq!(bounded(end(child, &PATIENT, || ())).await.status, Status::Exited(3));
    assert!(!terminator.kill());
}

#[tokio::test]
async fn a_daemon_goes_with_its_worker_and_is_counted() {
    let (child, mut lines) = start(fixture("daemonize.py"));
    let daemon = lines.next_pid().await;
    bounded(child.exited()).await;
    assert!(is_running(&daemon), "it has left the session, and its parent is gone");
    let death = bounded(end(child, &AT_ONCE, || ())).await;
    assert_eq!((death.status, death.escaped), (Status::Exited(0), 1));
    assert_ends(daemon).await;
}

#[tokio::test]
async fn what_may_escape_is_left_and_named() {
    let confinement = Confinement { on_escape: OnEscape::Report, ..Confinement::default() };
    let guardian = Guardian::start(Plan::unrecorded()).unwrap();
    let Spawned { child, stdout, .. } = guardian.spawn(1, Spec { confinement, ..fixture("daemonize.py") }).unwrap();
    let daemon = Lines::of(stdout.unwrap()).next_pid().await;
    bounded(child.exited()).await;
    let death = bounded(end(child, &AT_ONCE, || ())).await;
    assert_eq!((death.escaped, death.left.len()), (0, 1));
    assert!(is_running(&daemon));
    assert!(bounded(guardian.closed(DEADLINE)).await, "it goes with the run");
    assert_ends(daemon).await;
}

#[tokio::test]
async fn groups_that_are_busy_hold_up_nobody() {
    let limits = ResourceLimits { processes: Some(10), ..ResourceLimits::default() };
    let name = cage::name_of(&crate::id::RunId::random().to_string(), 1);
    let cage = match cage::Cage::make(limits, &name, None) {
        Ok(cage) => cage,
        Err(error) => return println!("not checked: {error}"),
    };
    let procs = cage.joins().next().unwrap();
    let (child, _lines) = start(spec("sleep", ["60".into()]));
    fs::write(&procs, child.identity().pid().to_string()).unwrap();
    let began = std::time::Instant::now();
    drop(cage);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(procs.exists());
    end(child, &AT_ONCE, || ()).await;
    pairs::until("the group is gone", || !procs.exists()).await;
}
