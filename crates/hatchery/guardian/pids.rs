//! Who is whose child: a list of process ids, and the files of `/proc` that fill it, or where there are none, the kernel's
//! answer for each number.

use crate::folders::numbers_in;
use crate::sys::files::{self, Open};
use crate::sys::{Errno, Result, processes};
use crate::text::{Text, leading_number, skip_blanks};

const CAPACITY: usize = 32 << 10;

/// No process of a 64-bit kernel has this number or a higher one.
const NUMBERS: i32 = 4 << 20;

/// Process ids, as many as were found, or as many as there is room for.
pub(crate) struct Pids {
    pids: [i32; CAPACITY],
    count: usize,
    /// Some are missing: there were too many.
    cut: bool,
}

impl Pids {
    pub(crate) const fn new() -> Pids {
        Pids { pids: [0; CAPACITY], count: 0, cut: false }
    }

    pub(crate) fn all(&self) -> &[i32] {
        &self.pids[..self.count]
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    fn clear(&mut self) {
        (self.count, self.cut) = (0, false);
    }

    fn add(&mut self, pid: i32) {
        match self.pids.get_mut(self.count) {
            Some(place) => {
                *place = pid;
                self.count += 1;
            }
            None => self.cut = true,
        }
    }
}

/// How this kernel tells who is whose child.
#[derive(Clone, Copy)]
pub(crate) enum Kinship {
    /// By a file for each thread.
    ChildrenFile,
    /// By the parent's number in the file of each process.
    ParentNumbers,
    /// By asking for each number that there may be, which takes half a second: `/proc` is not there, or it is another PID
    /// namespace's, whose numbers are strangers' here.
    EveryNumber,
}

impl Kinship {
    /// The error says why there are no children files.
    pub(crate) fn probe(own_pid: i32) -> (Kinship, Result<()>) {
        let numbers_are_ours = number_in_proc().map(|number| number == own_pid);
        match (numbers_are_ours, files::open(c"/proc/thread-self/children", Open::Read)) {
            (Ok(true), Ok(_)) => (Kinship::ChildrenFile, Ok(())),
            (Ok(true), Err(errno)) => (Kinship::ParentNumbers, Err(errno)),
            (Ok(false), _) => (Kinship::EveryNumber, Err(Errno::NOENT)),
            (Err(errno), _) => (Kinship::EveryNumber, Err(errno)),
        }
    }

    /// Our own. All of them are in the list at once, before any is reaped: to reap while reading would skip some.
    pub(crate) fn own_children(self, own_pid: i32, pids: &mut Pids) {
        pids.clear();
        let read = match self {
            Kinship::ChildrenFile => read_children_file(c"/proc/thread-self/children", pids),
            Kinship::ParentNumbers => scan_for_children(own_pid, pids),
            Kinship::EveryNumber => Err(Errno::NOENT),
        };
        // It may have been there at first, and be unmounted now.
        if read.is_err() {
            pids.clear();
            ask_for_every_number(pids);
        }
    }

    /// The descendants of one process and, first, itself. What ends meanwhile may be in the list or not.
    pub(crate) fn family(self, root: i32, pids: &mut Pids) {
        pids.clear();
        pids.add(root);
        let mut next = 0;
        while let (Kinship::ChildrenFile, Some(&pid)) = (self, pids.all().get(next)) {
            let _has_ended = children_of(pid, pids);
            next += 1;
        }
    }
}

/// A child belongs to the thread that made it.
fn children_of(pid: i32, pids: &mut Pids) -> Result<()> {
    let tasks = files::open_folder(proc(pid).text("/task").c_str())?;
    numbers_in(&tasks, |task| {
        let path = proc(pid).text("/task/").number(task).text("/children");
        let _has_ended = read_children_file(path.c_str(), pids);
    })
}

fn read_children_file(path: &core::ffi::CStr, pids: &mut Pids) -> Result<()> {
    let file = files::open(path, Open::Read)?;
    let mut buffer = [0; 4096];
    let mut pid = None;
    loop {
        let chunk = files::read(&file, &mut buffer)?;
        for byte in chunk {
            match byte {
                b'0'..=b'9' => pid = Some(pid.unwrap_or(0) * 10 + i32::from(byte - b'0')),
                _ => pid.take().into_iter().for_each(|pid| pids.add(pid)),
            }
        }
        if chunk.is_empty() {
            pid.into_iter().for_each(|pid| pids.add(pid));
            return Ok(());
        }
    }
}

/// Those who are not found to be below us now become our children when their parents end, and are found then.
fn ask_for_every_number(pids: &mut Pids) {
    if processes::has_children() {
        // The first question is the cheaper one, and for most numbers the last.
        let is_child = |pid: &i32| processes::group_of(*pid).is_ok() && processes::is_child(*pid);
        (1..NUMBERS).filter(is_child).for_each(|pid| pids.add(pid));
    }
}

/// Whether the numbers in `/proc` are those of our namespace, now.
pub(crate) fn numbers_are_ours() -> bool {
    number_in_proc() == Ok(processes::own_pid())
}

/// What `/proc` calls this process: the first word of `stat`.
fn number_in_proc() -> Result<i32> {
    let file = files::open(c"/proc/self/stat", Open::Read)?;
    let mut buffer = [0; 64];
    let stat = files::read(&file, &mut buffer)?;
    leading_number(stat).map(|(number, _)| number as i32).ok_or(Errno::INVAL)
}

fn scan_for_children(parent: i32, pids: &mut Pids) -> Result<()> {
    numbers_in(&files::open_folder(c"/proc")?, |pid| {
        let pid = pid.cast_signed();
        if parent_of(pid) == Some(parent) {
            pids.add(pid);
        }
    })
}

/// The fourth word of `stat`; the second is in parentheses and may hold anything.
fn parent_of(pid: i32) -> Option<i32> {
    let file = files::open(proc(pid).text("/stat").c_str(), Open::Read).ok()?;
    let mut buffer = [0; 512];
    let stat = files::read(&file, &mut buffer).ok()?;
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let parent = skip_blanks(skip_blanks(&stat[name_end + 1..]).get(1..)?);
    leading_number(parent).map(|(parent, _)| parent as i32)
}

pub(crate) fn proc(pid: i32) -> Text {
    Text::new().text("/proc/").number(pid.cast_unsigned())
}
