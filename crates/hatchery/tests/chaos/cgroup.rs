//! A cgroup of the harness's own, in which the supervisor finds itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Outcome;
use crate::processes::eventually;

/// A folder in cgroup v2 that is gone, with all below it, when the case is over.
pub(crate) struct Own {
    pub(crate) folder: PathBuf,
}

impl Own {
    pub(crate) fn make() -> Outcome<Own> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let parent = own_folder().ok_or("no cgroup v2 to write to")?;
        let name = format!("chaos-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = parent.join(name);
        fs::create_dir(&folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
        Ok(Own { folder })
    }

    /// A cgroup whose last process has just died may be busy for a moment.
    pub(crate) fn remove(self) -> Outcome {
        eventually(&format!("{} is empty", self.folder.display()), || remove_tree(&self.folder).is_ok())
    }
}

/// A group of one controller of version 1, below the own one. Removed when dropped, if it is empty.
pub(crate) struct Version1 {
    pub(crate) folder: PathBuf,
}

impl Version1 {
    /// `None` where there is none to be had.
    pub(crate) fn make(controller: &str) -> Option<Version1> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own
            .lines()
            .find_map(|line| line.split_once(&format!(":{controller}:/")).map(|(_, path)| path.to_owned()))?;
        // Every case has another namespace.
        let name = format!("chaos-{}", fs::metadata("/proc/self/ns/pid").ok()?.ino());
        let folder = Path::new("/sys/fs/cgroup").join(controller).join(own).join(name);
        fs::create_dir(&folder).ok().map(|()| Version1 { folder })
    }

    pub(crate) fn remove(self) -> Outcome {
        eventually(&format!("{} is empty", self.folder.display()), || fs::remove_dir(&self.folder).is_ok())
    }
}

impl Drop for Version1 {
    fn drop(&mut self) {
        let _removed_already = fs::remove_dir(&self.folder);
    }
}

fn remove_tree(folder: &Path) -> std::io::Result<()> {
    for below in folders(folder) {
        remove_tree(&below)?;
    }
    fs::remove_dir(folder)
}

/// Every cgroup below one; none where there is no such folder.
pub(crate) fn folders_below(folder: &Path) -> Vec<PathBuf> {
    folders(folder).into_iter().flat_map(|below| folders_below(&below).into_iter().chain([below])).collect()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Where this process stands in cgroup v2, if it may make folders there. Found by trying.
pub(crate) fn own_folder() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/").map(str::to_owned))?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>().as_slice() {
        [_, place, "cgroup2", ..] => Some((*place).to_owned()),
        _ => None,
    })?;
    let folder = Path::new(&mount).join(own);
    let probe = folder.join(format!("chaos-probe-{}", std::process::id()));
    fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).ok()?;
    Some(folder)
}
