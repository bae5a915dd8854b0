//! What the program itself takes, and what it does when the host does not listen.

use super::*;

#[test]
fn keeper_and_guardian_are_small() {
    let mut run = Run::new(Tier::Plain);
    for number in 1..=50 {
        let worker = run.spawn(number, "setsid sleep 1000 & sleep 1000");
        if number % 2 == 0 {
            run.end(&worker);
        }
    }
    let ours = run.marked_as(0);
    assert_eq!(ours.len(), 2);
    for pid in ours {
        let (resident, name) = (status(pid, "VmRSS").unwrap(), status(pid, "Name").unwrap());
        println!("{name}: {resident} KiB");
        assert!(resident.parse::<u32>().unwrap() < 512, "{name}: {resident} KiB");
        assert!(["hatchery-keeper", "hatchery-guard"].contains(&&*name), "{name}");
    }
}

/// Nobody wakes up to look whether something has happened: within a minute there is a second in which neither of the two
/// runs, and one that polled would never have it.
#[test]
fn keeper_and_guardian_take_no_processor_time_while_nothing_happens() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let _idle = run.spawn(1, "exec sleep 1000");
        let ours = run.marked_as(0);
        assert_eq!(ours.len(), 2);
        until("a second without a wake", || {
            let before: Vec<Effort> = ours.iter().map(|pid| Effort::of(*pid)).collect();
            std::thread::sleep(Duration::from_secs(1));
            ours.iter().map(|pid| Effort::of(*pid)).eq(before)
        });
    });
}

/// What a process has done so far.
#[derive(Debug, PartialEq)]
struct Effort {
    /// In user and in kernel mode, in ticks.
    time: [u64; 2],
    /// How often it has gone to sleep, and how often it was made to wait.
    switches: [String; 2],
}

impl Effort {
    fn of(pid: u32) -> Effort {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // The name before may have spaces and brackets in it.
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        let time = [11, 12].map(|field| fields[field].parse().unwrap());
        Effort {
            time,
            switches: ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"].map(|key| status(pid, key).unwrap()),
        }
    }
}

/// So many facts do not fit into the socket: the guardian waits, and goes on when somebody reads.
#[test]
fn a_host_that_does_not_read_is_waited_for() {
    let run = Run::new(Tier::Plain);
    const WORKERS: u32 = 1000;
    let strings = Strings::Inline(b"/no/such/program\0\0");
    let socket = run.starts_socket.as_ref().unwrap().try_clone().unwrap();
    let order = move |worker| Spawn { strings, ..Program::sh(worker, "").order };
    let orders =
        std::thread::spawn(move || (1..=WORKERS).for_each(|worker| send(&socket, &Order::Spawn(order(worker)), &[])));
    let mut failed = Vec::new();
    while failed.len() < WORKERS as usize {
        match run.started() {
            (Fact::Failed { worker, step: Step::Exec, .. }, None) => failed.push(worker),
            other => panic!("{other:?}"),
        }
    }
    orders.join().unwrap();
    assert!(failed.into_iter().eq(1..=WORKERS));
}

#[test]
fn a_host_that_does_not_read_and_closes_is_gone() {
    let mut run = Run::new(Tier::Plain);
    let worker = run.spawn(1, "sleep 1000");
    let order = |worker| Spawn { strings: Strings::Inline(b"/no/such/program\0\0"), ..Program::sh(worker, "").order };
    for worker in 2..=100 {
        run.order(&Order::Spawn(order(worker)), &[]);
    }
    run.close();
    assert_readable(&worker.pidfd);
    run.assert_over();
}

/// Layers are what the kernel has shown, not what was hoped for.
#[test]
fn layers_are_reported() {
    const NO_SUCH_FILE: i32 = 2;
    let plain = Run::new(Tier::Plain);
    assert_eq!((plain.layers.mark, plain.layers.cgroup), (0, NO_SUCH_FILE));
    if Tier::Cgroup.why_not().is_none() {
        let run = Run::new(Tier::Cgroup);
        assert_eq!(run.layers.cgroup, 0, "{:?}", run.layers);
    }
}

#[test]
fn spawns_are_quick_enough_to_be_measured() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let mut times: Vec<Duration> = (1..=40)
            .map(|number| {
                let program =
                    Program { path: "/bin/true", args: vec!["true"], env: Vec::new(), ..Program::sh(number, "") };
                let started = Instant::now();
                let worker = run.try_spawn(&program).unwrap();
                let time = started.elapsed();
                run.end(&worker);
                time
            })
            .collect();
        times.sort_unstable();
        println!("{tier:?}: spawn in {:?} (median), {:?} (worst)", times[20], times[39]);
    });
}

/// It is not silent: were it replaced for that, all its other workers would end with it.
#[test]
fn a_guardian_whose_worker_the_kernel_holds_still_answers() {
    let Some(freezer) = crate::process::freezer::Freezer::make() else { return };
    let mut run = Run::new(Tier::Plain);
    let worker = run.spawn(1, "sleep 1000");
    freezer.freeze(worker.pid.cast_signed());
    for _ in 0..3 {
        run.order(&Order::End { worker: 1 }, &[]);
        run.order(&Order::Ask, &[]);
        assert!(matches!(run.fact(), (Fact::Alive, None)));
    }
    freezer.thaw();
    assert!(matches!(run.fact(), (Fact::Gone { worker: 1, .. }, None)), "once, however often it was told");
    run.order(&Order::Ask, &[]);
    assert!(matches!(run.fact(), (Fact::Alive, None)));
}

/// No signal ends it, so nobody may stand still for it.
#[test]
fn a_guardian_gives_up_one_that_the_kernel_holds_before_it_begins() {
    let Some(freezer) = crate::process::freezer::Freezer::make() else { return };
    let mut run = Run::new(Tier::Plain);
    let door = freezer.freeze_empty();
    let program = Program::sh(1, "exit 0");
    let strings = Strings::Inline(b"/bin/true\0\0true\0");
    let order = Spawn { fds: 1, joins: 1, args: 1, strings, is_quick: false, ..program.order };
    run.order(&Order::Spawn(order), &[dev_null().as_fd(), door.as_fd()]);
    assert_eq!(run.answer(1).unwrap_err(), (Step::Exec, rustix::io::Errno::TIMEDOUT.raw_os_error()));
    let second = run.spawn(2, "exit 0");
    run.end(&second);
    freezer.thaw();
}
