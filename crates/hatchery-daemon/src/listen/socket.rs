//! The Unix socket: for programs of this machine, whose user the kernel knows.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hatchery::{Error, ErrorKind, Result};
use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};

/// The name of the one in the data directory.
pub(crate) const NAME: &str = "daemon.sock";

/// What fits into an address, the last byte being zero.
const LONGEST: usize = 107;

/// A socket that listens. Dropped, it is gone from its place.
pub(crate) struct Socket {
    listener: UnixListener,
    /// None: it was handed over, and belongs to who did.
    place: Option<Place>,
}

/// A file in the file system, known by more than its name.
struct Place {
    path: PathBuf,
    identity: (u64, u64),
}

impl Socket {
    /// Listens at this path, in place of a socket that nobody listens on any more.
    pub(crate) async fn bind(path: &Path) -> Result<Socket> {
        let wrong = |kind, found: String| Error::new(kind, format!("listen on {}: {found}", path.display()));
        if let Some(found) = unfit(path) {
            return Err(wrong(ErrorKind::Validation, found));
        }
        match occupant(path).await {
            Occupant::None | Occupant::Dead => {}
            Occupant::Alive => return Err(wrong(ErrorKind::Conflict, "another program listens there".into())),
            Occupant::Other(what) => return Err(wrong(ErrorKind::Validation, format!("{what} is in its place"))),
        }
        placed(path).map_err(|why| wrong(ErrorKind::Validation, why.to_string()))
    }

    pub(crate) fn handed_over(listener: std::os::unix::net::UnixListener) -> Result<Socket> {
        let failed = |why: io::Error| {
            Error::new(ErrorKind::Validation, format!("listen on a Unix socket that was handed over: {why}"))
        };
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Socket { listener: UnixListener::from_std(listener).map_err(failed)?, place: None })
    }

    pub(crate) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.place.as_ref().map(|place| place.path.as_path())
    }
}

/// Why nobody should listen there, if so. Who may write the folder may put a socket of their own in its place, and be called
/// instead of us.
pub(crate) fn unfit(path: &Path) -> Option<String> {
    let length = path.as_os_str().len();
    if length > LONGEST {
        return Some(format!(
            "expected a path of at most {LONGEST} bytes, found {length}; `server.socket` in hatchery.toml names another"
        ));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = match folder.metadata() {
        Ok(found) if !found.is_dir() => return Some(format!("{} is no folder", folder.display())),
        Ok(found) => found,
        Err(why) => return Some(format!("{}: {why}", folder.display())),
    };
    let is_ours = [0, geteuid().as_raw()].contains(&found.uid());
    // In a folder like /tmp, others may not replace what is not theirs.
    let is_open = found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0;
    match () {
        () if !is_ours => {
            Some(format!("{} belongs to user {}, who could take its place", folder.display(), found.uid()))
        }
        () if is_open => {
            let mode = found.mode() & 0o777;
            Some(format!("others may write {} (mode {mode:o}); `chmod go-w` keeps them out", folder.display()))
        }
        () => None,
    }
}

/// What is there already.
enum Occupant {
    None,
    /// A socket that a daemon has left behind.
    Dead,
    Alive,
    Other(&'static str),
}

async fn occupant(path: &Path) -> Occupant {
    match path.symlink_metadata() {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Occupant::None,
        Err(_) => return Occupant::Other("something unreadable"),
        Ok(found) if !found.file_type().is_socket() => return Occupant::Other("a file that is no socket"),
        Ok(_) => {}
    }
    // It waits for nobody: one whose queue is full is alive, too.
    match UnixStream::connect(path).await {
        Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => Occupant::Dead,
        Err(why) if why.kind() == io::ErrorKind::NotFound => Occupant::None,
        _ => Occupant::Alive,
    }
}

/// It takes its place only when others can no longer connect to it.
fn placed(path: &Path) -> io::Result<Socket> {
    let aside = aside(path);
    let _left_by_a_crash = std::fs::remove_file(&aside);
    let listener = UnixListener::bind(&aside)?;
    let settle = || {
        std::fs::set_permissions(&aside, Permissions::from_mode(0o600))?;
        let identity = identity(&aside)?;
        std::fs::rename(&aside, path)?;
        Ok(Place { path: path.to_owned(), identity })
    };
    let place = settle().inspect_err(|_: &io::Error| drop(std::fs::remove_file(&aside)))?;
    Ok(Socket { listener, place: Some(place) })
}

/// As long a name as the other, at most.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().map_or(0, std::ffi::OsStr::len);
    let pid = format!(".{}", std::process::id());
    path.with_file_name(&pid[..pid.len().min(name.max(2))])
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata().map(|found| (found.dev(), found.ino()))
}

impl Drop for Place {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _gone_already = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_private_and_goes_with_its_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let socket = Socket::bind(&path).await.unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        UnixStream::connect(&path).await.unwrap();
        let error = Socket::bind(&path).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        UnixStream::connect(&path).await.unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_socket_of_a_dead_daemon_is_replaced_and_the_old_owner_takes_nothing_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = Socket::bind(&path).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = Socket::bind(&path).await.unwrap();
        drop(first);
        UnixStream::connect(&path).await.unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, "mine").unwrap();
        let error = Socket::bind(&path).await.err().unwrap();
        assert!(error.message().ends_with("a file that is no socket is in its place"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_folder_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mode = |mode| std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        mode(0o770);
        let error = Socket::bind(&path).await.err().unwrap();
        assert!(error.message().contains("others may write"), "{error}");
        mode(0o1777);
        Socket::bind(&path).await.unwrap();
        let long = folder.path().join("x".repeat(LONGEST));
        assert!(Socket::bind(&long).await.err().unwrap().message().contains("at most 107 bytes"));
        let nowhere = folder.path().join("no/such/daemon.sock");
        assert!(Socket::bind(&nowhere).await.err().unwrap().message().contains("No such file"));
    }
}
