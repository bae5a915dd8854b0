//! Keeper, guardian, or both are killed, with a supervisor and without: nothing is left, at the latest after a sweep.

use super::*;

/// None of them does anything before all are stopped.
fn kill(guards: &[&Guard]) {
    guards.iter().for_each(|guard| guard.send(Signal::STOP));
    guards.iter().for_each(|guard| guard.send(Signal::KILL));
}

/// Without a supervisor.
fn nothing_is_left_after(kills: impl Fn([Guard; 2])) {
    let scene = Scene::new();
    scene.killed_host(ECHO);
    scene.until_output_has("ready");
    let mark = scene.mark();
    kills(scene.guards(mark));
    until("the guards are gone", || scene.processes(mark).iter().all(|sighting| sighting.worn.worker != 0));
    let run = scene.only_run();
    let report = scene.sweep();
    assert_eq!((report.errors, scene.records()), (0, vec![]), "{report:?}");
    assert_eq!(scene.processes(mark), []);
    scene.until_unlocked();
    assert!(matches!(run.attach().unwrap(), Attachment::Lost));
}

#[test]
fn the_keeper_is_killed() {
    nothing_is_left_after(|[keeper, _]| kill(&[&keeper]));
}

#[test]
fn the_guardian_is_killed() {
    nothing_is_left_after(|[_, guardian]| kill(&[&guardian]));
}

#[test]
fn both_are_killed() {
    nothing_is_left_after(|[keeper, guardian]| kill(&[&guardian, &keeper]));
}

#[tokio::test]
async fn a_guard_is_killed_while_there_is_a_supervisor() {
    for victims in [&[0][..], &[1], &[0, 1]] {
        let scene = Scene::new();
        scene.killed_host(ECHO);
        let (successor, mark) = (scene.attach(), scene.mark());
        let guards = scene.guards(mark);
        kill(&victims.iter().map(|victim| &guards[*victim]).collect::<Vec<_>>());
        // A guardian may obey before it sees that its keeper is gone.
        assert!(matches!(successor.end().await, Status::Unguarded | Status::Signaled { .. }));
        assert_eq!((scene.processes(mark), scene.records()), (vec![], vec![]));
    }
}

/// A guardian that keeps takes no more than others, and no time.
#[test]
fn a_pair_that_waits_is_small_and_idle() {
    const LARGEST_KIB: u64 = 1024;
    let scene = Scene::new();
    scene.killed_host("sleep 1000");
    let mark = scene.mark();
    let guards = scene.guards(mark);
    let number = |guard: &Guard, label: &str| -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", guard.pid)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(label)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let wakes = || guards.each_ref().map(|guard| number(guard, "voluntary_ctxt_switches:"));
    let has_settled = |calm: Duration| {
        let before = wakes();
        std::thread::sleep(calm);
        before == wakes()
    };
    until("nobody wakes where nothing happens", || has_settled(Duration::from_millis(500)));
    for guard in &guards {
        let size = number(guard, "VmRSS:");
        assert!(size < LARGEST_KIB, "{size} KiB");
    }
    guards[0].send(Signal::KILL);
    scene.until_nothing_lives(mark);
}
