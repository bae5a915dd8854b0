//! What a worker may use of the machine, by the means that this kernel gives us.
//!
//! Memory, processors and processes are limited by control groups: of version 2 where its controllers reach the worker's
//! leaf, of version 1 where this program may make groups (as root). Open files, and memory without a controller, are
//! limited by rlimits. What cannot be limited is refused, never ignored.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use super::Pid;
use super::guardian::Leaves;
use crate::id::RunId;

/// Most that one worker may use. `None`: no limit of hatchery's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResourceLimits {
    /// Bytes of memory, with everything that it starts. Without a memory controller: bytes of addresses, of each process.
    pub memory: Option<u64>,
    /// Processors, with everything that it starts: 0.5 is half of one. Needs a cpu controller.
    pub cpu: Option<f64>,
    /// Processes and threads, with everything that it starts. Needs a pids controller.
    pub processes: Option<u32>,
    /// Open files, of each process.
    pub open_files: Option<u64>,
}

/// Why a limit cannot be set. The texts are fragments, to be put after "start worker default-1: ".
#[derive(Debug, thiserror::Error)]
pub(crate) enum CageError {
    #[error(
        "limit its {what}: no {controller} controller can be used here; run as a systemd service with Delegate=yes and \
         DelegateSubgroup=supervisor, or as root where cgroup v1 has the controller, or remove the limit"
    )]
    NoController { what: &'static str, controller: &'static str },
    #[error("limit its {what}: {}: {source}", path.display())]
    Refused { what: &'static str, path: PathBuf, source: io::Error },
}

/// How long a group may stay busy after its last process was reaped.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// How often to try again meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What one worker is kept in.
#[derive(Debug, Default)]
pub(super) struct Cage {
    limits: ResourceLimits,
    /// Of version 1, each with a limit in it.
    groups: Groups,
    /// Where the kernel counts the processes that it ended for want of memory.
    memory_events: Option<PathBuf>,
    /// Set after the start, in the worker's own leaf of version 2.
    in_leaf: Vec<Knob>,
    address_space: Option<u64>,
}

/// Removed when dropped, which is when the worker is gone.
#[derive(Debug)]
struct Groups {
    folders: Vec<PathBuf>,
    /// A host that forks copies this value, but the groups stay the original's.
    owner: u32,
}

