//! Python files that are embedded in a library and unpacked where interpreters can read them.
//!
//! A folder is named by the hash of what is in it, so versions live side by side and nothing is ever updated in place.
//! It appears whole or not at all: files are written into a folder beside it, which is then renamed. Workers run what
//! lies there, so it must be ours alone, and every start compares it with the embedded files (some 20 small reads).

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::app::program::{Environment, Host};
use crate::error::{Error, ErrorKind, Result};
use crate::id::random_u64;

/// Python files that a library carries with it, for crates that bring some of their own: as [`runtime_dir`](crate::runtime_dir) has
/// hatchery's.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    name: &'static str,
    digest: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

impl Embedded {
    /// Files by their paths below the folder that they are unpacked to, which has this name and this digest of them in its own.
    pub const fn new(
        name: &'static str,
        digest: &'static str,
        files: &'static [(&'static str, &'static [u8])],
    ) -> Embedded {
        Embedded { name, digest, files }
    }

    /// The folder that holds them; unpacks them on first use, and mends what has become of them since.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if no such folder can be made, or if somebody else had a hand in the one that is there.
    pub fn folder(&self) -> Result<PathBuf> {
        self.unpacked_in(&bases(&Host, user()))
    }

    /// The first place that works. One that was tampered with ends the search: going on elsewhere would hide it.
    fn unpacked_in(&self, bases: &[Base]) -> Result<PathBuf> {
        let mut failures = Vec::new();
        for base in bases {
            match self.unpack(base) {
                Ok(folder) => return Ok(folder),
                Err(Failure::Untrusted(fact)) => return Err(self.refusal(&fact)),
                Err(Failure::Io(fact)) => failures.push(fact),
            }
        }
        Err(self.refusal(&format!("{}; set XDG_CACHE_HOME to a folder that can be written", failures.join("; "))))
    }

    fn refusal(&self, fact: &str) -> Error {
        Error::new(ErrorKind::Validation, format!("unpack the Python {}: {fact}", self.name))
    }

    fn unpack(&self, base: &Base) -> Result<PathBuf, Failure> {
        let folder = base.folder.join(format!("{}-{}", self.name, self.digest));
        let mut damage = String::new();
        for _ in 0..ATTEMPTS {
            match self.inspect(&folder)? {
                State::Whole => return Ok(folder),
                State::Missing => {
                    prepare(base)?;
                    appear(&self.draft(&base.folder)?, &folder)?;
                }
                State::Damaged(what) => {
                    replace(&self.draft(&base.folder)?, &folder)?;
                    damage = what;
                }
            }
        }
        Err(Failure::Io(format!("{} is damaged again as soon as it is mended: {damage}", folder.display())))
    }

    fn inspect(&self, folder: &Path) -> Result<State, Failure> {
        let found = match fs::symlink_metadata(folder) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Missing),
            Err(error) => return Err(Failure::io("look at", folder)(error)),
        };
        require_own(folder, &found, user())?;
        Ok(match self.damage(folder, &found) {
            Some(what) => State::Damaged(what),
            None => State::Whole,
        })
    }

    /// All files, in a new folder inside `base`.
    fn draft(&self, base: &Path) -> Result<Draft, Failure> {
        let folder = base.join(format!(".draft-{:016x}", random_u64()));
        create_folder(&folder).map_err(Failure::io("create", &folder))?;
        let draft = Draft(folder);
        for (name, content) in self.files {
            let path = draft.0.join(name);
            write_file(&path, content).map_err(Failure::io("write", &path))?;
        }
        Ok(draft)
    }

    /// The first thing in which the folder differs from what is embedded.
    fn damage(&self, folder: &Path, found: &fs::Metadata) -> Option<String> {
        if !is_private(found) {
            return Some("others may enter".to_owned());
        }
        let altered = self.files.iter().find(|(name, content)| !holds(&folder.join(name), content));
        altered.map(|(name, _)| format!("{name} is altered")).or_else(|| self.stray(folder, Path::new("")))
    }

    /// Something that was not put there by us or by an interpreter's cache: a `json.py` beside the boot script would be imported.
    fn stray(&self, root: &Path, below: &Path) -> Option<String> {
        let Ok(entries) = fs::read_dir(root.join(below)) else {
            return Some(format!("{} cannot be read", root.join(below).display()));
        };
        entries.flatten().find_map(|entry| {
            let path = below.join(entry.file_name());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            match (is_folder, path.file_name() == Some(OsStr::new("__pycache__"))) {
                (true, true) => None,
                (true, false) if self.files.iter().any(|(name, _)| Path::new(name).starts_with(&path)) => {
                    self.stray(root, &path)
                }
                (false, _) if self.files.iter().any(|(name, _)| Path::new(name) == path) => None,
                _ => Some(format!("{} does not belong there", path.display())),
            }
        })
    }
}

