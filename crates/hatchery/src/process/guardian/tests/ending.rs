//! Ending a worker: all of it, and nothing but it.

use super::*;

/// Leaves the group and the leader, ignores every polite signal, and closes all that could tell.
const DAEMON: &str =
    "setsid sh -c '(trap \"\" TERM HUP INT; while :; do sleep 1000; done) >/dev/null & echo $!' </dev/null";

#[test]
fn a_daemon_that_ignores_every_polite_signal_ends_with_its_worker() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let (worker, mut output) = run.spawn_ready(1, OnEscape::Kill, &format!("{DAEMON}; read _ </dev/zero"));
        output.number();
        let stranger = run.spawn(2, "sleep 1000");
        until("the daemon and its sleep run", || run.marked_as(1).len() >= 3);
        let (escaped, gone) = run.end(&worker);
        assert_eq!(escaped, [0; 0]);
        let Fact::Gone { code: 2, status: 9, escaped, .. } = gone else { panic!("{gone:?}") };
        assert!(escaped >= 1, "{tier:?}");
        assert_eq!(run.marked_as(1), [0; 0], "gone means gone, and reaped");
        assert!(!is_readable_within(&stranger.pidfd, Duration::ZERO), "the other worker goes on");
    });
}

#[test]
fn a_leader_that_has_ended_keeps_its_number_until_it_is_told() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let worker = run.spawn(1, "exit 7");
        assert_readable(&worker.pidfd);
        let other = run.spawn(2, "exit 0");
        assert_readable(&other.pidfd);
        assert!(matches!(run.end(&other).1, Fact::Gone { worker: 2, code: 1, status: 0, escaped: 0 }));
        let [leader] = run.marked_as(1)[..] else { panic!("{:?}", run.marked_as(1)) };
        assert!(is_zombie(leader));
        assert!(matches!(run.end(&worker).1, Fact::Gone { worker: 1, code: 1, status: 7, escaped: 0 }));
        assert_eq!(run.marked_as(1), [0; 0]);
    });
}

#[test]
fn adopted_processes_that_end_are_reaped_at_once() {
    let mut run = Run::new(Tier::Plain);
    // Orphans that end one after another while the leader lives.
    let script = "for i in 1 2 3 4 5; do (sleep 0.0$i &); done; echo done; read _ </dev/zero";
    let (worker, mut output) = run.spawn_ready(1, OnEscape::Kill, script);
    output.line();
    until("only the leader is left", || run.marked_as(1) == [worker.pid]);
    run.end(&worker);
}

#[test]
fn signals_reach_the_group() {
    let mut run = Run::new(Tier::Plain);
    let script = "trap 'echo got it; exit 5' USR1; (echo ready; exec sleep 1000) & wait";
    let (worker, mut output) = run.spawn_ready(1, OnEscape::Kill, script);
    assert_eq!(output.line(), "ready");
    run.order(&Order::Signal { worker: 1, signal: 10 }, &[]);
    assert_eq!(output.line(), "got it");
    assert_readable(&worker.pidfd);
    until("the group's other member ended too", || run.marked_as(1) == [worker.pid]);
    assert!(matches!(run.end(&worker).1, Fact::Gone { code: 1, status: 5, .. }));
    // To whom nobody is any more.
    run.order(&Order::Signal { worker: 1, signal: 9 }, &[]);
    run.order(&Order::End { worker: 1 }, &[]);
    let other = run.spawn(2, "exit 0");
    run.end(&other);
}

#[test]
fn a_stopped_worker_ends() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let worker = run.spawn(1, "sleep 1000 & kill -STOP $$");
        until("it has stopped", || {
            let states = run.marked_as(1).into_iter().map(|pid| status(pid, "State"));
            states.flatten().any(|state| state == "T")
        });
        run.end(&worker);
        assert_eq!(run.marked_as(1), [0; 0]);
    });
}

#[test]
fn a_chain_of_three_hundred_ends() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let script =
            "if [ $1 = 0 ]; then echo bottom; exec sleep 1000; fi; setsid sh -c \"$0\" \"$0\" $(($1 - 1)); true";
        let (mut output, stdout) = Output::pipe();
        let mut program = Program::sh(1, script).writing_to(stdout);
        program.args.extend([script, "300"]);
        let worker = run.try_spawn(&program).unwrap();
        assert_eq!(output.line(), "bottom");
        let started = Instant::now();
        run.end(&worker);
        println!("{tier:?}: a chain of 300 in {:?}", started.elapsed());
        assert_eq!(run.marked_as(1), [0; 0]);
    });
}

#[test]
fn a_tree_of_two_hundred_ends() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let script = "for i in 1 2 3 4 5 6 7 8 9 10; do
                (for j in 1 2 3 4 5 6 7 8 9; do setsid sleep 1000 & done; sleep 1000) &
                setsid sh -c 'for j in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done' &
            done; wait";
        let worker = run.spawn(1, script);
        until("all of it runs", || run.marked_as(1).len() >= 200);
        let started = Instant::now();
        run.end(&worker);
        println!("{tier:?}: a tree of 200 in {:?}", started.elapsed());
        assert_eq!(run.marked_as(1), [0; 0]);
    });
}

/// Each forks another and ends, so none lives long enough to be killed by whoever looks first.
#[test]
fn processes_that_fork_and_exit_are_caught() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let comet = "sh -c \"$0\" \"$0\" & exit 0";
        let script = format!("setsid sh -c '{comet}' '{comet}' & echo flying; read _ </dev/zero");
        let (worker, mut output) = run.spawn_ready(1, OnEscape::Kill, &script);
        output.line();
        run.end(&worker);
        assert_eq!(run.marked_as(1), [0; 0]);
    });
}

#[test]
fn ends_do_not_wait_for_each_other() {
    let mut run = Run::new(Tier::Plain);
    let workers: Vec<Worker> = (1..=20).map(|number| run.spawn(number, "sleep 1000")).collect();
    for worker in &workers {
        run.order(&Order::End { worker: worker.number }, &[]);
    }
    let last = run.spawn(21, "exit 0");
    let mut gone: Vec<u32> = workers.iter().map(|_| run.fact()).map(|fact| number_of_gone(&fact.0)).collect();
    gone.sort_unstable();
    assert!(gone.into_iter().eq(1..=20));
    run.end(&last);
}

fn number_of_gone(fact: &Fact) -> u32 {
    match *fact {
        Fact::Gone { worker, .. } => worker,
        _ => panic!("{fact:?}"),
    }
}
