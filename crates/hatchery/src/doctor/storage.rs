//! Folders and open files.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::Check;
use crate::error::Result;
use crate::pyenv::runtime_dir;

/// The Python runtime, unpacked if it was not.
pub(super) fn runtime() -> Check {
    runtime_of(runtime_dir()).critical()
}

fn runtime_of(folder: Result<PathBuf>) -> Check {
    match folder {
        Ok(folder) => Check::ok("python runtime", folder.display().to_string()),
        Err(error) => Check::error("python runtime", error.message(), "set XDG_CACHE_HOME to a folder of your own"),
    }
}

pub(super) fn open_files() -> Check {
    open_files_of(getrlimit(Resource::Nofile).current)
}

/// A worker takes six descriptors of the host: three for calls, two for its output, one for its process.
const FILES_PER_WORKER: u64 = 6;

/// Room for a hundred workers and as many clients.
const ENOUGH_FILES: u64 = 1024;

/// How more are had.
pub(super) const MORE_FILES: &str = "allow more open files: ulimit -n 4096, or LimitNOFILE= in a systemd unit";

/// `None`: no limit.
fn open_files_of(limit: Option<u64>) -> Check {
    const NAME: &str = "open files";
    match limit {
        Some(limit) if limit < ENOUGH_FILES => {
            let message = format!("at most {limit}; each worker takes {FILES_PER_WORKER}");
            Check::warning(NAME, message, MORE_FILES)
        }
        Some(limit) => Check::ok(NAME, format!("at most {limit}")),
        None => Check::ok(NAME, "no limit"),
    }
}

/// Whether data can be kept there. Nothing is made: the nearest folder that exists is asked.
pub(super) fn data_folder(folder: &Path) -> Check {
    let nearest = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let asked = match nearest.is_dir() {
        true => access(nearest, Access::WRITE_OK | Access::EXEC_OK).and_then(|()| room(nearest)),
        false => Err(Errno::NOTDIR),
    };
    data_folder_of(folder, nearest, asked)
}

/// How many bytes can be written there; `None` if the disk does not say.
fn room(folder: &Path) -> Result<Option<u64>, Errno> {
    let disk = statvfs(folder)?;
    Ok((disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize)))
}

/// A record is a few kilobytes, the index some hundred.
const ENOUGH_ROOM: u64 = 1 << 20;

fn data_folder_of(folder: &Path, nearest: &Path, asked: Result<Option<u64>, Errno>) -> Check {
    const NAME: &str = "data folder";
    match asked {
        Ok(Some(room)) if room < ENOUGH_ROOM => Check::warning(
            NAME,
            format!("{}: the disk is full, {} KiB are left", folder.display(), room / 1024),
            "make room: what cannot be written down is lost to the next sweep",
        ),
        Ok(_) if folder == nearest => Check::ok(NAME, folder.display().to_string()),
        Ok(_) => Check::ok(NAME, format!("{}, not made yet", folder.display())),
        Err(error) => Check::error(
            NAME,
            format!("{} cannot be written: {}: {error}", folder.display(), nearest.display()),
            "name another with --data-dir, `data_dir` in hatchery.toml or HATCHERY_DATA_DIR",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus;
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn a_runtime_that_cannot_be_unpacked_is_critical() {
        let check = runtime_of(Err(Error::new(ErrorKind::Validation, "disk full")));
        assert_eq!((check.status, check.message.as_str()), (CheckStatus::Error, "disk full"));
        let check = runtime_of(Ok("/cache/runtime".into()));
        assert_eq!((check.status, check.message.as_str()), (CheckStatus::Ok, "/cache/runtime"));
    }

    #[test]
    fn few_open_files_are_a_warning() {
        for (limit, status, message) in [
            (Some(256), CheckStatus::Warning, "at most 256; each worker takes 6"),
            (Some(1024), CheckStatus::Ok, "at most 1024"),
            (None, CheckStatus::Ok, "no limit"),
        ] {
            let check = open_files_of(limit);
            assert_eq!((check.status, check.message.as_str()), (status, message));
        }
    }

    #[test]
    fn the_nearest_folder_decides_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let there = data_folder(folder.path());
        assert_eq!((there.status, there.message), (CheckStatus::Ok, folder.path().display().to_string()));
        let below = folder.path().join("a/b");
        let absent = data_folder(&below);
        assert_eq!((absent.status, absent.message), (CheckStatus::Ok, format!("{}, not made yet", below.display())));
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let check = data_folder(&file.path().join("data"));
        assert_eq!(check.status, CheckStatus::Error);
        let at = file.path().display();
        assert!(check.message.starts_with(&format!("{at}/data cannot be written: {at}: Not a directory")), "{check:?}");
        let full = data_folder_of(Path::new("/d"), Path::new("/d"), Ok(Some(4096)));
        assert_eq!(
            (full.status, full.message.as_str()),
            (CheckStatus::Warning, "/d: the disk is full, 4 KiB are left")
        );
        let check = data_folder_of(Path::new("/d/e"), Path::new("/d"), Err(Errno::ROFS));
        assert!(check.message.starts_with("/d/e cannot be written: /d: Read-only file system"), "{check:?}");
    }
}
