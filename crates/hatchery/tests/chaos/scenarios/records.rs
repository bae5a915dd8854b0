//! What is on disk is of another boot, or a lie. Nobody is signalled for it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::guardians::kill_all;
use crate::Outcome;
use crate::processes::{Held, eventually};
use crate::rig::Rig;
use crate::subject::Subject;

/// Those that a dead run has left live on if its record says that they are numbers of another boot: then they are strangers'.
pub(crate) fn of_another_boot(rig: &mut Rig) -> Outcome<String> {
    let left = leave_daemons(rig)?;
    let record = only_record(rig)?;
    let text = read(&record)?;
    let start = text.find(r#""boot":""#).ok_or("the record tells no boot")? + r#""boot":""#.len();
    write(&record, format!("{}{}{}", &text[..start], "0".repeat(32), &text[start + 32..]))?;
    let mut next = rig.launch()?;
    next.tell("start")?;
    all_alive("of what is a stranger's here", &left)?;
    if record.exists() {
        return Err("the record of another boot is still there".to_owned());
    }
    next.kill()?;
    let pids: Vec<i32> = left.iter().map(|held| held.pid).collect();
    rig.nobody_but(&pids)?;
    all_alive("of what is a stranger's here", &left)?;
    put_away(&left)?;
    rig.nobody()
}

/// Records that are damaged, or name innocents, lie beside one that is true: that one's processes are ended, and nobody else.
pub(crate) fn hostile(rig: &mut Rig) -> Outcome<String> {
    let mut neighbour = rig.start()?;
    let all_of_neighbour = rig.hold_others(&[]);
    let left = leave_daemons(rig)?;
    let left: Vec<&Held> = left.iter().filter(|it| all_of_neighbour.iter().all(|held| held.pid != it.pid)).collect();
    let model = records(rig).into_iter().find(|record| names_dead_owner(record)).ok_or("no record of a dead run")?;
    let lies = plant_lies(rig, &read(&model)?)?;
    let mut next = rig.launch()?;
    next.tell("start")?;
    if let Some(survivor) = left.iter().find(|held| !held.is_dead()) {
        return Err(format!("{} is alive, though its record is true", survivor.pid));
    }
    all_alive("of the neighbour", &all_of_neighbour)?;
    rig.canaries.are_intact()?;
    neighbour.tell("call")?;
    next.kill()?;
    neighbour.kill()?;
    rig.nobody()?;
    Ok(format!("{lies} lies"))
}

/// A supervisor dies with both guardians; what lives then.
fn leave_daemons(rig: &mut Rig) -> Outcome<Vec<Held>> {
    let mut subject: Subject = rig.begin()?;
    let workers: Vec<Held> = subject.workers()?.into_iter().filter_map(Held::hold).collect();
    kill_all(&[&subject.guardian()?, &subject.keeper()?, &subject.held])?;
    eventually("its workers are dead", || workers.iter().all(Held::is_dead))?;
    eventually("it is dead", || subject.held.is_dead())?;
    Ok(rig.hold_others(&[]))
}

/// Each in a folder of its own name; their number.
fn plant_lies(rig: &Rig, model: &str) -> Outcome<usize> {
    let runs = rig.dir.join("data/runs");
    let name = |n: usize| format!("{n:032x}");
    let folder = |n: usize| -> Outcome<PathBuf> {
        let folder = runs.join(name(n));
        fs::create_dir(&folder).and_then(|()| fs::write(folder.join("lock"), "")).map_err(|error| error.to_string())?;
        Ok(folder.join("record"))
    };
    let texts =
        [model[..40].to_owned(), String::new(), "\u{fffd}".repeat(5000), "{}\n".repeat(1000), named(rig, model)?];
    for (n, text) in texts.iter().enumerate() {
        write(&folder(n)?, text)?;
    }
    std::os::unix::fs::symlink("/etc/passwd", folder(5)?).map_err(|error| error.to_string())?;
    rustix::fs::mknodat(rustix::fs::CWD, folder(6)?, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .map_err(|error| error.to_string())?;
    std::os::unix::fs::symlink(runs.join(name(4)), runs.join(name(7))).map_err(|error| error.to_string())?;
    let of_nobody = folder(8)?;
    write(&of_nobody, named(rig, model)?)?;
    let nobody = Some(crate::subject::NOBODY);
    // Who is not root has nobody to give it to.
    let _it_stays_ours = std::os::unix::fs::chown(&of_nobody, nobody, nobody);
    Ok(9)
}

/// The record of a dead run in good order, which claims that canaries and this process are its workers and guardians, and the
/// whole case's cgroup its own.
fn named(rig: &Rig, model: &str) -> Outcome<String> {
    let header = model.lines().next().ok_or("an empty record")?;
    let canaries = rig.canaries.pids();
    let workers = canaries.iter().zip(1..).map(|(pid, number)| {
        format!(r#"{{"started":{{"number":{number},"identity":"{pid} start={}","command":"x"}}}}"#, started_at(*pid))
    });
    let guards = canaries.iter().chain(&[1]).map(|pid| format!(r#"{{"guard":"{pid} start={}"}}"#, started_at(*pid)));
    let cgroup = [format!(r#"{{"cgroup":"{}"}}"#, rig.cgroup().display())];
    let lines: Vec<String> = [header.to_owned()].into_iter().chain(cgroup).chain(workers).chain(guards).collect();
    Ok(lines.join("\n") + "\n")
}

fn started_at(pid: i32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map(|(_, tail)| tail.split(' ').nth(19).unwrap_or_default().to_owned());
    fields.unwrap_or_default()
}

fn records(rig: &Rig) -> Vec<PathBuf> {
    let entries = fs::read_dir(rig.dir.join("data/runs")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("record")).filter(|record| record.is_file()).collect()
}

fn names_dead_owner(record: &Path) -> bool {
    let text = fs::read_to_string(record).unwrap_or_default();
    let owner = text.split(r#""owner":""#).nth(1).and_then(|rest| rest.split([' ', '"']).next());
    owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
}

fn only_record(rig: &Rig) -> Outcome<PathBuf> {
    match records(rig).as_slice() {
        [record] => Ok(record.clone()),
        other => Err(format!("{} records, and one run", other.len())),
    }
}

fn all_alive(what: &str, held: &[Held]) -> Outcome {
    held.iter().find(|held| held.is_dead()).map_or(Ok(()), |dead| Err(format!("{}, {what}, was killed", dead.pid)))
}

/// They are the harness's to end now.
fn put_away(left: &[Held]) -> Outcome {
    left.iter().filter(|held| !held.is_dead()).try_for_each(|held| held.send(Signal::KILL))
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> Outcome {
    fs::write(path, text).map_err(|error| format!("write {}: {error}", path.display()))
}
