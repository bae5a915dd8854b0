//! What happens to the supervisor itself.

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Outcome;
use crate::processes::{Process, eventually};
use crate::rig::Rig;
use crate::subject::is_watcher;

pub(crate) fn killed(rig: &mut Rig) -> Outcome<String> {
    let subject = rig.start()?;
    subject.kill()?;
    rig.nobody()
}

pub(crate) fn killed_in_flight(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    subject.tell("hang 16")?;
    subject.kill()?;
    rig.nobody()
}

/// The pause before each kill walks over the time that a start takes; where exactly it hits is chance, what must hold is not.
pub(crate) fn killed_in_a_storm(rig: &mut Rig) -> Outcome<String> {
    let rounds: u64 = if rig.case.full { 500 } else { 12 };
    for round in 0..rounds {
        let mut subject = rig.launch()?;
        subject.tell("storm")?;
        std::thread::sleep(std::time::Duration::from_micros(round * 7919 % 100_003));
        subject.kill()?;
        rig.nobody().map_err(|error| format!("in round {round}: {error}"))?;
    }
    Ok(format!("{rounds} rounds"))
}

pub(crate) fn killed_while_stopping(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    subject.tell("hang 16")?;
    subject.say("stop 600000")?;
    subject.hear("stopping")?;
    subject.kill()?;
    rig.nobody()
}

pub(crate) fn execs(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    subject.say("exec")?;
    subject.hear("idle")?;
    let said = rig.nobody_but(&[subject.held.pid])?;
    if subject.held.is_dead() {
        return Err("the program that the supervisor became is dead".to_owned());
    }
    Ok(said)
}

/// The supervisor itself is not asked to survive SIGINT: it has no handler. It is kept out of it by being stopped meanwhile.
pub(crate) fn group_signalled(rig: &mut Rig) -> Outcome<String> {
    let subject = rig.start()?;
    let before = rig.hold_others(&[subject.held.pid]);
    let group = Pid::from_raw(subject.held.pid).ok_or("no group")?;
    subject.held.stop()?;
    // While it is stopped, only SIGKILL and SIGCONT do anything to the supervisor; to others they would.
    for signal in [Signal::HUP, Signal::INT, Signal::TSTP] {
        signal_group(group, signal)?;
    }
    // A signal that ends or stops has done so when the sender is back, but for the processes being put on a CPU: so they are looked at
    // until each has been seen asleep, alive, and as it was.
    for held in &before {
        let calm = |it: Process| it.state == 'S' || is_watcher(&it);
        eventually(&format!("{} sleeps", held.pid), || held.is_dead() || Process::look(held.pid).is_some_and(calm))?;
        if held.is_dead() {
            return Err(format!("{} was ended by a signal to the supervisor's group", held.pid));
        }
    }
    signal_group(group, Signal::KILL)?;
    rig.nobody()
}

#[expect(clippy::disallowed_methods, reason = "what a terminal does: the group's leader is our un-reaped child")]
fn signal_group(group: Pid, signal: Signal) -> Outcome {
    kill_process_group(group, signal).map_err(|error| format!("send {signal:?} to the group: {error}"))
}
