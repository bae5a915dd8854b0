//! The folder of a dead run in cgroup v2: the kernel ends everything in it at once, whatever user it became.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statfs;

use crate::id::RunId;
use crate::process::{Census, Mark};

/// How long the kernel may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a recorded folder is left alone.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untouched {
    #[error("{}: does not carry the run's id", .0.display())]
    NotOfRun(PathBuf),
    #[error("{}: is not in cgroup v2", .0.display())]
    NoCgroup(PathBuf),
    #[error("{}: holds processes of another run", .0.display())]
    Foreign(PathBuf),
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

impl Untouched {
    /// What is no folder of the run's never held its processes.
    pub(super) fn may_hold_ours(&self) -> bool {
        matches!(self, Untouched::Foreign(_) | Untouched::Io { .. })
    }
}

/// Ends everything in the folder, if it is beyond doubt the run's, and removes it. One that is gone is fine.
pub(super) fn end(folder: &Path, run: RunId, mark: Mark, census: &Census) -> Result<(), Untouched> {
    let failed = |error: io::Error| Untouched::Io { path: folder.to_owned(), error };
    let folder = &match folder.canonicalize() {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !names_run(folder, run) {
        return Err(Untouched::NotOfRun(folder.clone()));
    }
    if !is_cgroup2(folder) {
        return Err(Untouched::NoCgroup(folder.clone()));
    }
    if holds_others(folder, mark, census) {
        return Err(Untouched::Foreign(folder.clone()));
    }
    fs::write(folder.join("cgroup.kill"), "1").map_err(failed)?;
    wait_until_empty(folder);
    remove(folder).map_err(failed)
}

/// The folder's own name has the whole id in it: not one above it, which others may share.
fn names_run(folder: &Path, run: RunId) -> bool {
    folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.contains(&run.to_string()))
}

fn is_cgroup2(folder: &Path) -> bool {
    const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
    statfs(folder).is_ok_and(|found| found.f_type as u64 == CGROUP2_SUPER_MAGIC)
}

/// A run inside one of its workers carries the same hard part.
fn holds_others(folder: &Path, mark: Mark, census: &Census) -> bool {
    let inside: HashSet<i32> = below(folder).iter().flat_map(|folder| processes(folder)).collect();
    let others = census.marked.iter().filter(|sighting| sighting.worn.mark.hard != mark.hard);
    others.into_iter().any(|sighting| inside.contains(&sighting.pid.get()))
}

fn processes(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The folder and all below it, each after those that are in it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
    folders.flat_map(|inner| below(&inner)).chain([folder.to_owned()]).collect()
}

fn wait_until_empty(folder: &Path) {
    let end = Instant::now() + PATIENCE;
    let is_populated =
        || fs::read_to_string(folder.join("cgroup.events")).is_ok_and(|text| text.contains("populated 1"));
    while is_populated() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A folder is busy for a moment after its last process has ended.
fn remove(folder: &Path) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match below(folder).iter().try_for_each(fs::remove_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::tests::Sleeper;
    use super::*;
    use crate::process::Worn;

    fn ended(folder: &Path, run: RunId) -> Result<(), Untouched> {
        let mark = Mark::of_run(run, Worn::by_this_process().map(|worn| worn.mark));
        end(folder, run, mark, &Census::take().unwrap())
    }

    #[test]
    fn a_folder_that_is_not_beyond_doubt_the_run_s_is_left_alone() {
        let (folder, run) = (tempfile::tempdir().unwrap(), RunId::random());
        let own = folder.path().join(format!("hatchery.{run}"));
        fs::create_dir(&own).unwrap();
        assert!(matches!(ended(folder.path(), run), Err(Untouched::NotOfRun(_))));
        assert!(matches!(ended(&own, run), Err(Untouched::NoCgroup(_))));
        assert!(matches!(ended(&own, RunId::random()), Err(Untouched::NotOfRun(_))));
        assert!(ended(&folder.path().join("gone"), run).is_ok());
        assert!(own.exists());
        let link = folder.path().join(format!("link.{run}"));
        std::os::unix::fs::symlink("/sys/fs/cgroup", &link).unwrap();
        assert!(ended(&link, run).is_err(), "a link is followed before its name is looked at");
    }

    /// Where this machine lets us make one.
    pub(in super::super) fn cgroup(name: &str) -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let folder = fields.next()?;
            (fields.next()? == "cgroup2").then_some(folder)
        })?;
        let folder = Path::new(mount).join(name);
        fs::create_dir_all(folder.join("w")).ok()?;
        Some(folder)
    }

    #[test]
    fn everything_in_it_ends_and_the_folder_goes() {
        let run = RunId::random();
        let Some(folder) = cgroup(&format!("hatchery-test.{run}")) else {
            return println!("not checked: no cgroup v2 can be made here");
        };
        let mut inside = Sleeper::start();
        fs::write(folder.join("w/cgroup.procs"), inside.pid().to_string()).unwrap();
        let other = Mark::of_run(RunId::random(), None);
        inside.wear(other.worn_by(1));
        assert!(matches!(ended(&folder, run), Err(Untouched::Foreign(_))));
        assert!(inside.is_alive());
        drop(inside);
        let mut inside = Sleeper::start();
        fs::write(folder.join("w/cgroup.procs"), inside.pid().to_string()).unwrap();
        ended(&folder, run).unwrap();
        assert!(!inside.is_alive() && !folder.exists());
    }
}
