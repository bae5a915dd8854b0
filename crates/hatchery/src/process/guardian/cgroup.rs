//! The folder in cgroup v2 in which a pair puts itself and its workers, where this machine lets us make one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::fs::{Mode, OFlags, open};

/// How long a folder may stay busy after the last process in it was reaped. Milliseconds have been seen.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// Made, and ours. Removed by [`Folder::remove`], and by the sweep if this program is killed.
pub(super) struct Folder {
    path: PathBuf,
    fd: OwnedFd,
}

impl Folder {
    pub(super) fn make(name: &str) -> io::Result<Folder> {
        let path = own_group()?.join(name);
        fs::create_dir(&path).map_err(|error| said(&path, error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match open(&path, flags, Mode::empty()) {
            Ok(fd) if path.join("cgroup.kill").exists() => Ok(Folder { path, fd }),
            opened => {
                let _empty = fs::remove_dir(&path);
                opened?;
                Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel has no cgroup.kill (Linux 5.14)"))
            }
        }
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
