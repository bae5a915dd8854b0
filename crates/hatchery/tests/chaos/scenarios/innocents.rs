//! Those that have nothing to do with it.

use rustix::process::Signal;

use crate::Outcome;
use crate::processes::{Held, eventually};
use crate::rig::Rig;

/// The number of a dead worker can be had again and again: others may take it first.
const ATTEMPTS: usize = 50;

pub(crate) fn pid_reused(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    let number = *subject.workers()?.first().ok_or("no worker")?;
    Held::hold(number).ok_or("the worker is gone")?.send(Signal::KILL)?;
    subject.tell("call")?;
    eventually("the number is free", || !std::path::Path::new(&format!("/proc/{number}")).exists())?;
    take_over(rig, number)?;
    subject.say("stop 300")?;
    subject.hear("stopping")?;
    subject.hear("done")?;
    rig.canaries.are_intact()?;
    subject.tell("start")?;
    subject.tell("drop")?;
    rig.canaries.are_intact()?;
    subject.kill()?;
    rig.nobody()
}

/// Starts canaries until one has the number.
fn take_over(rig: &mut Rig, number: i32) -> Outcome {
    for _ in 0..ATTEMPTS {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string())
            .map_err(|error| format!("choose the next pid: {error}"))?;
        if rig.canaries.add("with a dead worker's pid")? == number {
            return Ok(());
        }
    }
    Err(format!("{number} could not be had in {ATTEMPTS} attempts"))
}

pub(crate) fn neighbours(rig: &mut Rig) -> Outcome<String> {
    let mut quiet = rig.start()?;
    let all_of_quiet = rig.hold_others(&[]);
    let doomed = rig.start()?;
    doomed.kill()?;
    let pids: Vec<i32> = all_of_quiet.iter().map(|held| held.pid).collect();
    let said = rig.nobody_but(&pids)?;
    // A third one starts beside the neighbour, and sweeps what the dead one has left: nothing of the neighbour's.
    let next = rig.start()?;
    next.kill()?;
    rig.nobody_but(&pids)?;
    quiet.tell("call")?;
    match all_of_quiet.iter().find(|held| held.is_dead()) {
        Some(dead) => Err(format!("{} of the neighbour is dead", dead.pid)),
        None => Ok(said),
    }
}
