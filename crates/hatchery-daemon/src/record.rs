//! `daemon.json` in the data directory: where the daemon of this directory is reached.
//!
//! That it lives is not read from the file but from a lock on it, which the kernel takes back when the process ends, however
//! it ends. So there is no pid to compare, and a file that a killed daemon left behind deceives nobody.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hatchery::{Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk, geteuid};
use serde::{Deserialize, Serialize};

const FILE: &str = "daemon.json";

/// How a daemon is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its Unix socket, which lets its user in without a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Whether TLS is spoken at the address.
    #[serde(default)]
    pub tls: bool,
    /// Where clients that are no workers reach `snakepit.bridge`: `HOST:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// Its process.
    pub pid: u32,
    /// The version of hatchery that it is.
    pub version: String,
}

/// A data directory's one daemon: this process. Dropped, it makes room for another.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    /// Holds the lock. Nothing else in this process may open and close the file: that would give the lock back.
    file: File,
}

impl Record {
    /// The daemon of this data directory, if one lives.
    ///
    /// # Errors
    /// `unavailable` if there is a file that cannot be read.
    pub fn find(data_dir: &Path) -> Result<Option<Record>> {
        let path = data_dir.join(FILE);
        read(&path).map_err(|why| Error::new(ErrorKind::Unavailable, format!("read {}: {why}", path.display())))
    }

    /// That of this process.
    pub(crate) fn of(address: SocketAddr, socket: Option<&Path>, tls: bool) -> Record {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let (socket, pid) = (socket.map(Path::to_owned), std::process::id());
        Record { address, socket, tls, bridge: None, pid, version }
    }
}

impl Claim {
    /// Claims the data directory for the daemon in this process. Makes the directory if there is none.
    ///
    /// # Errors
    /// `conflict` if another daemon has claimed it; `validation` if it cannot be written, or is at the mercy of another user.
    pub(crate) fn of(data_dir: &Path) -> Result<Claim> {
        let path = data_dir.join(FILE);
        if let Some((folder, owner)) = of_another(data_dir).map_err(|why| unwritten(&path, &why))? {
            return Err(at_mercy(&path, &folder, owner));
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir).and_then(|()| locked(&path));
        match made.map_err(|why| unwritten(&path, &why))? {
            Some(file) => Ok(Claim { path, file }),
            None => Err(taken(data_dir)),
        }
    }

    /// Tells others how the daemon is reached.
    ///
    /// # Errors
    /// `validation` if it cannot be written.
    pub(crate) fn tell(&self, record: &Record) -> Result<()> {
        self.write(record).map_err(|why| unwritten(&self.path, &why))
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_string(record)?;
        self.file.set_len(0)?;
        (&self.file).write_all(format!("{text}\n").as_bytes())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            let _gone_already = std::fs::remove_file(&self.path);
        }
    }
}

fn unwritten(path: &Path, why: &io::Error) -> Error {
    Error::new(ErrorKind::Validation, format!("write {}: {why}", path.display()))
}

/// The first folder on the way to this one that another user than root has: they could put one of theirs in its place, with
/// files in it that we would write or believe.
fn of_another(data_dir: &Path) -> io::Result<Option<(PathBuf, u32)>> {
    let ours = [0, geteuid().as_raw()];
    let said = std::path::absolute(data_dir)?;
    // Where links lead counts, and who could lead them elsewhere.
    let real = said.ancestors().find_map(|folder| folder.canonicalize().ok());
    let all = said.ancestors().chain(real.iter().flat_map(|real| real.ancestors()));
    let owned = all.filter_map(|folder| Some((folder, std::fs::symlink_metadata(folder).ok()?.uid())));
    let found = owned.into_iter().find(|(_, owner)| !ours.contains(owner) && !is_nobody_here(*owner));
    Ok(found.map(|(folder, owner)| (folder.to_owned(), owner)))
}

/// In a user namespace, whom it does not know looks like one user: root outside, as a rule.
fn is_nobody_here(owner: u32) -> bool {
    const UNKNOWN: u32 = 65534;
    let map = || std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    owner == UNKNOWN && map().split_whitespace().ne(["0", "0", "4294967295"])
}

