//! Deaths at moments that chance would rarely hit: those at which something exists that nobody knows of yet, or is known that does
//! not exist yet.

use std::path::Path;

use rustix::process::Signal;

use super::guardians::kill_all;
use crate::brake::Brake;
use crate::case::Tier;
use crate::processes::{Held, eventually};
use crate::rig::Rig;
use crate::subject::Subject;
use crate::{Outcome, cgroup};

/// Who dies with the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    Nobody,
    Guardian,
    Keeper,
    Both,
}

const COMPANIES: [With; 4] = [With::Both, With::Guardian, With::Keeper, With::Nobody];

/// Between `clone` and `execve`: a worker is held before one of its system calls after the other, from its birth to the start of
/// its program, which never runs.
pub(crate) fn at_birth(rig: &mut Rig) -> Outcome<String> {
    let stride = if rig.case.full { 1 } else { 6 };
    for calls in (0..).step_by(stride) {
        for with in companies(rig, calls / stride) {
            let place = |error| format!("before call {calls}, dead with the supervisor: {with:?}: {error}");
            if !held_at(rig, &format!("child {calls}"), with).map_err(place)? {
                return Ok(format!("{calls} system calls"));
            }
        }
    }
    unreachable!("a child makes no end of system calls")
}

/// The next worker has its folder, and does not exist.
pub(crate) fn before_birth(rig: &mut Rig) -> Outcome<String> {
    for with in COMPANIES {
        if !held_at(rig, "self clone3,clone 1", with).map_err(|error| format!("with {with:?}: {error}"))? {
            return Err("no worker was born".to_owned());
        }
    }
    Ok(String::new())
}

/// All of them, or each in its turn.
fn companies(rig: &Rig, round: usize) -> Vec<With> {
    if rig.case.full { COMPANIES.to_vec() } else { vec![COMPANIES[round % COMPANIES.len()]] }
}

/// A guardian that is about to start a worker is held at that moment, or the worker is; then the supervisor dies. `false`: the
/// moment did not come.
fn held_at(rig: &mut Rig, moment: &str, with: With) -> Outcome<bool> {
    let (mute, ran) = (rig.dir.join("mute"), rig.dir.join("ran"));
    let mut subject = rig.begin()?;
    let (keeper, guardian) = (subject.keeper()?, subject.guardian()?);
    let worker = subject.workers()?.first().copied().and_then(Held::hold).ok_or("no worker")?;
    let brake = Brake::on(&guardian, moment)?;
    std::fs::write(&mute, "").map_err(|error| error.to_string())?;
    worker.send(Signal::KILL)?;
    let came = brake.holds()?;
    match with {
        With::Nobody => subject.kill()?,
        With::Guardian => kill_all(&[&guardian, &subject.held])?,
        With::Keeper => kill_all(&[&keeper, &subject.held])?,
        With::Both => kill_all(&[&guardian, &keeper, &subject.held])?,
    }
    // Only where no keeper lives must the one that is held do something itself, or let its guardian do it.
    if matches!(with, With::Nobody | With::Guardian) {
        rig.nobody_but(&[brake.pid()])?;
    }
    brake.release()?;
    rig.nobody()?;
    std::fs::remove_file(&mute).map_err(|error| error.to_string())?;
    if came && ran.exists() {
        return Err("the worker's program has run".to_owned());
    }
    let _of_one_that_was_past = std::fs::remove_file(&ran);
    if matches!(with, With::Nobody | With::Guardian) {
        no_cgroup_left(rig)?;
    }
    Ok(came)
}

/// Those of an earlier case are gone too: each start sweeps.
fn no_cgroup_left(rig: &Rig) -> Outcome {
    let left = || cgroup::folders_below(&rig.cgroup());
    eventually("no cgroup is left", || left().is_empty()).map_err(|error| format!("{error}: {:?}", left()))
}

/// There is a record, and no process; or a keeper that does not know yet whom it serves. The next start finds nothing amiss, and
/// leaves no record but its own.
pub(crate) fn before_the_keeper(rig: &mut Rig) -> Outcome<String> {
    let moments = ["self clone,clone3,vfork 1".to_owned(), "child 0".to_owned()];
    let (stride, most) = if rig.case.full { (1, 120) } else { (30, 90) };
    let beginnings = (1..most).step_by(stride).map(|calls| format!("child {calls} through"));
    for moment in moments.into_iter().chain(beginnings) {
        let mut doomed = rig.launch()?;
        let brake = Brake::on(&doomed.held, &moment)?;
        doomed.say("start")?;
        let came = brake.holds()?;
        if records(rig) == 0 {
            return Err(format!("{moment}: there is a process before there is a record"));
        }
        doomed.kill()?;
        brake.release()?;
        rig.nobody().map_err(|error| format!("{moment}: {error}"))?;
        if !came {
            return Err(format!("{moment}: it never came"));
        }
    }
    let next = rig.start()?;
    if records(rig) != 1 {
        return Err(format!("{} records, and one run", records(rig)));
    }
    next.kill()?;
    rig.nobody()
}

fn records(rig: &Rig) -> usize {
    std::fs::read_dir(rig.dir.join("data/runs"))
        .map_or(0, |entries| entries.flatten().filter(|entry| !is_hidden(&entry.path())).count())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// A supervisor that clears up after a dead one dies of it, half way. The third does it all.
pub(crate) fn while_sweeping(rig: &mut Rig) -> Outcome<String> {
    let signal = (rig.case.tier != Tier::Cgroup).then_some("self pidfd_send_signal 1");
    let removals = ["self unlinkat,unlink,rmdir 1", "self unlinkat,unlink,rmdir 2"];
    for moment in signal.into_iter().chain(removals) {
        swept_in_two(rig, moment).map_err(|error| format!("{moment}: {error}"))?;
    }
    Ok(String::new())
}

fn swept_in_two(rig: &mut Rig, moment: &str) -> Outcome {
    let subject = rig.begin()?;
    let before = rig.hold_others(&[]);
    kill_all(&[&subject.guardian()?, &subject.keeper()?, &subject.held])?;
    let mut second = rig.launch()?;
    let brake = Brake::on(&second.held, moment)?;
    second.say("start")?;
    brake.holds()?;
    second.kill()?;
    brake.release()?;
    let mut third: Subject = rig.launch()?;
    third.tell("start")?;
    if let Some(survivor) = before.iter().find(|held| !held.is_dead()) {
        return Err(format!("{} of the first run is alive though the third is ready", survivor.pid));
    }
    third.kill()?;
    rig.nobody()?;
    Ok(())
}