/// One setting of one controller.
#[derive(Clone, Debug, PartialEq)]
struct Knob {
    what: &'static str,
    controller: &'static str,
    /// In version 2, and in version 1.
    unified: (&'static str, String),
    legacy: Vec<(&'static str, String)>,
}

impl Cage {
    /// Makes the groups. `name` is theirs; no other group of this machine has it. `leaves`: among them the worker has one of
    /// its own.
    pub(super) fn make(limits: ResourceLimits, name: &str, leaves: Option<&Leaves>) -> Result<Cage, CageError> {
        let mut cage = Cage { limits, ..Cage::default() };
        let knobs = knobs(&limits);
        if knobs.is_empty() {
            return Ok(cage);
        }
        let (groups, mounts) = own_groups_and_mounts();
        for knob in knobs {
            if leaves.is_some_and(|leaves| leaves.enable(knob.controller)) {
                cage.in_leaf.push(knob);
            } else if let Some(base) = legacy_group(&groups, &mounts, knob.controller).filter(|base| is_writable(base))
            {
                cage.enclose(&base.join(name), &knob)?;
            } else if knob.controller == "memory" {
                cage.address_space = limits.memory;
            } else {
                return Err(CageError::NoController { what: knob.what, controller: knob.controller });
            }
        }
        Ok(cage)
    }

    /// The files into which the worker writes itself before its program runs.
    pub(super) fn joins(&self) -> impl Iterator<Item = PathBuf> {
        self.groups.folders.iter().map(|group| group.join("cgroup.procs"))
    }

    /// [`joins`](Cage::joins) for a process that exists: an un-reaped child of the guardian's, whose number is nobody else's.
    pub(super) fn take_in(&self, pid: Pid) -> Result<(), CageError> {
        self.joins().try_for_each(|file| set(file, &pid.get().to_string(), "use of the machine"))
    }

    /// Whether something is to be set in a leaf of version 2, which no other worker may share then.
    pub(super) fn needs_leaf(&self) -> bool {
        !self.in_leaf.is_empty()
    }

    pub(super) fn address_space(&self) -> Option<u64> {
        self.address_space
    }

    pub(super) fn open_files(&self) -> Option<u64> {
        self.limits.open_files
    }

    /// Sets what is set in the worker's leaf of version 2, which exists now.
    pub(super) fn settle(&mut self, leaf: Option<&Path>) -> Result<(), CageError> {
        let Some(leaf) = leaf else { return Ok(()) };
        for knob in &self.in_leaf {
            let (file, value) = &knob.unified;
            set(leaf.join(file), value, knob.what)?;
            if knob.controller == "memory" {
                self.memory_events = Some(leaf.join("memory.events"));
            }
        }
        Ok(())
    }

    /// Whether the kernel ended a process in it because the limit was reached.
    /// The groups stay: what lives in them goes on.
    pub(super) fn let_go(&mut self) {
        self.groups.folders.clear();
    }

    pub(super) fn ran_out_of_memory(&self) -> bool {
        let counted = self.memory_events.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        counted.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }

    /// Removes the groups of a worker of which nothing is left.
    pub(super) async fn release(&mut self) {
        let began = Instant::now();
        while !remove_all(&mut self.groups.folders) && began.elapsed() < RELEASE_PATIENCE {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn enclose(&mut self, group: &Path, knob: &Knob) -> Result<(), CageError> {
        let refused = |source| CageError::Refused { what: knob.what, path: group.to_owned(), source };
        if !self.groups.folders.iter().any(|made| made == group) {
            fs::create_dir(group).map_err(refused)?;
            self.groups.folders.push(group.to_owned());
        }
        for (file, value) in &knob.legacy {
            set(group.join(file), value, knob.what)?;
        }
        if knob.controller == "memory" {
            self.memory_events = Some(group.join("memory.oom_control"));
        }
        Ok(())
    }
}

impl Default for Groups {
    fn default() -> Groups {
        Groups { folders: Vec::new(), owner: std::process::id() }
    }
}

impl Drop for Groups {
    /// Never waits: it may be on a thread that has more to do.
    fn drop(&mut self) {
        if self.owner != std::process::id() || remove_all(&mut self.folders) {
            return;
        }
        let mut busy = std::mem::take(&mut self.folders);
        let remover = std::thread::Builder::new().name("hatchery-groups".to_owned());
        let _the_sweep_does = remover.spawn(move || {
            let began = Instant::now();
            while !remove_all(&mut busy) && began.elapsed() < RELEASE_PATIENCE {
                std::thread::sleep(LOOK_AGAIN);
            }
        });
    }
}

/// Whether none is left but what cannot be removed. The kernel calls a group busy for a moment after its last process.
fn remove_all(groups: &mut Vec<PathBuf>) -> bool {
    groups.retain(|group| remove_tree(group).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy));
    groups.is_empty()
}

/// Of the groups of one worker. No other group of this machine has this name.
pub(super) fn name_of(run: &str, worker: u32) -> String {
    format!("{}{worker}", prefix_of(run))
}

fn prefix_of(run: &str) -> String {
    format!("hatchery.{run}.worker-")
}

/// Removes the groups of version 1 that a dead run has left where this process has its own. One with a process in it
/// stays.
pub(crate) fn remove_groups_of(run: RunId) {
    let (groups, mounts) = own_groups_and_mounts();
    let prefix = prefix_of(&run.to_string());
    let bases: BTreeSet<PathBuf> =
        CONTROLLERS.into_iter().filter_map(|controller| legacy_group(&groups, &mounts, controller)).collect();
    let entries = bases.iter().filter_map(|base| fs::read_dir(base).ok()).flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        let _next_sweep_does = remove_tree(&entry.path());
    }
}

/// With the groups that the worker has made in it.
fn remove_tree(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

/// Of this process, as the kernel lists them.
fn own_groups_and_mounts() -> (String, String) {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    (read("/proc/self/cgroup"), read("/proc/self/mountinfo"))
}

const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// The period over which processor time is counted, in microseconds: the kernel's default.
const CPU_PERIOD: u64 = 100_000;

fn knobs(limits: &ResourceLimits) -> Vec<Knob> {
    let memory = limits.memory.map(|bytes| Knob {
        what: "memory",
        controller: "memory",
        unified: ("memory.max", bytes.to_string()),
        legacy: vec![("memory.limit_in_bytes", bytes.to_string())],
    });
    let cpu = limits.cpu.map(|processors| (processors * CPU_PERIOD as f64).max(1000.0) as u64).map(|quota| Knob {
        what: "processors",
        controller: "cpu",
        unified: ("cpu.max", format!("{quota} {CPU_PERIOD}")),
        legacy: vec![("cpu.cfs_period_us", CPU_PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())],
    });
    let processes = limits.processes.map(|count| Knob {
        what: "processes",
        controller: "pids",
        unified: ("pids.max", count.to_string()),
        legacy: vec![("pids.max", count.to_string())],
    });
    [memory, cpu, processes].into_iter().flatten().collect()
}

/// This process's own group in the hierarchy of version 1 that has the controller.
fn legacy_group(groups: &str, mounts: &str, controller: &str) -> Option<PathBuf> {
    let has = |list: &str| list.split(',').any(|name| name == controller);
    let group = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        has(controllers).then_some(path)
    })?;
    let mount = mounts.lines().find(|line| {
        let Some((_, kind)) = line.split_once(" - ") else { return false };
        kind.starts_with("cgroup ") && kind.rsplit(' ').next().is_some_and(has)
    })?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let below = Path::new(group).strip_prefix(root).or_else(|_| Path::new(group).strip_prefix("/")).ok()?;
    Some(Path::new(point).join(below))
}

fn is_writable(folder: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    accessat(CWD, folder, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

fn set(file: PathBuf, value: &str, what: &'static str) -> Result<(), CageError> {
    fs::write(&file, value).map_err(|source| CageError::Refused { what, path: file, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = "9:memory:/a/b\n8:pids:/a\n7:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n";
    const MOUNTS: &str = "40 32 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                          41 32 0:34 /a /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                          42 32 0:35 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                          33 32 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_group_of_a_controller_is_found() {
        for (controller, expected) in [
            ("memory", Some("/sys/fs/cgroup/memory/a/b")),
            ("pids", Some("/sys/fs/cgroup/pids")),
            ("cpu", Some("/sys/fs/cgroup/cpu,cpuacct")),
            ("io", None),
        ] {
            assert_eq!(legacy_group(GROUPS, MOUNTS, controller), expected.map(PathBuf::from), "{controller}");
        }
        assert_eq!(legacy_group("", MOUNTS, "memory"), None);
        assert_eq!(legacy_group(GROUPS, "", "memory"), None);
    }

    #[test]
    fn only_what_is_limited_is_set() {
        assert!(knobs(&ResourceLimits { open_files: Some(10), ..ResourceLimits::default() }).is_empty());
        let half = knobs(&ResourceLimits { cpu: Some(0.5), ..ResourceLimits::default() });
        assert_eq!(half[0].unified, ("cpu.max", "50000 100000".to_owned()));
    }

    #[test]
    fn limits_are_set_in_the_leaf_if_their_controllers_reach_it() {
        let folder = tempfile::tempdir().unwrap();
        let leaves = Leaves::plain(folder.path(), ["cpu memory pids"; 3]);
        let limits = ResourceLimits { memory: Some(1 << 20), cpu: Some(0.5), processes: Some(9), open_files: None };
        let mut cage = Cage::make(limits, "no-group-of-version-1-is-made", Some(&leaves)).unwrap();
        assert_eq!((cage.joins().count(), cage.address_space()), (0, None));
        let leaf = leaves.of(7);
        fs::create_dir(&leaf).unwrap();
        cage.settle(Some(&leaf)).unwrap();
        let set = ["memory.max", "cpu.max", "pids.max"].map(|file| fs::read_to_string(leaf.join(file)).unwrap());
        assert_eq!(set, ["1048576", "50000 100000", "9"]);
        fs::write(leaf.join("memory.events"), "low 0\noom_kill 1\n").unwrap();
        assert!(cage.ran_out_of_memory());
    }

    #[test]
    fn a_forked_copy_removes_no_group() {
        let folder = tempfile::tempdir().unwrap();
        let group = folder.path().join("group");
        fs::create_dir(&group).unwrap();
        drop(Groups { folders: vec![group.clone()], owner: std::process::id() + 1 });
        assert!(group.exists());
        drop(Groups { folders: vec![group.clone()], ..Groups::default() });
        assert!(!group.exists());
    }

    #[test]
    fn groups_of_a_dead_run_go_and_those_of_others_stay() {
        let (dead, other) = (RunId::random(), RunId::random());
        let limits = ResourceLimits { processes: Some(10), ..ResourceLimits::default() };
        let make = |run: RunId, worker| Cage::make(limits, &name_of(&run.to_string(), worker), None);
        let left = match make(dead, 1) {
            // As after SIGKILL.
            Ok(mut cage) => std::mem::take(&mut cage.groups.folders),
            Err(error) => return println!("not checked: {error}"),
        };
        let neighbour = make(other, 1).unwrap();
        fs::create_dir(left[0].join("made-by-the-worker")).unwrap();
        remove_groups_of(dead);
        assert!(!left[0].exists());
        assert!(neighbour.groups.folders[0].exists());
    }
}
