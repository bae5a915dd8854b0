//! Whoever of host, keeper and guardian dies: nothing is left of the workers.

use super::*;

/// A worker with a daemon that has left it, and one with a group.
fn workers(run: &mut Run) -> [Worker; 2] {
    let daemon =
        "setsid sh -c '(trap \"\" TERM HUP; sleep 1000; sleep 1000) & exit' >/dev/null; echo; read _ </dev/zero";
    let (first, mut output) = run.spawn_ready(1, OnEscape::Kill, daemon);
    output.line();
    let second = run.spawn(2, "sleep 1000 & sleep 1000");
    until("all of it runs", || run.marked_as(1).len() >= 3 && run.marked_as(2).len() >= 3);
    [first, second]
}

fn nothing_is_left_after(what_happens: impl Fn(&mut Run)) {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let workers = workers(&mut run);
        let started = Instant::now();
        what_happens(&mut run);
        workers.iter().for_each(|worker| assert_readable(&worker.pidfd));
        run.assert_over();
        println!("{tier:?}: nothing left after {:?}", started.elapsed());
    });
}

#[test]
fn the_host_closes_its_sockets() {
    nothing_is_left_after(Run::close);
}

#[test]
fn only_the_keepers_socket_is_closed() {
    nothing_is_left_after(|run| run.keeper_socket = None);
}

#[test]
fn only_the_guardians_socket_is_closed() {
    nothing_is_left_after(|run| run.guardian_socket = None);
    nothing_is_left_after(|run| run.starts_socket = None);
}

#[test]
fn the_guardian_is_killed() {
    nothing_is_left_after(|run| run.kill_guardian());
}

#[test]
fn the_keeper_is_killed() {
    nothing_is_left_after(|run| {
        pidfd_send_signal(&run.keeper.pidfd, Signal::KILL).unwrap();
    });
}

#[test]
fn host_and_guardian_die_at_once() {
    nothing_is_left_after(|run| {
        run.kill_guardian();
        run.close();
    });
}

#[test]
fn host_and_keeper_die_at_once() {
    nothing_is_left_after(|run| {
        let guardian = run.guardian.as_ref().unwrap();
        // For the guardian it is one moment: it would leave the folders to a keeper that is about to die.
        pidfd_send_signal(guardian, Signal::STOP).unwrap();
        pidfd_send_signal(&run.keeper.pidfd, Signal::KILL).unwrap();
        assert_readable(&run.keeper.pidfd);
        let guardian = guardian.try_clone().unwrap();
        run.close();
        // In a namespace of its own it has died with its keeper.
        let _gone_already = pidfd_send_signal(guardian, Signal::CONT);
    });
}

/// What the namespace is for.
#[test]
fn all_three_die_at_once() {
    if let Some(reason) = Tier::Namespace.why_not() {
        return println!("no namespaces: {reason}");
    }
    let mut run = Run::new(Tier::Namespace);
    let workers = workers(&mut run);
    pidfd_send_signal(&run.keeper.pidfd, Signal::KILL).unwrap();
    run.kill_guardian();
    run.close();
    workers.iter().for_each(|worker| assert_readable(&worker.pidfd));
    run.assert_over();
}

#[test]
fn the_guardian_is_stopped_when_the_host_goes() {
    nothing_is_left_after(|run| {
        pidfd_send_signal(run.guardian.as_ref().unwrap(), Signal::STOP).unwrap();
        run.close();
    });
}

#[test]
fn the_guardian_is_replaced() {
    nothing_is_left_after(|run| {
        pidfd_send_signal(run.guardian.as_ref().unwrap(), Signal::STOP).unwrap();
        send(run.keeper_socket.as_ref().unwrap(), &KeeperOrder::Replace { guardian: FIRST }, &[]);
    });
}

