//! The Python side of hatchery, embedded in this library and unpacked where interpreters can read it.
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

// DIGEST, FILES: made by build.rs.
include!(concat!(env!("OUT_DIR"), "/runtime_files.rs"));

/// The folder that holds the Python package `hatchery` and its boot script; unpacks it on first use.
///
/// It lies in `$XDG_CACHE_HOME/hatchery` (by default `~/.cache/hatchery`), or in `/tmp/hatchery-<uid>` where there is no
/// home that can be written. Only this user can read it. Any number of threads and processes may ask at once.
///
/// # Errors
/// [`ErrorKind::Validation`] if no such folder can be made, or if somebody else had a hand in the one that is there.
pub fn runtime_dir() -> Result<PathBuf> {
    unpacked_in(&bases(&Host, user()))
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

/// The first place that works. One that was tampered with ends the search: going on elsewhere would hide it.
fn unpacked_in(bases: &[Base]) -> Result<PathBuf> {
    let mut failures = Vec::new();
    for base in bases {
        match unpack(base) {
            Ok(folder) => return Ok(folder),
            Err(Failure::Untrusted(fact)) => return Err(refusal(&fact)),
            Err(Failure::Io(fact)) => failures.push(fact),
        }
    }
    Err(refusal(&format!("{}; set XDG_CACHE_HOME to a folder that can be written", failures.join("; "))))
}

fn refusal(fact: &str) -> Error {
    Error::new(ErrorKind::Validation, format!("unpack the Python runtime: {fact}"))
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

fn unpack(base: &Base) -> Result<PathBuf, Failure> {
    let folder = base.folder.join(format!("runtime-{DIGEST}"));
    let mut damage = String::new();
    for _ in 0..ATTEMPTS {
        match inspect(&folder)? {
            State::Whole => return Ok(folder),
            State::Missing => {
                prepare(base)?;
                appear(&Draft::write(&base.folder)?, &folder)?;
            }
            State::Damaged(what) => {
                replace(&Draft::write(&base.folder)?, &folder)?;
                damage = what;
            }
        }
    }
    Err(Failure::Io(format!("{} is damaged again as soon as it is mended: {damage}", folder.display())))
}

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

impl Draft {
    /// All files, in a new folder inside `base`.
    fn write(base: &Path) -> Result<Draft, Failure> {
        let folder = base.join(format!(".draft-{:016x}", random_u64()));
        create_folder(&folder).map_err(Failure::io("create", &folder))?;
        let draft = Draft(folder);
        for (name, content) in FILES {
            let path = draft.0.join(name);
            write_file(&path, content).map_err(Failure::io("write", &path))?;
        }
        Ok(draft)
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

fn inspect(folder: &Path) -> Result<State, Failure> {
    let found = match fs::symlink_metadata(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Missing),
        Err(error) => return Err(Failure::io("look at", folder)(error)),
    };
    require_own(folder, &found, user())?;
    Ok(match damage(folder, &found) {
        Some(what) => State::Damaged(what),
        None => State::Whole,
    })
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

/// The first thing in which the folder differs from what is embedded.
fn damage(folder: &Path, found: &fs::Metadata) -> Option<String> {
    if !is_private(found) {
        return Some("others may enter".to_owned());
    }
    let altered = FILES.iter().find(|(name, content)| !holds(&folder.join(name), content));
    altered.map(|(name, _)| format!("{name} is altered")).or_else(|| stray(folder, Path::new("")))
}

fn holds(path: &Path, content: &[u8]) -> bool {
    let is_plain = |found: fs::Metadata| found.is_file() && is_private(&found) && found.len() == content.len() as u64;
    fs::symlink_metadata(path).is_ok_and(is_plain) && fs::read(path).is_ok_and(|read| read == content)
}

/// Something that was not put there by us or by an interpreter's cache: a `json.py` beside the boot script would be imported.
fn stray(root: &Path, below: &Path) -> Option<String> {
    let Ok(entries) = fs::read_dir(root.join(below)) else {
        return Some(format!("{} cannot be read", root.join(below).display()));
    };
    entries.flatten().find_map(|entry| {
        let path = below.join(entry.file_name());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        match (is_folder, path.file_name() == Some(OsStr::new("__pycache__"))) {
            (true, true) => None,
            (true, false) if FILES.iter().any(|(name, _)| Path::new(name).starts_with(&path)) => stray(root, &path),
            (false, _) if FILES.iter().any(|(name, _)| Path::new(name) == path) => None,
            _ => Some(format!("{} does not belong there", path.display())),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::Barrier;

    use super::*;
    use crate::app::program::tests::Paper;

    fn private(folder: &Path) -> Base {
        Base { folder: folder.join("hatchery"), is_public: false }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Unpacks, and asserts that all is in place and nothing else.
    #[track_caller]
    fn unpack_well(base: &Base) -> PathBuf {
        let folder = unpack(base).unwrap();
        for (name, content) in FILES {
            assert_eq!(fs::read(folder.join(name)).unwrap(), *content, "{name}");
        }
        assert_eq!(names(&base.folder), [format!("runtime-{DIGEST}")]);
        folder
    }

    #[test]
    fn the_boot_script_and_the_package_are_embedded() {
        let names: Vec<_> = FILES.iter().map(|(name, _)| *name).collect();
        assert!(names.contains(&"boot.py") && names.contains(&"hatchery/__init__.py"), "{names:?}");
        assert_eq!(DIGEST.len(), 16);
    }

    #[test]
    fn places_are_tried_in_order() {
        let folders = |words: &str| -> Vec<String> {
            bases(&Paper::new(words), 7).iter().map(|base| base.folder.display().to_string()).collect()
        };
        assert_eq!(folders("XDG_CACHE_HOME=/cache HOME=/home/u"), ["/cache/hatchery", "/tmp/hatchery-7"]);
        assert_eq!(folders("HOME=/home/u"), ["/home/u/.cache/hatchery", "/tmp/hatchery-7"]);
        assert_eq!(folders("XDG_CACHE_HOME=cache HOME=/home/u"), ["/home/u/.cache/hatchery", "/tmp/hatchery-7"]);
        assert_eq!(folders("XDG_CACHE_HOME= HOME="), ["/tmp/hatchery-7"]);
    }

    #[test]
    fn thirty_two_first_uses_at_once_find_one_whole_folder() {
        let cache = tempfile::tempdir().unwrap();
        let base = private(cache.path());
        let start = Barrier::new(32);
        std::thread::scope(|scope| {
            let use_it = || {
                start.wait();
                let folder = unpack(&base).unwrap();
                assert_eq!(inspect(&folder).unwrap(), State::Whole);
            };
            for _ in 0..32 {
                scope.spawn(use_it);
            }
        });
        let folder = unpack_well(&base);
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.join("boot.py")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn every_kind_of_damage_is_seen_and_mended() {
        type Spoil = fn(&Path);
        let spoils: [(&str, Spoil); 8] = [
            ("boot.py is altered", |folder| fs::write(folder.join("boot.py"), "import evil").unwrap()),
            ("boot.py is altered", |folder| fs::remove_file(folder.join("boot.py")).unwrap()),
            ("hatchery/__init__.py is altered", |folder| {
                let path = folder.join("hatchery/__init__.py");
                let mut content = fs::read(&path).unwrap();
                content.iter_mut().for_each(|byte| *byte ^= 1);
                fs::write(path, content).unwrap();
            }),
            ("boot.py is altered", |folder| {
                let path = folder.join("boot.py");
                fs::rename(&path, folder.join("../moved.py")).unwrap();
                symlink("../moved.py", path).unwrap();
            }),
            ("json.py does not belong there", |folder| fs::write(folder.join("json.py"), "").unwrap()),
            ("hatchery/x does not belong there", |folder| fs::create_dir(folder.join("hatchery/x")).unwrap()),
            ("hatchery does not belong there", |folder| {
                fs::rename(folder.join("hatchery"), folder.join("../moved")).unwrap();
                symlink("../moved", folder.join("hatchery")).unwrap();
            }),
            ("others may enter", |folder| fs::set_permissions(folder, PermissionsExt::from_mode(0o770)).unwrap()),
        ];
        for (what, spoil) in spoils {
            let cache = tempfile::tempdir().unwrap();
            let base = private(cache.path());
            let folder = unpack_well(&base);
            spoil(&folder);
            assert_eq!(inspect(&folder).unwrap(), State::Damaged(what.to_owned()));
            unpack(&base).unwrap();
            for moved in ["moved.py", "moved"].map(|name| base.folder.join(name)) {
                let _not_in_every_case = fs::remove_file(&moved).or_else(|_| fs::remove_dir_all(&moved));
            }
            unpack_well(&base);
        }
    }

    #[test]
    fn damage_that_many_see_at_once_is_mended_by_all_of_them() {
        let cache = tempfile::tempdir().unwrap();
        let base = private(cache.path());
        fs::write(unpack_well(&base).join("boot.py"), "").unwrap();
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    unpack(&base).unwrap();
                });
            }
        });
        unpack_well(&base);
    }

    #[test]
    fn without_a_swap_a_damaged_folder_is_moved_aside() {
        let cache = tempfile::tempdir().unwrap();
        let base = private(cache.path());
        let folder = unpack_well(&base);
        move_aside(&folder).unwrap();
        assert_eq!(names(&base.folder), [""; 0]);
        move_aside(&folder).unwrap();
        unpack_well(&base);
    }

    #[test]
    fn what_an_interpreter_caches_is_not_damage() {
        let cache = tempfile::tempdir().unwrap();
        let folder = unpack_well(&private(cache.path()));
        fs::create_dir(folder.join("hatchery/__pycache__")).unwrap();
        fs::write(folder.join("hatchery/__pycache__/wire.cpython-311.pyc"), "").unwrap();
        assert_eq!(inspect(&folder).unwrap(), State::Whole);
    }

    #[test]
    fn a_link_in_its_place_is_refused_and_not_followed() {
        let cache = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let base = private(cache.path());
        fs::create_dir(&base.folder).unwrap();
        symlink(elsewhere.path(), base.folder.join(format!("runtime-{DIGEST}"))).unwrap();
        let safe = private(elsewhere.path());
        let error = unpacked_in(&[base, safe]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert!(
            error.message().ends_with("is not a private folder of this user: a symbolic link; remove it"),
            "{error}"
        );
        assert_eq!(names(elsewhere.path()), [""; 0]);
    }

    #[test]
    fn a_place_that_all_may_write_to_must_be_ours_alone() {
        let everybody = tempfile::tempdir().unwrap();
        let base = Base { folder: everybody.path().join("hatchery-7"), is_public: true };
        unpack_well(&base);
        fs::remove_dir_all(&base.folder).unwrap();
        fs::create_dir(&base.folder).unwrap();
        fs::set_permissions(&base.folder, PermissionsExt::from_mode(0o777)).unwrap();
        let error = unpacked_in(std::slice::from_ref(&base)).unwrap_err();
        assert!(error.message().contains("others may enter; remove it"), "{error}");
        fs::remove_dir(&base.folder).unwrap();
        symlink(everybody.path(), &base.folder).unwrap();
        let error = unpacked_in(&[base]).unwrap_err();
        assert!(error.message().contains("a symbolic link; remove it"), "{error}");
    }

    #[test]
    fn the_folder_of_another_user_is_refused() {
        let cache = tempfile::tempdir().unwrap();
        let found = fs::metadata(cache.path()).unwrap();
        assert!(require_own(cache.path(), &found, user()).is_ok());
        let Err(Failure::Untrusted(fact)) = require_own(cache.path(), &found, user() + 1) else { panic!("accepted") };
        assert!(fact.contains(&format!("owned by user {}, not by user {}", user(), user() + 1)), "{fact}");
    }

    #[test]
    fn where_nothing_can_be_written_each_place_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // Nobody, root included, makes a folder in sysfs or below a file.
        let unwritable = [private(Path::new("/sys")), private(file.path())];
        let error = unpacked_in(&unwritable).unwrap_err();
        let message = error.message();
        assert!(message.starts_with("unpack the Python runtime: create /sys/hatchery: "), "{message}");
        assert!(message.contains(&format!("{}/hatchery", file.path().display())), "{message}");
        assert!(message.ends_with("; set XDG_CACHE_HOME to a folder that can be written"), "{message}");
        let cache = tempfile::tempdir().unwrap();
        let [first, _] = unwritable;
        assert!(unpacked_in(&[first, private(cache.path())]).unwrap().starts_with(cache.path()));
    }
}
