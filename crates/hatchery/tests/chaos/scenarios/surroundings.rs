//! What the machine does to a supervisor and its guardians while they run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::guardians::kill_all;
use crate::case::Tier;
use crate::cgroup::Version1;
use crate::processes::{Held, eventually, living};
use crate::rig::Rig;
use crate::subject::{NOBODY, Subject};
use crate::{Outcome, cgroup};

/// The supervisor is stopped again and again while workers come and go: nobody waits for anybody for ever.
pub(crate) fn supervisor_stopped(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    for _ in 0..if rig.case.full { 20 } else { 3 } {
        let workers: Vec<Held> = subject.workers()?.into_iter().filter_map(Held::hold).collect();
        subject.held.stop()?;
        // Some may have been on their way out since the last round.
        workers.iter().filter(|worker| !worker.is_dead()).try_for_each(|worker| worker.send(Signal::KILL))?;
        eventually("its workers are dead", || workers.iter().all(Held::is_dead))?;
        subject.held.send(Signal::CONT)?;
        subject.tell("call")?;
    }
    subject.tell("storm")?;
    for _ in 0..if rig.case.full { 200 } else { 20 } {
        subject.held.stop()?;
        subject.held.send(Signal::CONT)?;
    }
    subject.held.stop()?;
    subject.kill()?;
    rig.nobody()
}

/// With a hundred numbers to go round, those of dead workers are others' at once.
pub(crate) fn churned(rig: &mut Rig) -> Outcome<String> {
    const MOST_CANARIES: usize = 24;
    if let Err(error) = bound_processes(400) {
        return Ok(format!("not checked: {error}"));
    }
    let end = Instant::now() + Duration::from_secs(60);
    let mut subject = rig.launch()?;
    let mut cycles = 0;
    while cycles < 6 || (rig.case.full && Instant::now() < end) {
        subject.tell("cycle 2")?;
        cycles += 2;
        // The kernel hands out 300 to 399 over and over.
        run("sh", &["-c", "for n in $(seq 60); do /bin/true; done"])?;
        if rig.canaries.pids().len() < MOST_CANARIES {
            rig.canaries.add("with a number that was somebody's")?;
        }
        rig.canaries.are_intact()?;
    }
    let highest = rig.canaries.pids().into_iter().max();
    if highest.is_none_or(|pid| pid >= 400) {
        return Err(format!("the numbers did not go round: {highest:?}"));
    }
    subject.kill()?;
    rig.nobody()?;
    Ok(format!("{} starts", cycles * rig.case.workers))
}

/// A worker and its offspring fork as fast as they can when the supervisor dies. The namespace has so many numbers and no more.
pub(crate) fn bombed(rig: &mut Rig) -> Outcome<String> {
    if let Err(error) = bound_processes(700) {
        return Ok(format!("not checked: {error}"));
    }
    let mut subject = rig.begin()?;
    subject.say("hang 1")?;
    eventually("the bomb has gone off", || living().len() > 200)?;
    subject.kill()?;
    rig.nobody()
}

/// Both levels of hatcheries die in the same instant: the supervisors alone, or with all their guardians.
pub(crate) fn both_levels(rig: &mut Rig) -> Outcome<String> {
    for with_guardians in [false, true] {
        let subject = rig.begin()?;
        let inner: Vec<Held> = inner_supervisors(rig, &subject);
        if inner.len() != rig.case.workers {
            return Err(format!("{} inner supervisors", inner.len()));
        }
        let mut victims: Vec<Held> = inner.into_iter().chain(Held::hold(subject.held.pid)).collect();
        if with_guardians {
            let all = living();
            let is_guardian = |name: &str| name == "hatchery-guard";
            victims.extend(all.iter().filter(|it| is_guardian(&it.name)).filter_map(|it| Held::hold(it.pid)));
        }
        kill_all(&victims.iter().collect::<Vec<_>>())?;
        rig.nobody().map_err(|error| format!("with guardians: {with_guardians}: {error}"))?;
    }
    Ok(String::new())
}

fn inner_supervisors(rig: &Rig, outer: &Subject) -> Vec<Held> {
    let is_inner = |pid: i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("\0supervisor\0plain\0")
    };
    let others = rig.others(&[outer.held.pid]);
    others.iter().filter(|process| is_inner(process.pid)).filter_map(|process| Held::hold(process.pid)).collect()
}

/// The next one starts while the guardians of a dead one still clear away, or cannot. All is cleared away when it is ready.
pub(crate) fn started_meanwhile(rig: &mut Rig) -> Outcome<String> {
    for are_stopped in [false, true] {
        let subject = rig.begin()?;
        let before = rig.hold_others(&[]);
        if are_stopped {
            subject.keeper()?.stop()?;
            subject.guardian()?.stop()?;
        }
        subject.kill()?;
        let mut next = rig.launch()?;
        next.tell("start")?;
        if let Some(survivor) = before.iter().find(|held| !held.is_dead()) {
            return Err(format!(
                "guardians stopped: {are_stopped}: {} is alive though the next is ready",
                survivor.pid
            ));
        }
        next.kill()?;
        rig.nobody()?;
    }
    Ok(String::new())
}

