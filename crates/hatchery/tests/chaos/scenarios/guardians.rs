//! What happens to keeper and guardian, alone and together with the supervisor.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::Outcome;
use crate::case::Tier;
use crate::processes::{Held, Process, eventually};
use crate::rig::Rig;
use crate::subject::Subject;

pub(crate) fn guardian_killed(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    lose(rig, &mut subject, Subject::guardian)?;
    end(rig, &subject)
}

pub(crate) fn keeper_killed(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    lose(rig, &mut subject, Subject::keeper)?;
    end(rig, &subject)
}

pub(crate) fn guardian_too(rig: &mut Rig) -> Outcome<String> {
    let subject = rig.start()?;
    kill_all(&[&subject.guardian()?, &subject.held])?;
    rig.nobody()
}

pub(crate) fn keeper_too(rig: &mut Rig) -> Outcome<String> {
    let subject = rig.start()?;
    kill_all(&[&subject.keeper()?, &subject.held])?;
    rig.nobody()
}

/// Without cgroups daemons live until the next start, which has to find them by what is on disk. In a PID namespace nobody
/// lives.
pub(crate) fn all_three(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    let workers: Vec<Held> = subject.workers()?.into_iter().filter_map(Held::hold).collect();
    let before = rig.hold_others(&[]);
    kill_all(&[&subject.guardian()?, &subject.keeper()?, &subject.held])?;
    all_dead("every worker", &workers)?;
    if rig.case.tier == Tier::Pidns {
        return rig.nobody();
    }
    let left = before.iter().filter(|held| !held.is_dead()).count();
    let mut next = rig.launch()?;
    next.tell("start")?;
    if let Some(survivor) = before.iter().find(|held| !held.is_dead()) {
        return Err(format!("{} of the dead run is alive though the next one is ready", survivor.pid));
    }
    end(rig, &next)?;
    Ok(format!("{left} left to the next start"))
}

pub(crate) fn ten_times(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    // The first recovery may open what stays open; from then on nothing may grow.
    lose(rig, &mut subject, Subject::guardian)?;
    let descriptors = open_descriptors(subject.held.pid);
    for round in 2..=10 {
        lose(rig, &mut subject, Subject::guardian).map_err(|error| format!("in round {round}: {error}"))?;
    }
    let what = format!("no more than the {descriptors} descriptors of the first recovery");
    eventually(&what, || open_descriptors(subject.held.pid) <= descriptors)?;
    end(rig, &subject)
}

pub(crate) fn guardian_stopped(rig: &mut Rig) -> Outcome<String> {
    let subject = rig.start()?;
    subject.guardian()?.stop()?;
    end(rig, &subject)
}

/// A keeper that is stopped cannot end by itself; all else does, and so does the keeper when it goes on.
pub(crate) fn keeper_stopped(rig: &mut Rig) -> Outcome<String> {
    let subject = rig.start()?;
    let keeper = subject.keeper()?;
    keeper.stop()?;
    subject.kill()?;
    let said = rig.nobody_but(&[keeper.pid])?;
    if !keeper.is_dead() {
        keeper.send(Signal::CONT)?;
    }
    rig.nobody()?;
    Ok(said)
}

/// Nobody can act before one of them goes on. Then all is done.
pub(crate) fn both_stopped(rig: &mut Rig) -> Outcome<String> {
    let subject = rig.start()?;
    let (keeper, guardian) = (subject.keeper()?, subject.guardian()?);
    keeper.stop()?;
    guardian.stop()?;
    subject.kill()?;
    eventually("the supervisor is dead", || subject.held.is_dead())?;
    keeper.send(Signal::CONT)?;
    rig.nobody()
}

/// Kills one of the watchers: all that was there but the supervisor dies, a new pair comes, and calls are answered.
fn lose(rig: &Rig, subject: &mut Subject, which: fn(&Subject) -> Outcome<Held>) -> Outcome {
    let bystanders: Vec<i32> = subject.bystanders().into_iter().chain([subject.held.pid]).collect();
    let before = rig.hold_others(&bystanders);
    which(subject)?.send(Signal::KILL)?;
    all_dead("everybody who was there", &before)?;
    subject.tell("call")?;
    if subject.held.is_dead() {
        return Err("the supervisor died of it".to_owned());
    }
    let old: BTreeSet<i32> = before.iter().map(|held| held.pid).collect();
    for fresh in [subject.keeper()?, subject.guardian()?] {
        if old.contains(&fresh.pid) {
            return Err(format!("{} was not replaced", fresh.pid));
        }
    }
    let guardian = subject.guardian()?.pid;
    let is_unguarded = |worker: &&i32| Process::look(**worker).is_some_and(|worker| worker.parent != guardian);
    match subject.workers()?.iter().find(is_unguarded) {
        Some(worker) => Err(format!("{worker} is not the new guardian's child")),
        None => Ok(()),
    }
}

fn end(rig: &Rig, subject: &Subject) -> Outcome<String> {
    subject.kill()?;
    rig.nobody()
}

/// In the same instant, as far as one processor can: each is stopped by the first signal already. They have ended when it returns:
/// who starts next would take one that is still about to end for one that lives.
pub(super) fn kill_all(victims: &[&Held]) -> Outcome {
    victims.iter().try_for_each(|victim| victim.stop())?;
    victims.iter().try_for_each(|victim| victim.send(Signal::KILL))?;
    eventually("who was killed has ended", || victims.iter().all(|victim| victim.is_dead()))
}

fn all_dead(what: &str, held: &[Held]) -> Outcome {
    eventually(&format!("{what} is dead"), || held.iter().all(Held::is_dead))
}

fn open_descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
