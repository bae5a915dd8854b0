//! What happens to the template that workers are forked from, and to those who watch over a fork.

use rustix::process::Signal;

use super::guardians::kill_all;
use crate::Outcome;
use crate::brake::Brake;
use crate::processes::{Held, eventually};
use crate::rig::Rig;

/// It is nobody's failure domain.
pub(crate) fn template_killed(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    let template = subject.template()?;
    let workers: Vec<Held> = subject.workers()?.into_iter().filter_map(Held::hold).collect();
    template.send(Signal::KILL)?;
    eventually("the template is dead", || template.is_dead())?;
    subject.tell("call")?;
    if let Some(dead) = workers.iter().find(|held| held.is_dead()) {
        return Err(format!("{} died with its template", dead.pid));
    }
    workers.first().ok_or("no worker")?.send(Signal::KILL)?;
    subject.tell("call")?;
    eventually("there are as many workers as before", || {
        subject.workers().is_ok_and(|now| now.len() == workers.len() && now.iter().all(|pid| *pid != workers[0].pid))
    })?;
    subject.kill()?;
    rig.nobody()
}

/// Who dies while a fork is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dies {
    Supervisor,
    SupervisorAndGuardian,
    AllThree,
    Template,
    Guardian,
}

/// A fork is held before one of its system calls after the other, and so is the process between it and the template.
pub(crate) fn killed_at_a_fork(rig: &mut Rig) -> Outcome<String> {
    let all = [Dies::Supervisor, Dies::SupervisorAndGuardian, Dies::AllThree, Dies::Template, Dies::Guardian];
    let (stride, most) = if rig.case.full { (1, 60) } else { (7, 42) };
    let between = [0, 1, 2, 4].into_iter().map(|calls| format!("child {calls}"));
    let forks = (0..most).step_by(stride).map(|calls| format!("grandchild {calls}"));
    let mut came = 0;
    for (round, moment) in between.chain(forks).enumerate() {
        let dying = if rig.case.full { all.to_vec() } else { vec![all[round % all.len()]] };
        for dies in dying {
            let place = |error| format!("at {moment}, dies: {dies:?}: {error}");
            came += usize::from(held_at(rig, &moment, dies).map_err(place)?);
        }
    }
    Ok(format!("{came} moments"))
}

fn held_at(rig: &mut Rig, moment: &str, dies: Dies) -> Outcome<bool> {
    let mut subject = rig.begin()?;
    let (keeper, guardian, template) = (subject.keeper()?, subject.guardian()?, subject.template()?);
    let worker = subject.workers()?.first().copied().and_then(Held::hold).ok_or("no worker")?;
    let brake = Brake::on(&template, moment)?;
    worker.send(Signal::KILL)?;
    let came = brake.holds()?;
    match dies {
        Dies::Supervisor => subject.kill()?,
        Dies::SupervisorAndGuardian => kill_all(&[&guardian, &subject.held])?,
        Dies::AllThree => kill_all(&[&guardian, &keeper, &subject.held])?,
        Dies::Template => template.send(Signal::KILL)?,
        Dies::Guardian => guardian.send(Signal::KILL)?,
    }
    if matches!(dies, Dies::Supervisor | Dies::SupervisorAndGuardian) {
        rig.nobody_but(&[brake.pid()])?;
    }
    brake.release()?;
    if matches!(dies, Dies::Template | Dies::Guardian) {
        // It serves on, with a worker of whatever birth.
        subject.tell("call")?;
        subject.kill()?;
    }
    if dies == Dies::AllThree {
        // Daemons without cgroups are the next start's to find.
        subject = rig.launch()?;
        subject.tell("start")?;
        subject.kill()?;
    }
    rig.nobody()?;
    Ok(came)
}