#[test]
fn the_host_says_what_nobody_understands() {
    nothing_is_left_after(|run| {
        assert_eq!(rustix::io::write(run.guardian_socket.as_ref().unwrap(), b"what?"), Ok(5));
    });
    nothing_is_left_after(|run| {
        assert_eq!(rustix::io::write(run.starts_socket.as_ref().unwrap(), b"what?"), Ok(5));
    });
    nothing_is_left_after(|run| {
        assert_eq!(rustix::io::write(run.keeper_socket.as_ref().unwrap(), b"what?"), Ok(5));
    });
}

/// While a copy of its sockets lives on, as in a child that it has forked: nobody sees them close.
#[test]
fn the_host_dies_and_its_sockets_stay_open() {
    under_each_tier(|tier| {
        #[expect(clippy::disallowed_methods, reason = "the room's own tests do not rest on the room")]
        let mut host = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let mut run = Run::watching(tier, &pidfd(host.id()));
        run.add_guardian(tier == Tier::Namespace);
        let workers = workers(&mut run);
        host.kill().unwrap();
        workers.iter().for_each(|worker| assert_readable(&worker.pidfd));
        run.assert_over();
        host.wait().unwrap();
    });
}

#[test]
fn the_host_dies_before_it_says_anything() {
    let (ours, theirs) = seqpacket();
    let keeper = program::start(theirs).unwrap();
    drop(ours);
    assert_ends_and_reap(&keeper);
}

/// The host of another run, or one that is dead by the time the keeper hears of it.
#[test]
fn a_keeper_serves_its_own_parent_only() {
    let mark = Mark { hard: 1 << 62, soft: 0 };
    let (ours, theirs) = seqpacket();
    let keeper = program::start(theirs).unwrap();
    let order = KeeperOrder::Begin { mark, host: 1, grace_ms: GRACE_MS, cgroup: false };
    send(&ours, &order, &[pidfd(std::process::id()).as_fd()]);
    assert!(receive(&ours).is_none());
    assert_ends_and_reap(&keeper);
}

#[test]
fn one_guardian_of_two_dies_alone() {
    let mut run = Run::new(Tier::Plain);
    let worker = run.spawn(1, "setsid sleep 1000 & sleep 1000");
    until("both run", || run.marked_as(1).len() == 3);
    let (first, first_sockets) = (run.guardian.take(), [run.guardian_socket.take(), run.starts_socket.take()]);
    run.order_guardian(1, false);
    assert!(matches!(run.keeper_fact(), (KeeperFact::Guarding { guardian: 1, .. }, Some(_))));
    assert!(matches!(run.fact(), (Fact::Ready(_), None)));
    let other = run.spawn(2, "setsid sleep 1000 & sleep 1000");
    until("both run", || run.marked_as(2).len() == 3);
    pidfd_send_signal(first.as_ref().unwrap(), Signal::KILL).unwrap();
    assert_readable(&worker.pidfd);
    until("nothing is left of the first one's", || run.marked_as(1).is_empty());
    assert!(!is_readable_within(&other.pidfd, Duration::ZERO));
    assert_eq!(run.marked_as(2).len(), 3);
    run.end(&other);
    drop(first_sockets);
}

/// One process at a time, which is another one at every look. It ends by itself if it was let go.
#[test]
fn one_that_is_born_while_its_parent_is_reaped_is_not_left_behind() {
    const COMET: &str = "trap '' TERM; f() { [ $1 -gt 20000 ] || { f $(( $1 + 1 )) & } }; f 1; echo; exec sleep 1000";
    for _ in 0..20 {
        let mut run = Run::new(Tier::Plain);
        let (_worker, mut output) = run.spawn_ready(1, OnEscape::Kill, COMET);
        output.line();
        let guardian = run.guardian.as_ref().unwrap().try_clone().unwrap();
        pidfd_send_signal(&run.keeper.pidfd, Signal::KILL).unwrap();
        run.close();
        assert_readable(&guardian);
        assert!(run.marked_as(1).into_iter().all(is_zombie));
        run.assert_over();
    }
}
