//! The run's folder in cgroup v2: `guard` for ourselves, `w<guardian>/<worker>` for each worker.
//!
//! A leaf that was killed is never used again. On some kernels (6.14 and later) `clone3` into a cgroup makes a child that is dead at birth, if
//! the parent's cgroup and the new one were killed a different number of times.

use core::ffi::CStr;

use crate::folders::folders_in;
use crate::lineage::pause;
use crate::sys::files::{self, Open};
use crate::sys::processes;
use crate::sys::sockets::wait;
use crate::sys::{Errno, Fd, Result};
use crate::text::Text;

/// The keeper's view.
pub(crate) struct RunFolder {
    folder: Fd,
    /// The cgroup around it. What may outlive the run lives there.
    outside: Fd,
}

impl RunFolder {
    /// Takes ourselves into it. An error: there will be no leaves.
    pub(crate) fn enter(folder: Fd) -> Result<RunFolder> {
        let outside = files::open_folder_in(&folder, c"..")?;
        let run = RunFolder { folder, outside };
        make_folder(&run.folder, c"guard")?;
        match join(&run.folder, c"guard/cgroup.procs") {
            Ok(()) => Ok(run),
            Err(errno) => {
                let _stays_empty = files::remove_folder(&run.folder, c"guard");
                Err(errno)
            }
        }
    }

    /// Whether children can be born in a leaf, tried with one that ends at once.
    pub(crate) fn probe_birth(&self) -> Result<()> {
        const PROBE: &CStr = c"guard/probe";
        files::make_folder(&self.folder, PROBE)?;
        let born = files::open_folder_in(&self.folder, PROBE).and_then(|leaf| be_born_in(&leaf));
        let _next_keeper_does = files::remove_folder(&self.folder, PROBE);
        born
    }

    /// The folder of one guardian's leaves.
    pub(crate) fn leaves(&self, guardian: u32, born_inside: bool) -> Result<Leaves> {
        make_folder(&self.folder, folder_of(guardian).c_str())?;
        let folder = files::open_folder_in(&self.folder, folder_of(guardian).c_str())?;
        let outside = files::copy_above(&self.outside, 0)?;
        Ok(Leaves { folder, outside, born_inside, spare: None })
    }

    pub(crate) fn kill(&self, guardian: u32) {
        let path = folder_of(guardian).text("/cgroup.kill");
        let _killed_one_by_one = write_in(&self.folder, path.c_str(), b"1");
    }

    /// Removes the folder of a guardian that is gone, with its leaves.
    pub(crate) fn remove(&self, guardian: u32) -> Result<()> {
        remove_tree(&self.folder, folder_of(guardian).c_str(), MAX_DEPTH)
    }

    pub(crate) fn copy(&self) -> Result<RunFolder> {
        Ok(RunFolder { folder: files::copy_above(&self.folder, 0)?, outside: files::copy_above(&self.outside, 0)? })
    }

    /// Leaves the folder, and removes what is empty. The host may do the same, but may be on its way out itself.
    pub(crate) fn leave(self) {
        let left = join(&self.outside, c"cgroup.procs")
            .and_then(|()| patiently(|| files::remove_folder(&self.folder, c"guard")));
        if left.is_ok() {
            self.remove_itself();
        }
    }

    /// By its name in the folder around it, which only the kernel can tell us.
    fn remove_itself(&self) {
        let link = Text::new().text("/proc/self/fd/").number(self.folder.number().cast_unsigned());
        let mut path = [0; 4096];
        let Some(rest) = path.split_last_mut().map(|(_, rest)| rest) else { return };
        if let Ok(length) = files::read_link(link.c_str(), rest).map(<[u8]>::len) {
            let start = path[..length].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            let name = CStr::from_bytes_until_nul(&path[start..]).unwrap_or_default();
            let _left_to_the_sweep = patiently(|| files::remove_folder(&self.outside, name));
        }
    }
}

/// The guardian's view: one leaf for each worker.
pub(crate) struct Leaves {
    folder: Fd,
    outside: Fd,
    born_inside: bool,
    /// Made while nobody waited: a leaf for the worker that most likely comes next.
    spare: Option<(u32, Fd)>,
}

/// Where a worker is to live.
pub(crate) struct Place {
    folder: Fd,
    pub(crate) born_inside: bool,
}

impl Leaves {
    pub(crate) fn make(&mut self, worker: u32) -> Result<Place> {
        let folder = match self.spare.take() {
            Some((number, folder)) if number == worker => folder,
            Some((number, _)) => {
                let _keeper_removes_it = self.remove(number);
                self.make_leaf(worker)?
            }
            None => self.make_leaf(worker)?,
        };
        Ok(Place { folder, born_inside: self.born_inside })
    }