/// A place for unpacked runtimes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Base {
    folder: PathBuf,
    /// Whether it lies where everybody may write, so that it must be proven ours before anything is put there.
    is_public: bool,
}

fn bases(environment: &impl Environment, user: u32) -> Vec<Base> {
    let absolute = |name| environment.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let private = cache.map(|cache| Base { folder: cache.join("hatchery"), is_public: false });
    let public = Base { folder: format!("/tmp/hatchery-{user}").into(), is_public: true };
    private.into_iter().chain([public]).collect()
}

/// Why a place cannot be used.
#[derive(Debug)]
enum Failure {
    /// It is not ours alone. What was found, and what to do.
    Untrusted(String),
    /// The operating system refused.
    Io(String),
}

impl Failure {
    fn io(attempted: &str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
        move |error| Failure::Io(format!("{attempted} {}: {error}", path.display()))
    }
}

/// How often a folder that others damage as fast as we mend it is mended.
const ATTEMPTS: usize = 5;

/// Makes the place itself.
fn prepare(base: &Base) -> Result<(), Failure> {
    let folder = &base.folder;
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Failure::io("create", folder))?;
    if !base.is_public {
        return Ok(());
    }
    let found = fs::symlink_metadata(folder).map_err(Failure::io("look at", folder))?;
    require_own(folder, &found, user())?;
    match is_private(&found) {
        true => Ok(()),
        false => Err(untrusted(folder, "others may enter")),
    }
}

/// A new folder and nothing else: that somebody else was first is not an error.
fn appear(draft: &Draft, folder: &Path) -> Result<(), Failure> {
    match renameat_with(CWD, &draft.0, CWD, folder, RenameFlags::NOREPLACE) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        // A filesystem without the flag. A plain rename never replaces a folder that has something in it.
        Err(rustix::io::Errno::INVAL) => match fs::rename(&draft.0, folder) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(Failure::io("create", folder)(error)),
            _ => Ok(()),
        },
        Err(error) => Err(Failure::io("create", folder)(error.into())),
    }
}

/// Swaps the damaged folder for the draft in one step, so that those who start workers meanwhile find one or the other;
/// the draft's own end removes what was swapped out.
fn replace(draft: &Draft, folder: &Path) -> Result<(), Failure> {
    match renameat_with(CWD, &draft.0, CWD, folder, RenameFlags::EXCHANGE) {
        // Gone meanwhile: the next look decides.
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::INVAL) => move_aside(folder),
        Err(error) => Err(Failure::io("replace", folder)(error.into())),
    }
}

/// For filesystems that cannot swap. Leaves the place empty; the next look fills it.
fn move_aside(folder: &Path) -> Result<(), Failure> {
    let aside = Draft(folder.with_extension(format!("{:016x}", random_u64())));
    match fs::rename(folder, &aside.0) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::io("replace", folder)(error)),
        _ => Ok(()),
    }
}

/// A folder that nobody knows of yet, removed when dropped unless it was renamed away.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // It is gone if it became the runtime. If it cannot be removed, it lies there unused; nobody waits for this.
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content)
}

/// What stands where the runtime should be, and is ours.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Missing,
    Whole,
    Damaged(String),
}

/// Refuses what is not a folder of this user; such a thing is not ours to remove, either.
fn require_own(folder: &Path, found: &fs::Metadata, user: u32) -> Result<(), Failure> {
    if found.is_symlink() {
        Err(untrusted(folder, "a symbolic link"))
    } else if !found.is_dir() {
        Err(untrusted(folder, "not a folder"))
    } else if found.uid() != user {
        Err(untrusted(folder, &format!("owned by user {}, not by user {user}", found.uid())))
    } else {
        Ok(())
    }
}

fn untrusted(folder: &Path, fact: &str) -> Failure {
    Failure::Untrusted(format!("{} is not a private folder of this user: {fact}; remove it", folder.display()))
}

fn is_private(found: &fs::Metadata) -> bool {
    found.mode() & 0o077 == 0
}

fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

fn holds(path: &Path, content: &[u8]) -> bool {
    let is_plain = |found: fs::Metadata| found.is_file() && is_private(&found) && found.len() == content.len() as u64;
    fs::symlink_metadata(path).is_ok_and(is_plain) && fs::read(path).is_ok_and(|read| read == content)
}

#[cfg(test)]
mod tests;
