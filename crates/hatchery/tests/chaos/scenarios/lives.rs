//! Starts, ends and deaths of workers under a supervisor that lives.

use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::processes::{Held, Process, eventually, zombies};
use crate::rig::Rig;
use crate::subject::{Subject, is_watcher};
use crate::{Outcome, cgroup, shape};

/// Threads that started a process, and those of the runtime that did it for them, end; no worker may hang on their lives.
pub(crate) fn threads(rig: &mut Rig) -> Outcome<String> {
    let count = rig.case.workers;
    let mut subject = rig.launch()?;
    subject.tell(&format!("threads {count}"))?;
    let expected = count * shape::processes(rig.case.shape);
    let is_worker = |process: &Process| !is_watcher(process);
    let workers = || rig.others(&[subject.held.pid]).into_iter().filter(is_worker);
    eventually(&format!("{expected} processes are there"), || workers().count() >= expected)?;
    let held: Vec<Held> = workers().filter_map(|process| Held::hold(process.pid)).collect();
    eventually("the runtime's threads that started them have ended", || runtime_threads(subject.held.pid) <= 2)?;
    subject.tell("call")?;
    if let Some(dead) = held.iter().find(|held| held.is_dead()) {
        return Err(format!("{} died with the thread that started it", dead.pid));
    }
    subject.kill()?;
    rig.nobody()
}

/// By their name: the library may have threads of its own.
fn runtime_threads(pid: i32) -> usize {
    let tasks = entries(Path::new(&format!("/proc/{pid}/task")));
    let names = tasks.iter().filter_map(|task| std::fs::read_to_string(task.join("comm")).ok());
    names.filter(|name| name.starts_with("tokio-")).count()
}

pub(crate) fn cycles(rig: &mut Rig) -> Outcome<String> {
    let (warm_up, rounds) = if rig.case.full { (WARM_UP, 40) } else { (2, 1) };
    go_round(rig, warm_up, rounds)
}

/// How many cycles until its allocator has all that it will ever want.
const WARM_UP: usize = 100;

/// Of workers: so many are started and stopped in each cycle.
pub(crate) fn ten_thousand_starts(rig: &mut Rig) -> Outcome<String> {
    const CYCLES_IN_A_ROUND: usize = 5;
    go_round(rig, WARM_UP, 10_000 / (CYCLES_IN_A_ROUND * rig.case.workers))
}

fn go_round(rig: &mut Rig, warm_up: usize, rounds: usize) -> Outcome<String> {
    let mut subject = rig.launch()?;
    // What the first use opens for good is no leak.
    for _ in 0..warm_up / 2 {
        subject.tell("cycle 2")?;
    }
    let before = Baseline::of(rig, &subject);
    for _ in 0..rounds {
        subject.tell("cycle 5")?;
    }
    eventually(&format!("as it was before: {before:?}"), || Baseline::of(rig, &subject).is_within(&before))
        .map_err(|error| format!("{error}; after {rounds} times five cycles: {:?}", Baseline::of(rig, &subject)))?;
    subject.kill()?;
    rig.nobody()?;
    Ok(format!("{} cycles of {} workers", rounds * 5, rig.case.workers))
}

/// What must not grow.
#[derive(Debug)]
struct Baseline {
    descriptors: usize,
    processes: usize,
    zombies: usize,
    records: usize,
    cgroups: usize,
    /// Of the supervisor, resident.
    memory: usize,
}

/// An allocator keeps what it will need again: a leak is more than that, however many the cycles.
const SLACK: usize = 4 << 20;

impl Baseline {
    fn of(rig: &Rig, subject: &Subject) -> Baseline {
        let pid = subject.held.pid;
        Baseline {
            descriptors: entries(Path::new(&format!("/proc/{pid}/fd"))).len(),
            processes: rig.others(&[pid]).len(),
            zombies: zombies().len(),
            records: entries(&rig.dir.join("data/runs")).len(),
            cgroups: cgroup::folders_below(&rig.cgroup()).len(),
            memory: resident(pid),
        }
    }

    fn is_within(&self, other: &Baseline) -> bool {
        self.descriptors <= other.descriptors
            && self.processes <= other.processes
            && self.zombies <= other.zombies
            && self.records <= other.records
            && self.cgroups <= other.cgroups
            && self.memory <= other.memory + SLACK
    }
}

/// In bytes.
fn resident(pid: i32) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: Option<usize> = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(usize::MAX >> 12) * rustix::param::page_size()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// With every daemon of a shape that has one: of the dead worker's processes none is left, of the others all.
pub(crate) fn worker_killed(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    // A call for each: whoever dies loses the one that it has begun.
    subject.tell(&format!("hang {}", rig.case.workers))?;
    subject.tell(&format!("begun {}", rig.case.workers))?;
    let first = subject.workers()?.first().copied();
    let everybody = rig.hold_others(&[subject.held.pid]);
    let victim = everybody.iter().find(|held| Some(held.pid) == first).ok_or("there is no worker")?;
    victim.send(Signal::KILL)?;
    subject.tell("lost")?;
    subject.tell("call")?;
    let each = shape::processes(rig.case.shape);
    let dead = || everybody.iter().filter(|held| held.is_dead()).count();
    eventually(&format!("the worker and all that was its own is dead, {each} processes"), || dead() >= each)?;
    if dead() > each {
        return Err(format!("{} died with one worker; its own are {each}", dead()));
    }
    subject.kill()?;
    rig.nobody()
}

/// When the stop says that it is over, it is: no time to wait then.
pub(crate) fn stopped(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    subject.say("stop 300")?;
    subject.hear("stopping")?;
    subject.hear("done")?;
    let left: Vec<Process> = rig.others(&[subject.held.pid]).into_iter().filter(|it| !is_watcher(it)).collect();
    if !left.is_empty() {
        let shown: Vec<String> = left.iter().take(8).map(Process::describe).collect();
        return Err(format!("{} left when the stop was over:\n  {}", left.len(), shown.join("\n  ")));
    }
    eventually("no zombie is left", || zombies().is_empty())?;
    subject.kill()?;
    rig.nobody()?;
    Ok(String::new())
}

pub(crate) fn dropped(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    subject.tell("drop")?;
    rig.nobody_but(&[subject.held.pid])
}
