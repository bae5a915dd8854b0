//! Folders that are ours: nobody else can have put something into them, and no link leads out of them.

use std::ffi::CStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat, fstat, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// An open folder. What it was is what it stays, whatever is renamed.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// Why a folder or a file is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    /// Another user's, so it may say anything.
    #[error("{}: belongs to user {owner}, and not to this one ({})", path.display(), geteuid().as_raw())]
    NotOurs { path: PathBuf, owner: u32 },
    #[error("{}: others may write it (mode {mode:o}); `chmod go-w` keeps them out", path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("{}: is a symbolic link", path.display())]
    Link { path: PathBuf },
    #[error("{}: is no regular file", path.display())]
    NoFile { path: PathBuf },
}

impl Refusal {
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Refusal::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const MINE: Mode = Mode::RWXU;
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

impl Folder {
    /// The folder that the user named, made if need be. It may be a link, and shared: what is below may not.
    pub(crate) fn make_base(path: &Path) -> Result<Folder, Refusal> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| io_refusal(path, error))?;
        Folder::base(path)
    }

    pub(crate) fn base(path: &Path) -> Result<Folder, Refusal> {
        let fd = rustix::fs::open(path, FOLDER, Mode::empty()).map_err(|error| io_refusal(path, error.into()))?;
        Ok(Folder { fd, path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder below, made if need be.
    pub(crate) fn make(&self, name: &str) -> Result<Folder, Refusal> {
        match mkdirat(&self.fd, name, MINE) {
            Ok(()) | Err(Errno::EXIST) => self.folder(name),
            Err(error) => Err(io_refusal(&self.path.join(name), error.into())),
        }
    }

    /// The folder below, if it is one, ours, and nobody else may write it.
    pub(crate) fn folder(&self, name: &str) -> Result<Folder, Refusal> {
        let path = self.path.join(name);
        let fd = openat(&self.fd, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map_err(|e| refusal(&path, e))?;
        checked(&path, &fd)?;
        Ok(Folder { fd, path })
    }

    /// Opens a file of ours.
    pub(crate) fn read(&self, name: &str) -> Result<File, Refusal> {
        self.file(name, OFlags::RDONLY)
    }

    /// Opens a file to add to its end, made if need be.
    pub(crate) fn append(&self, name: &str) -> Result<File, Refusal> {
        self.file(name, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)
    }

    /// Makes sure that a file is there, and ours. One that is there is not opened: to close it would be to give back every
    /// POSIX lock that this process has on it.
    pub(crate) fn ensure(&self, name: &str) -> Result<(), Refusal> {
        match self.create(name) {
            Err(Refusal::Io { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.file(name, OFlags::PATH).map(drop)
            }
            made => made.map(drop),
        }
    }

    /// A file that was not there.
    pub(crate) fn create(&self, name: &str) -> Result<File, Refusal> {
        self.file(name, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL)
    }

    fn file(&self, name: &str, flags: OFlags) -> Result<File, Refusal> {
        let path = self.path.join(name);
        // A FIFO must not hold us up.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = openat(&self.fd, name, flags, PRIVATE).map_err(|error| refusal(&path, error))?;
        let stat = checked(&path, &fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Refusal::NoFile { path });
        }
        Ok(File::from(fd))
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Refusal> {
        rustix::fs::renameat(&self.fd, from, &self.fd, to)
            .map_err(|error| io_refusal(&self.path.join(to), error.into()))
    }

    /// The lock on the folder itself, as [`lock`]. It can be had on a disk that cannot be written.
    pub(crate) fn lock(&self) -> io::Result<Option<File>> {
        lock(File::from(openat(&self.fd, ".", FOLDER, Mode::empty())?))
    }

    /// The names in it.
    pub(crate) fn names(&self) -> Result<Vec<String>, Refusal> {
        let mut dir = Dir::read_from(&self.fd).map_err(|error| io_refusal(&self.path, error.into()))?;
        let mut names = Vec::new();
        while let Some(entry) = dir.read() {
            let entry = entry.map_err(|error| io_refusal(&self.path, error.into()))?;
            names.extend(text_of(entry.file_name()));
        }
        Ok(names)
    }

    /// Removes the folder below and the files in it. It is gone or not ours to remove: either is fine.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Refusal> {
        let folder = match self.folder(name) {
            Err(refusal) if refusal.is_missing() => return Ok(()),
            folder => folder?,
        };
        for file in folder.names()? {
            let _stays_and_so_does_the_folder = unlinkat(&folder.fd, file.as_str(), AtFlags::empty());
        }
        match unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(io_refusal(&folder.path, error.into())),
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The lock, or `None` if somebody else has it. It is held until the file is closed, here and in every copy of the
/// descriptor.
pub(crate) fn lock(file: File) -> io::Result<Option<File>> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether nobody holds the lock. Asking does not keep anybody else from asking.
pub(crate) fn is_free(file: &File) -> bool {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockShared).is_ok()
}

fn checked(path: &Path, fd: &OwnedFd) -> Result<Stat, Refusal> {
    let stat = fstat(fd).map_err(|error| io_refusal(path, error.into()))?;
    let (path, mode) = (path.to_owned(), stat.st_mode & 0o777);
    match () {
        () if stat.st_uid != geteuid().as_raw() => Err(Refusal::NotOurs { path, owner: stat.st_uid }),
        () if mode & 0o022 != 0 => Err(Refusal::Open { path, mode }),
        () => Ok(stat),
    }
}

/// A folder that is a link is ENOTDIR, a file that is one ELOOP.
fn refusal(path: &Path, error: Errno) -> Refusal {
    let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    match error {
        Errno::LOOP | Errno::NOTDIR if is_link => Refusal::Link { path: path.to_owned() },
        _ => io_refusal(path, error.into()),
    }
}

fn io_refusal(path: &Path, error: io::Error) -> Refusal {
    Refusal::Io { path: path.to_owned(), error }
}

/// Names of ours are text; others are not looked at.
fn text_of(name: &CStr) -> Option<String> {
    let name = name.to_str().ok()?;
    (name != "." && name != "..").then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_and_what_others_may_write_are_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let base = Folder::make_base(&temporary.path().join("a/b")).unwrap();
        base.make("real").unwrap();
        symlink("real", base.path().join("link")).unwrap();
        assert!(matches!(base.folder("link"), Err(Refusal::Link { .. })));
        assert!(matches!(base.make("link"), Err(Refusal::Link { .. })));
        symlink("/etc/passwd", base.path().join("file")).unwrap();
        assert!(matches!(base.read("file"), Err(Refusal::Link { .. })));
        assert!(matches!(base.append("file"), Err(Refusal::Link { .. })));
        std::fs::set_permissions(base.path().join("real"), PermissionsExt::from_mode(0o770)).unwrap();
        assert!(matches!(base.folder("real"), Err(Refusal::Open { mode: 0o770, .. })));
        assert!(base.folder("gone").unwrap_err().is_missing());
    }

    #[test]
    fn a_fifo_is_no_file_and_does_not_hold_us_up() {
        let temporary = tempfile::tempdir().unwrap();
        let base = Folder::base(temporary.path()).unwrap();
        rustix::fs::mknodat(&base.fd, "fifo", FileType::Fifo, PRIVATE, 0).unwrap();
        assert!(matches!(base.read("fifo"), Err(Refusal::NoFile { .. })));
    }

    #[test]
    fn a_lock_is_one_s_own_until_the_file_is_closed() {
        let temporary = tempfile::tempdir().unwrap();
        let base = Folder::base(temporary.path()).unwrap();
        let held = lock(base.append("lock").unwrap()).unwrap().unwrap();
        assert!(lock(base.append("lock").unwrap()).unwrap().is_none());
        assert!(!is_free(&base.read("lock").unwrap()));
        drop(held);
        assert!(is_free(&base.read("lock").unwrap()));
        let held = base.lock().unwrap().unwrap();
        assert!(base.lock().unwrap().is_none());
        drop(held);
        assert!(base.lock().unwrap().is_some());
    }

    #[test]
    fn a_folder_goes_with_its_files_and_twice_is_fine() {
        let temporary = tempfile::tempdir().unwrap();
        let base = Folder::base(temporary.path()).unwrap();
        base.make("run").unwrap().create("record").unwrap();
        base.remove("run").unwrap();
        base.remove("run").unwrap();
        assert!(base.names().unwrap().is_empty());
    }
}
