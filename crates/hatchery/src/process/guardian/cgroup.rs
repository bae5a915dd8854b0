//! The folder in cgroup v2 in which a pair puts itself and its workers, where this machine lets us make one.

use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::fs::{Mode, OFlags, getxattr, open};

/// How long a folder may stay busy after the last process in it was reaped. Milliseconds have been seen.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// Made, and ours. Removed by [`Folder::remove`], and by the sweep if this program is killed.
pub(super) struct Folder {
    path: PathBuf,
    fd: OwnedFd,
    /// The group around it, if that was given to this service to make groups in.
    delegated: Option<PathBuf>,
}

impl Folder {
    pub(super) fn make(name: &str) -> io::Result<Folder> {
        let own = own_group()?;
        if let Some(delegated) = delegated_around(&own)
            && let Ok(folder) = Folder::make_in(delegated, name)
        {
            return Ok(Folder { delegated: Some(delegated.to_owned()), ..folder });
        }
        Folder::make_in(&own, name)
    }

    fn make_in(parent: &Path, name: &str) -> io::Result<Folder> {
        let path = parent.join(name);
        fs::create_dir(&path).map_err(|error| said(&path, error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match open(&path, flags, Mode::empty()) {
            Ok(fd) if path.join("cgroup.kill").exists() => Ok(Folder { path, fd, delegated: None }),
            opened => {
                let _empty = fs::remove_dir(&path);
                opened?;
                Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel has no cgroup.kill (Linux 5.14)"))
            }
        }
    }

    /// One that an earlier host has made.
    pub(super) fn of_another(path: &Path) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = open(path, flags, Mode::empty()).map_err(|error| said(path, error.into()))?;
        Ok(Folder { path: path.to_owned(), fd, delegated: None })
    }

    pub(super) fn leaves(&self, guardian: u32) -> Leaves {
        let within = self.path.join(format!("w{guardian}"));
        Leaves { delegated: self.delegated.clone(), run: self.path.clone(), within }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with everything below. Waits for the kernel to let go of it; what stays is the next sweep's.
    pub(super) fn remove(&self) {
        let began = Instant::now();
        while remove_tree(&self.path).is_err() && began.elapsed() < RELEASE_PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Where the leaves of one guardian's workers are made.
#[derive(Clone, Debug)]
pub(in crate::process) struct Leaves {
    delegated: Option<PathBuf>,
    run: PathBuf,
    within: PathBuf,
}

impl Leaves {
    pub(in crate::process) fn of(&self, worker: u32) -> PathBuf {
        self.within.join(worker.to_string())
    }

    /// Makes the controller work in the leaves; whether it does. It has to come down to them from group to group, and comes only
    /// through groups in which no process lives: the one around the run's folder is such a group if it was delegated, or
    /// is the root.
    pub(in crate::process) fn enable(&self, controller: &str) -> bool {
        self.delegated.iter().chain([&self.run, &self.within]).all(|group| enable(group, controller))
    }

    /// Whether the kernel lets no process live in the group around the run's folder.
    pub(in crate::process) fn is_outside_barred(&self) -> bool {
        self.delegated.as_ref().is_some_and(|group| !words(&group.join(ENABLED)).is_empty())
    }
}

#[cfg(test)]
impl Leaves {
    /// Folders that look like groups, with the controllers that each offers: the delegated one, the run's, and the one of the leaves.
    pub(in crate::process) fn plain(folder: &Path, offered: [&str; 3]) -> Leaves {
        let (run, within) = (folder.join("run"), folder.join("run/w0"));
        fs::create_dir_all(&within).unwrap();
        for (group, offered) in [folder, &run, &within].into_iter().zip(offered) {
            fs::write(group.join("cgroup.controllers"), offered).unwrap();
            fs::write(group.join(ENABLED), "").unwrap();
        }
        Leaves { delegated: Some(folder.to_owned()), run, within }
    }
}

const ENABLED: &str = "cgroup.subtree_control";

/// For the groups in this one.
fn enable(group: &Path, controller: &str) -> bool {
    let has = |file: &str| words(&group.join(file)).iter().any(|word| word == controller);
    let order = || fs::OpenOptions::new().write(true).open(group.join(ENABLED));
    has(ENABLED) || has("cgroup.controllers") && order().and_then(|mut file| write!(file, "+{controller}")).is_ok()
}

fn words(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
}

/// The group around this one, if systemd gave it to the service whose supervisor has been put here so that groups can be made
/// beside it (Delegate=yes and DelegateSubgroup=).
fn delegated_around(own: &Path) -> Option<&Path> {
    own.parent().filter(|parent| !is_delegated(own) && is_delegated(parent))
}

fn is_delegated(group: &Path) -> bool {
    let mut value = [0; 2];
    getxattr(group, "user.delegate", &mut value[..]).is_ok_and(|length| value[..length] == *b"1")
}

/// A control group is removed by `rmdir`, though it looks full of files.
fn remove_tree(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

/// This process's own group, where the file system of version 2 is mounted.
fn own_group() -> io::Result<PathBuf> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| said(Path::new(path), error));
    let (groups, mounts) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
    locate(&groups, &mounts).ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "cgroup v2 is not mounted"))
}

/// `0::/some/group` of the first text, below the mount point that the second names for it.
fn locate(groups: &str, mounts: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount =
        mounts.lines().find(|line| line.split_once(" - ").is_some_and(|(_, kind)| kind.starts_with("cgroup2 ")))?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let below = Path::new(group).strip_prefix(root).or_else(|_| Path::new(group).strip_prefix("/")).ok()?;
    Some(Path::new(&unescaped(point)).join(below))
}

/// Blanks in the fields of `mountinfo` are written as octal numbers.
fn unescaped(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

fn said(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str =
        "25 30 0:23 / /sys rw - sysfs sysfs rw\n31 25 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    const HYBRID: &str = "40 32 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                          33 32 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const CONTAINER: &str = "31 25 0:27 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
    const BLANK: &str = "31 25 0:27 / /mnt/my\\040groups rw - cgroup2 none rw\n";

    #[test]
    fn a_controller_is_brought_down_to_the_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let leaves = Leaves::plain(folder.path(), ["cpu memory pids", "cpu memory", "cpu memory\n"]);
        assert!(!leaves.is_outside_barred());
        assert!(leaves.enable("memory"));
        for group in [folder.path(), &leaves.run, &leaves.within] {
            assert_eq!(fs::read_to_string(group.join(ENABLED)).unwrap(), "+memory", "{}", group.display());
        }
        assert!(leaves.is_outside_barred());
        assert!(!leaves.enable("pids"), "it does not get beyond the first group");
        assert!(!leaves.enable("hugetlb"));
    }

    #[test]
    fn what_is_enabled_already_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let leaves = Leaves::plain(folder.path(), [""; 3]);
        for group in [folder.path(), &leaves.run, &leaves.within] {
            fs::write(group.join(ENABLED), "cpu memory\n").unwrap();
        }
        assert!(leaves.enable("memory"));
        assert_eq!(fs::read_to_string(folder.path().join(ENABLED)).unwrap(), "cpu memory\n");
    }

    #[test]
    fn the_group_is_found_wherever_version_2_is_mounted() {
        for (groups, mounts, expected) in [
            ("0::/user.slice/a.scope\n", UNIFIED, Some("/sys/fs/cgroup/user.slice/a.scope")),
            ("12:memory:/x\n1:name=systemd:/y\n0::/\n", HYBRID, Some("/sys/fs/cgroup/unified")),
            ("0::/docker/abc/sub\n", CONTAINER, Some("/sys/fs/cgroup/sub")),
            ("0::/a\n", BLANK, Some("/mnt/my groups/a")),
            ("12:memory:/x\n", HYBRID, None),
            ("0::/\n", "40 32 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", None),
            ("", "", None),
        ] {
            assert_eq!(locate(groups, mounts), expected.map(PathBuf::from), "{groups:?} {mounts:?}");
        }
    }
}