/// The supervisor lives where everything was killed before: by a mistake of some kernels its workers are killed at their birth.
pub(crate) fn in_a_killed_cgroup(rig: &mut Rig) -> Outcome<String> {
    if rig.case.tier != Tier::Cgroup {
        return Ok("not checked: no cgroups".to_owned());
    }
    let folder = rig.cgroup().join("killed");
    std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
    for _ in 0..3 {
        write(&folder.join("cgroup.kill"), "1")?;
    }
    let mut subject = rig.launch()?;
    write(&folder.join("cgroup.procs"), &subject.held.pid.to_string())?;
    subject.tell("start")?;
    subject.tell("call")?;
    subject.kill()?;
    rig.nobody()
}

/// Somebody else kills a worker's cgroup. The next worker has another, and lives.
pub(crate) fn leaf_killed(rig: &mut Rig) -> Outcome<String> {
    let mut subject = rig.start()?;
    let mut leaves = Vec::new();
    for _ in 0..5 {
        let pid = *subject.workers()?.first().ok_or("no worker")?;
        let worker = Held::hold(pid).ok_or("the worker is gone")?;
        let Some(leaf) = cgroup_of(rig, pid) else { return Ok("not checked: no cgroups".to_owned()) };
        write(&leaf.join("cgroup.kill"), "1")?;
        eventually("the worker is dead", || worker.is_dead())?;
        subject.tell("call")?;
        if leaves.contains(&leaf) {
            return Err(format!("{} is used again", leaf.display()));
        }
        leaves.push(leaf);
    }
    subject.kill()?;
    rig.nobody()?;
    let left = || cgroup::folders_below(&rig.cgroup());
    eventually("no cgroup is left", || left().is_empty())?;
    Ok(String::new())
}

fn cgroup_of(rig: &Rig, pid: i32) -> Option<PathBuf> {
    let holds = |folder: &PathBuf| {
        let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        text.lines().any(|line| line == pid.to_string())
    };
    cgroup::folders_below(&rig.cgroup()).into_iter().find(holds)
}

const MOUNTS: &str = r#"$(awk '$3 == "cgroup2" { print $2 }' /proc/mounts)"#;

/// Control groups become read-only while workers run. Whoever lives ends as ever, and when they can be written again, workers start.
pub(crate) fn cgroups_read_only(rig: &mut Rig) -> Outcome<String> {
    if rig.case.tier != Tier::Cgroup {
        return Ok("not checked: no cgroups".to_owned());
    }
    let remount =
        |mode: &str| run("sh", &["-ec", &format!("for at in {MOUNTS}; do mount -o remount,bind,{mode} $at; done")]);
    let mut subject = rig.start()?;
    remount("ro")?;
    let worker = subject.workers()?.first().copied().and_then(Held::hold).ok_or("no worker")?;
    worker.send(Signal::KILL)?;
    eventually("the worker is dead", || worker.is_dead())?;
    remount("rw")?;
    subject.tell("call")?;
    remount("ro")?;
    subject.kill()?;
    let said = rig.nobody()?;
    remount("rw")?;
    Ok(said)
}

/// The file system of control groups is gone from where it was.
pub(crate) fn cgroups_gone(rig: &mut Rig) -> Outcome<String> {
    if rig.case.tier != Tier::Cgroup {
        return Ok("not checked: no cgroups".to_owned());
    }
    let mut subject = rig.start()?;
    run("sh", &["-ec", &format!("for at in {MOUNTS}; do umount -l $at; done")])?;
    let worker = subject.workers()?.first().copied().and_then(Held::hold).ok_or("no worker")?;
    worker.send(Signal::KILL)?;
    eventually("the worker is dead", || worker.is_dead())?;
    subject.tell("call")?;
    subject.kill()?;
    rig.nobody()
}

/// The guardian gets no descriptor, no memory or no process from the kernel. It starts nobody then, ends everybody when it must,
/// and is as before when it gets some again.
pub(crate) fn guardian_starved(rig: &mut Rig) -> Outcome<String> {
    // Root has as many processes as it likes.
    let hungers = HUNGERS.iter().filter(|hunger| !hunger.limit.starts_with("--nproc") || rig.case.tier == Tier::Nobody);
    for hunger in hungers {
        for is_fed in [true, false] {
            let how = |error| format!("{}, fed: {is_fed}: {error}", hunger.limit);
            starve(rig, hunger, is_fed).map_err(how)?;
        }
    }
    Ok(String::new())
}

