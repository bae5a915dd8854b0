//! What a template has forked becomes a worker, and nothing else does.

use super::*;

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;

/// Leaves two processes that lead groups of their own and say their numbers, then waits.
const TEMPLATE: &str = "for n in 1 2; do (setsid sh -c 'echo $$; exec sleep 1000' &); done; exec sleep 1000";

impl Run {
    fn adopt(&mut self, worker: u32, template: u32, pid: u32) -> Result<Worker, (Step, i32)> {
        let order = Adopt { worker, on_escape: OnEscape::Kill, template, pid, own_leaf: false };
        self.order(&Order::Adopt(order), &[]);
        self.answer(worker)
    }

    /// As soon as the process between it and the template has ended.
    fn adopt_fork(&mut self, worker: u32, template: u32, pid: u32) -> Worker {
        let began = Instant::now();
        loop {
            match self.adopt(worker, template, pid) {
                Ok(worker) => return worker,
                Err(refusal) => assert!(refusal == (Step::Parent, EPERM) && began.elapsed() < DEADLINE, "{refusal:?}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn lives(worker: &Worker) -> bool {
    !is_readable_within(&worker.pidfd, Duration::ZERO)
}

#[test]
fn forks_are_workers_that_end_one_by_one_and_after_their_template() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let (template, mut output) = run.spawn_ready(1, OnEscape::Kill, TEMPLATE);
        let pids = [output.number(), output.number()];
        let [first, second] = [(2, pids[0]), (3, pids[1])].map(|(worker, pid)| run.adopt_fork(worker, 1, pid));
        for number in [1, 2, 3] {
            assert_eq!(run.marked_as(number).len(), 1, "{tier:?}: worker {number}");
        }
        assert!(matches!(run.end(&template).1, Fact::Gone { escaped: 0, .. }), "{tier:?}");
        assert!(lives(&first) && lives(&second), "{tier:?}");
        assert!(matches!(run.end(&first).1, Fact::Gone { status: 9, .. }), "{tier:?}");
        assert!(!lives(&first) && lives(&second), "{tier:?}");
        run.end(&second);
        assert!(run.marked_as(3).is_empty(), "{tier:?}");
    });
}

#[test]
fn a_fork_that_was_not_adopted_ends_with_its_template() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let (template, mut output) = run.spawn_ready(1, OnEscape::Kill, TEMPLATE);
        let pids = [output.number(), output.number()];
        let adopted = run.adopt_fork(2, 1, pids[0]);
        assert_eq!(run.marked_as(1).len(), 2, "{tier:?}");
        run.end(&template);
        assert!(run.marked_as(1).is_empty() && lives(&adopted), "{tier:?}");
        assert_eq!(run.adopt(3, 1, pids[1]).unwrap_err(), (Step::Order, ENOENT), "{tier:?}: there is no such template");
    });
}

#[test]
fn only_a_fork_of_the_template_can_be_adopted() {
    let mut run = Run::new(Tier::Plain);
    let (template, mut output) = run.spawn_ready(1, OnEscape::Kill, TEMPLATE);
    let pids = [output.number(), output.number()];
    let (stranger, mut its_output) = run.spawn_ready(2, OnEscape::Kill, TEMPLATE);
    let its_forks = [its_output.number(), its_output.number()];
    run.adopt_fork(3, 2, its_forks[0]);
    let guardian = status(template.pid, "PPid").unwrap().parse().unwrap();
    let never = [0, 1, std::process::id(), guardian, template.pid, stranger.pid, u32::MAX];
    for pid in never.into_iter().chain(its_forks) {
        assert_eq!(run.adopt(4, 1, pid).unwrap_err(), (Step::Parent, EPERM), "{pid}");
    }
    assert_eq!(run.adopt(3, 1, pids[0]).unwrap_err(), (Step::Order, EEXIST), "the number is another's");
    assert!(lives(&template) && lives(&stranger));
    let adopted = run.adopt_fork(4, 1, pids[0]);
    assert_eq!(run.adopt(5, 1, pids[0]).unwrap_err(), (Step::Parent, EPERM), "it is one already");
    assert!(lives(&adopted));
}

#[test]
fn a_leaf_that_is_shared_goes_with_the_last_that_lives_in_it() {
    if let Some(reason) = Tier::Cgroup.why_not() {
        return println!("not checked: {reason}");
    }
    let mut run = Run::new(Tier::Cgroup);
    let leaf = |run: &Run, number: u32| run.cgroup.as_ref().unwrap().path.join(format!("w{FIRST}/{number}"));
    let (template, mut output) = run.spawn_ready(1, OnEscape::Kill, TEMPLATE);
    let pids = [output.number(), output.number()];
    let first = run.adopt_fork(2, 1, pids[0]);
    let second = {
        let order = Adopt { worker: 3, on_escape: OnEscape::Kill, template: 1, pid: pids[1], own_leaf: true };
        until("it is the guardian's child", || status(pids[1], "PPid") == status(template.pid, "PPid"));
        run.order(&Order::Adopt(order), &[]);
        run.answer(3).unwrap()
    };
    assert_eq!(fs::read_to_string(leaf(&run, 3).join("cgroup.procs")).unwrap().trim(), pids[1].to_string());
    run.end(&template);
    assert!(leaf(&run, 1).exists() && lives(&first));
    run.end(&second);
    assert!(!leaf(&run, 3).exists() && lives(&first));
    run.end(&first);
    assert!(!leaf(&run, 1).exists());
}