fn at_mercy(path: &Path, folder: &Path, owner: u32) -> Error {
    let found = format!(
        "write {}: {} belongs to user {owner}, who could put another in its place; `chown` gives it to this one",
        path.display(),
        folder.display()
    );
    Error::new(ErrorKind::Validation, found)
}

fn taken(data_dir: &Path) -> Error {
    let whose = match Record::find(data_dir) {
        Ok(Some(record)) => format!("the daemon with pid {} at {}", record.pid, record.address),
        _ => "another daemon".into(),
    };
    let place = data_dir.display();
    Error::new(ErrorKind::Conflict, format!("{place} belongs to {whose}; give this one another with --data-dir"))
}

/// The file, locked; `None` if another process has the lock.
fn locked(path: &Path) -> io::Result<Option<File>> {
    loop {
        let options = OFlags::NOFOLLOW.bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(options)
            .open(path)?;
        private(&file)?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if is_at(&file, path) => return Ok(Some(file)),
            // A daemon that ended in between has removed what we opened.
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(None),
            Err(why) => return Err(why.into()),
        }
    }
}

/// What is written into it is written into nothing else.
fn private(file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    match found.is_file() && found.uid() == geteuid().as_raw() && found.nlink() <= 1 {
        true => Ok(()),
        false => {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "expected a file of this user under no other name"))
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let same = |one: std::fs::Metadata, other: std::fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    file.metadata().is_ok_and(|opened| std::fs::metadata(path).is_ok_and(|there| same(opened, there)))
}

/// `None` if there is no file, nobody holds it, or its holder has not written it yet.
fn read(path: &Path) -> io::Result<Option<Record>> {
    let mut file = match File::open(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))?.is_none() {
        return Ok(None);
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text).ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn record() -> Record {
        Record::of(SocketAddr::from(([127, 0, 0, 1], 7411)), Some(Path::new("/d/daemon.sock")), true)
    }

    #[test]
    fn a_claim_is_a_private_file_that_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("state/default");
        let claim = Claim::of(&data_dir).unwrap();
        claim.tell(&record()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data_dir), mode(&data_dir.join(FILE))), (0o700, 0o600));
        let found: Record = serde_json::from_str(&std::fs::read_to_string(data_dir.join(FILE)).unwrap()).unwrap();
        assert_eq!(found, record());
        drop(claim);
        assert_eq!(std::fs::read_dir(&data_dir).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_nobody_holds_is_no_daemon_and_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Record::find(folder.path()).unwrap(), None);
        let stale = Record { pid: 1, version: "0".repeat(1000), ..record() };
        std::fs::write(folder.path().join(FILE), serde_json::to_string(&stale).unwrap()).unwrap();
        assert_eq!(Record::find(folder.path()).unwrap(), None);
        let claim = Claim::of(folder.path()).unwrap();
        claim.tell(&record()).unwrap();
        let text = std::fs::read_to_string(&claim.path).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap().pid, std::process::id(), "{text}");
    }

    /// Only root can give a folder away.
    #[test]
    fn a_folder_below_that_of_another_user_is_refused_before_anything_is_written() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (theirs, data_dir) = (folder.path().join("theirs"), folder.path().join("theirs/ours/data"));
        std::fs::create_dir_all(data_dir.parent().unwrap()).unwrap();
        std::os::unix::fs::chown(&theirs, Some(1234), None).unwrap();
        std::os::unix::fs::symlink(&theirs, folder.path().join("link")).unwrap();
        for data_dir in [&data_dir, &folder.path().join("link/ours/data"), &theirs] {
            let error = Claim::of(data_dir).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Validation);
            assert!(error.message().contains("theirs belongs to user 1234"), "{error}");
        }
        assert!(!data_dir.exists() && !theirs.join(FILE).exists());
    }

    #[test]
    fn a_file_that_has_another_name_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "mine").unwrap();
        std::fs::hard_link(&precious, folder.path().join(FILE)).unwrap();
        assert!(Claim::of(folder.path()).unwrap_err().message().contains("under no other name"));
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = Claim::of(Path::new("/proc/no/such")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert!(error.message().starts_with("write /proc/no/such/daemon.json: "), "{error}");
    }
}