struct Hunger {
    limit: &'static str,
    relief: &'static str,
    /// One word of what is said of it.
    word: &'static str,
}

const HUNGERS: [Hunger; 3] = [
    Hunger { limit: "--nproc=0:", relief: "--nproc=1000:", word: "clone" },
    // It needs no memory for a birth, but its worker's program does, and inherits the limit.
    Hunger { limit: "--as=4096:", relief: "--as=unlimited:", word: "SIGSEGV" },
    // Its children's numbers it gets from the kernel then, one by one: the old worker ends, a new one cannot be had.
    Hunger { limit: "--nofile=16:", relief: "--nofile=1024:", word: "files" },
];

fn starve(rig: &Rig, hunger: &Hunger, is_fed: bool) -> Outcome {
    let mut subject = rig.begin()?;
    let guardian = subject.guardian()?.pid.to_string();
    limit(rig, &guardian, hunger.limit)?;
    let worker = subject.workers()?.first().copied().and_then(Held::hold).ok_or("no worker")?;
    worker.send(Signal::KILL)?;
    eventually("the worker is dead", || worker.is_dead())?;
    subject.tell(&format!("told {}", hunger.word))?;
    if is_fed {
        limit(rig, &guardian, hunger.relief)?;
        subject.tell("call")?;
    }
    subject.kill()?;
    rig.nobody()?;
    Ok(())
}

/// By its own user: the limits of others are not even root's to change everywhere.
fn limit(rig: &Rig, pid: &str, limit: &str) -> Outcome {
    let user = if rig.case.tier == Tier::Nobody { NOBODY } else { 0 };
    let as_user = [format!("--reuid={user}"), format!("--regid={user}")];
    run("setpriv", &[&as_user[0], &as_user[1], "--clear-groups", "prlimit", "--pid", pid, limit])
}

/// The supervisor eats all memory that it may have, together with what it has started, and the kernel kills it for it.
pub(crate) fn out_of_memory(rig: &mut Rig) -> Outcome<String> {
    let Some(group) = Version1::make("memory") else { return Ok("not checked: no memory controller".to_owned()) };
    write(&group.folder.join("memory.limit_in_bytes"), &(192 << 20).to_string())?;
    let mut subject = rig.launch()?;
    write(&group.folder.join("cgroup.procs"), &subject.held.pid.to_string())?;
    subject.tell("start")?;
    subject.say("eat")?;
    eventually("the supervisor is killed", || subject.held.is_dead())?;
    let said = rig.nobody()?;
    group.remove()?;
    Ok(said)
}

/// A supervisor whose clock since boot is hours ahead takes no neighbour for dead, and is taken for what it is.
pub(crate) fn clocks_apart(rig: &mut Rig) -> Outcome<String> {
    const SHIFT: [&str; 6] = ["unshare", "--time", "--boottime", "7200", "--monotonic", "7200"];
    let mut quiet = rig.start()?;
    let all_of_quiet = rig.hold_others(&[]);
    let mut shifted = rig.launch_through(&SHIFT)?;
    shifted.tell("start")?;
    let of_shifted = rig.hold_others(&all_of_quiet.iter().map(|held| held.pid).collect::<Vec<_>>());
    quiet.tell("call")?;
    kill_all(&[&shifted.guardian()?, &shifted.keeper()?, &shifted.held])?;
    let mut next = rig.launch()?;
    next.tell("start")?;
    if let Some(survivor) = of_shifted.iter().find(|held| !held.is_dead()) {
        return Err(format!("{} of another clock is alive though the next is ready", survivor.pid));
    }
    let mut later = rig.launch_through(&SHIFT)?;
    later.tell("start")?;
    if let Some(dead) = all_of_quiet.iter().find(|held| held.is_dead()) {
        return Err(format!("{} of a neighbour that lives was killed", dead.pid));
    }
    for mut subject in [quiet, next, later] {
        subject.tell("call")?;
        subject.kill()?;
    }
    rig.nobody()
}

/// In this namespace alone, where the kernel can tell.
fn bound_processes(most: u32) -> Outcome {
    const FILE: &str = "/proc/sys/kernel/pid_max";
    write(Path::new(FILE), &most.to_string())?;
    let now = std::fs::read_to_string(FILE).unwrap_or_default();
    if now.trim() == most.to_string() { Ok(()) } else { Err(format!("{FILE}: {}", now.trim())) }
}

#[expect(clippy::disallowed_methods, reason = "a tool of the harness, waited for")]
fn run(program: &str, arguments: &[&str]) -> Outcome {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("start {program}: {error}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program} {arguments:?}: {}", complaint.trim())) }
}

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(|error| format!("write {text} to {}: {error}", path.display()))
}