    /// For the worker after this one.
    pub(crate) fn foresee_after(&mut self, worker: u32) {
        let next = worker.wrapping_add(1);
        if self.spare.is_none() {
            self.spare = self.make_leaf(next).ok().map(|folder| (next, folder));
        }
    }

    fn make_leaf(&self, worker: u32) -> Result<Fd> {
        let name = Text::new().number(worker);
        files::make_folder(&self.folder, name.c_str())?;
        files::open_folder_in(&self.folder, name.c_str())
    }

    /// Outside of the run's folder, for what is not to end with it.
    pub(crate) fn outside(&self) -> Result<Place> {
        Ok(Place { folder: files::copy_above(&self.outside, 0)?, born_inside: self.born_inside })
    }

    pub(crate) fn kill(&self, worker: u32) {
        let path = Text::new().number(worker).text("/cgroup.kill");
        let _killed_one_by_one = write_in(&self.folder, path.c_str(), b"1");
    }

    pub(crate) fn kill_all(&self) {
        let _killed_one_by_one = write_in(&self.folder, c"cgroup.kill", b"1");
    }

    /// Zombies do not count.
    pub(crate) fn is_populated(&self, worker: u32) -> Result<bool> {
        let path = Text::new().number(worker).text("/cgroup.events");
        let mut buffer = [0; 256];
        let events = files::open_in(&self.folder, path.c_str(), Open::Read)?;
        Ok(files::read(&events, &mut buffer)?.starts_with(b"populated 1"))
    }

    /// Refused as busy while there is a process in it, and for a moment after.
    pub(crate) fn remove(&self, worker: u32) -> Result<()> {
        remove_tree(&self.folder, Text::new().number(worker).c_str(), MAX_DEPTH)
    }
}

impl Place {
    pub(crate) fn folder(&self) -> &Fd {
        &self.folder
    }

    /// Takes an un-reaped child of ours there.
    pub(crate) fn take_in(&self, pid: i32) -> Result<()> {
        write_in(&self.folder, c"cgroup.procs", Text::new().number(pid.cast_unsigned()).bytes())
    }

    /// Takes ourselves there.
    pub(crate) fn enter(&self) -> Result<()> {
        join(&self.folder, c"cgroup.procs")
    }
}

/// A worker may have made groups of its own, such as another hatchery does, and been killed before it removed them.
const MAX_DEPTH: u32 = 16;

/// A group can be removed when it has neither processes nor groups in it.
fn remove_tree(parent: &Fd, name: &CStr, depth: u32) -> Result<()> {
    match files::remove_folder(parent, name) {
        Err(Errno::BUSY) if depth > 0 => {}
        removed => return removed,
    }
    let folder = files::open_folder_in(parent, name)?;
    folders_in(&folder, |inner| {
        let _busy_then_so_is_its_parent = remove_tree(&folder, inner, depth - 1);
    })?;
    files::remove_folder(parent, name)
}

/// Whatever else the kernel may say of a removal, something may still be there.
pub(crate) fn is_gone(removed: &Result<()>) -> bool {
    matches!(removed, Ok(()) | Err(Errno::NOENT))
}

/// A group is busy for a moment after the last process in it has died.
pub(crate) fn patiently(remove: impl Fn() -> Result<()>) -> Result<()> {
    const ROUNDS: u32 = 10;
    for rounds in 0..ROUNDS {
        match remove() {
            Err(Errno::BUSY) => wait(&mut [], Some(pause(rounds)))?,
            removed => return removed,
        }
    }
    remove()
}

fn folder_of(guardian: u32) -> Text {
    Text::new().text("w").number(guardian)
}

/// One that is there already will do.
fn make_folder(parent: &Fd, name: &CStr) -> Result<()> {
    match files::make_folder(parent, name) {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

/// 0 is whoever writes it.
fn join(folder: &Fd, procs: &CStr) -> Result<()> {
    write_in(folder, procs, b"0")
}

fn write_in(folder: &Fd, path: &CStr, bytes: &[u8]) -> Result<()> {
    files::write(&files::open_in(folder, path, Open::Write)?, bytes)
}

fn be_born_in(leaf: &Fd) -> Result<()> {
    let child = processes::bear(Some(leaf), &(), |()| processes::exit(0))?;
    match processes::wait_and_reap(child.pid) {
        Some(ended) if !ended.by_sigkill() => Ok(()),
        _ => Err(Errno::CANCELED),
    }
}
