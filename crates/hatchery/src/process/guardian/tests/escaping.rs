//! What may outlive its worker, because its owner said so.

use super::*;

const DAEMON: &str = "setsid sh -c 'sleep 1000 & exit' >/dev/null; echo started; read _ </dev/zero";

/// Started with a session of its own, but still below the leader.
const DESCENDANT: &str = "setsid sleep 1000 </dev/null >/dev/null & echo started; read _ </dev/zero";

fn daemon(run: &mut Run, on_escape: OnEscape) -> (Worker, u32) {
    let (worker, mut output) = run.spawn_ready(1, on_escape, DAEMON);
    output.line();
    until("the daemon and its leader are all", || run.marked_as(1).len() == 2);
    let leader = outside_pid(&worker);
    let daemon = run.marked_as(1).into_iter().find(|pid| *pid != leader).unwrap();
    (worker, daemon)
}

/// The worker's number in this process's namespace.
fn outside_pid(worker: &Worker) -> u32 {
    use std::os::fd::AsRawFd;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", worker.pidfd.as_raw_fd())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn reported_daemons_live_until_the_run_ends() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let (worker, daemon) = daemon(&mut run, OnEscape::Report);
        let daemon_fd = pidfd(daemon);
        let (escaped, gone) = run.end(&worker);
        assert_eq!(escaped.len(), 1);
        assert!(tier == Tier::Namespace || escaped == [daemon]);
        assert!(matches!(gone, Fact::Gone { code: 2, status: 9, escaped: 0, .. }), "{gone:?}");
        assert!(!is_readable_within(&daemon_fd, Duration::ZERO), "it was to be left alone");
        run.close();
        run.assert_over();
        assert_readable(&daemon_fd);
    });
}

#[test]
fn adopted_daemons_live_on() {
    for tier in [Tier::Plain, Tier::Cgroup] {
        if let Some(reason) = tier.why_not() {
            println!("not under {tier:?}: {reason}");
            continue;
        }
        for kill_guardian in [false, true] {
            let mut run = Run::new(tier);
            let (worker, daemon) = daemon(&mut run, OnEscape::Adopt);
            let daemon_fd = pidfd(daemon);
            assert_eq!(run.end(&worker).0, [daemon]);
            let other = run.spawn(2, "setsid sleep 1000 & sleep 1000");
            if kill_guardian {
                run.kill_guardian();
            }
            run.close();
            assert_readable(&other.pidfd);
            assert_readable(&run.keeper.pidfd);
            assert!(!is_readable_within(&daemon_fd, Duration::ZERO), "it was to be left alone for good");
            assert_eq!(
                run.marked().into_iter().filter(|pid| !is_zombie(*pid) && *pid != daemon).collect::<Vec<_>>(),
                [0; 0]
            );
            pidfd_send_signal(&daemon_fd, Signal::KILL).unwrap();
            assert_readable(&daemon_fd);
        }
    }
}

/// Nobody reaps what was adopted by the first process, in some containers: so zombies are not looked for.
#[test]
fn what_still_descends_from_the_leader_has_not_escaped() {
    under_each_tier(|tier| {
        for on_escape in [OnEscape::Report, OnEscape::Adopt] {
            let mut run = Run::new(tier);
            let (worker, mut output) = run.spawn_ready(1, on_escape, DESCENDANT);
            output.line();
            until("the descendant runs", || run.marked_as(1).len() == 2);
            assert_eq!(run.end(&worker).0, [0; 0], "{tier:?} {on_escape:?}");
            assert_eq!(run.marked_as(1), [0; 0]);
        }
    });
}
