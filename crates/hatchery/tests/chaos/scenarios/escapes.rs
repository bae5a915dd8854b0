//! What may outlive a worker, and what cannot be ended by whoever started it.

use rustix::process::Signal;

use crate::Outcome;
use crate::case::Tier;
use crate::cgroup::Version1;
use crate::processes::{Held, Process, eventually};
use crate::rig::Rig;
use crate::subject::Subject;

/// What was let live on is nobody's but the harness's to end: neither its supervisor's death nor a later start does.
pub(crate) fn adopted(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.launch()?;
    subject.tell("adopt")?;
    subject.tell("start")?;
    let workers = subject.workers()?;
    let daemons = daemons(rig, &workers)?;
    Held::hold(workers[0]).ok_or("the worker is gone")?.send(Signal::KILL)?;
    subject.tell("told Escaped")?;
    let adopted = daemons.into_iter().find(|it| is_released(it.pid)).ok_or("nobody was let go")?;
    subject.tell("call")?;
    subject.kill()?;
    rig.nobody_but(&[adopted.pid])?;
    let mut next = rig.launch()?;
    next.tell("start")?;
    next.kill()?;
    rig.nobody_but(&[adopted.pid])?;
    if adopted.is_dead() {
        return Err("what was let live on was ended".to_owned());
    }
    adopted.send(Signal::KILL)?;
    rig.nobody()
}

/// What is only reported outlives its worker, and not the run.
pub(crate) fn reported(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.launch()?;
    subject.tell("report")?;
    subject.tell("start")?;
    let workers = subject.workers()?;
    let daemons = daemons(rig, &workers)?;
    Held::hold(workers[0]).ok_or("the worker is gone")?.send(Signal::KILL)?;
    subject.tell("told Escaped")?;
    subject.tell("call")?;
    if daemons.iter().any(Held::is_dead) {
        return Err("a daemon ended with its worker".to_owned());
    }
    subject.kill()?;
    rig.nobody()
}

fn daemons(rig: &Rig, workers: &[i32]) -> Outcome<Vec<Held>> {
    let is_daemon = |it: &Process| it.name.starts_with("python") && !workers.contains(&it.pid);
    let all = || rig.others(&[]).into_iter().filter(is_daemon).filter_map(|it| Held::hold(it.pid));
    eventually("the daemons are there", || all().count() >= workers.len())?;
    Ok(all().collect())
}

/// Whether its mark is that of what lives on: the last of all numbers.
fn is_released(pid: i32) -> bool {
    const LAST: u64 = (1 << 22) - 1;
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let soft =
        limits.lines().find_map(|line| line.strip_prefix("Max file locks")?.split_whitespace().next()?.parse().ok());
    soft.is_some_and(|soft: u64| soft & LAST == LAST)
}

/// A worker's child has become root, and its supervisor is nobody. With no cgroup to kill there is no power over it: it is said so
/// while the supervisor lives, and by the next start. Root's supervisor ends it like any other.
pub(crate) fn privileged(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    let root = roots(rig).pop().ok_or("the child of root is not there")?;
    if rig.case.tier != Tier::Nobody {
        subject.kill()?;
        return rig.nobody();
    }
    let worker = subject.workers()?[0];
    Held::hold(worker).ok_or("the worker is gone")?.send(Signal::KILL)?;
    let said = subject.tell("told Unkillable")?;
    if subject.workers()? != [worker] {
        return Err("another has the seat of one that is not gone".to_owned());
    }
    subject.kill()?;
    rig.nobody_but(&[root.pid])?;
    let mut next = rig.launch()?;
    next.tell("start")?;
    let swept = next.tell("told Swept")?;
    if !swept.contains(&root.pid.to_string()) {
        return Err(format!("the sweep does not name {}: {swept}", root.pid));
    }
    next.kill()?;
    // It had one of its own.
    let roots = roots(rig);
    rig.nobody_but(&roots.iter().map(|root| root.pid).collect::<Vec<_>>())?;
    roots.iter().try_for_each(|root| root.send(Signal::KILL))?;
    rig.nobody()?;
    Ok(said)
}

/// The freezer of cgroup v1 holds a worker, as a dead disk would: no signal ends it. A stop says so, and is over when it is let go; the
/// guardian of a dead supervisor waits for it as well.
pub(crate) fn frozen(rig: &mut Rig) -> Outcome<String> {
    let Some(group) = Version1::make("freezer") else { return Ok("not checked: no freezer".to_owned()) };
    let put = |file: &str, text: &str| std::fs::write(group.folder.join(file), text).map_err(|error| error.to_string());
    let freeze = |subject: &mut Subject| {
        let worker = Held::hold(subject.workers()?[0]).ok_or("the worker is gone")?;
        put("cgroup.procs", &worker.pid.to_string())?;
        put("freezer.state", "FROZEN")?;
        let state = || std::fs::read_to_string(group.folder.join("freezer.state")).unwrap_or_default();
        eventually("it is frozen", || state().trim() == "FROZEN").map(|()| worker)
    };
    let mut subject = rig.start()?;
    let worker = freeze(&mut subject)?;
    subject.say("stop 100")?;
    subject.hear("stopping")?;
    subject.hear("unkillable")?;
    put("freezer.state", "THAWED")?;
    subject.hear("done")?;
    if !worker.is_dead() {
        return Err("the stop is over, and a worker lives".to_owned());
    }
    subject.tell("start")?;
    let worker = freeze(&mut subject)?;
    let guardian = subject.guardian()?;
    subject.kill()?;
    eventually("the supervisor is dead", || subject.held.is_dead())?;
    if worker.is_dead() || guardian.is_dead() {
        return Err("the guardian has left a worker that lives".to_owned());
    }
    put("freezer.state", "THAWED")?;
    rig.nobody()?;
    group.remove()?;
    Ok(String::new())
}

/// No canary is among the others.
fn roots(rig: &Rig) -> Vec<Held> {
    let others = rig.others(&[]).into_iter();
    others.filter(|process| process.name == "sleep").filter_map(|process| Held::hold(process.pid)).collect()
}
