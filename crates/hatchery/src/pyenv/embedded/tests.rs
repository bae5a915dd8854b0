use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Barrier;

use super::super::runtime::RUNTIME;
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
    let folder = RUNTIME.unpack(base).unwrap();
    for (name, content) in RUNTIME.files {
        assert_eq!(fs::read(folder.join(name)).unwrap(), *content, "{name}");
    }
    assert_eq!(names(&base.folder), [format!("runtime-{}", RUNTIME.digest)]);
    folder
}

#[test]
fn the_boot_script_and_the_package_are_embedded() {
    let names: Vec<_> = RUNTIME.files.iter().map(|(name, _)| *name).collect();
    assert!(names.contains(&"boot.py") && names.contains(&"hatchery/__init__.py"), "{names:?}");
    assert_eq!(RUNTIME.digest.len(), 16);
}

#[test]
fn places_are_tried_in_order() {
    let folders = |words: &str| -> Vec<String> {
        bases(&Paper::new(words), 7).iter().map(|base| base.folder.display().to_string()).collect()
    };
    assert_eq!(folders("XDG_CACHE_HOME=/cache HOME=/at/home"), ["/cache/hatchery", "/tmp/hatchery-7"]);
    assert_eq!(folders("HOME=/at/home"), ["/at/home/.cache/hatchery", "/tmp/hatchery-7"]);
    assert_eq!(folders("XDG_CACHE_HOME=cache HOME=/at/home"), ["/at/home/.cache/hatchery", "/tmp/hatchery-7"]);
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
            let folder = RUNTIME.unpack(&base).unwrap();
            assert_eq!(RUNTIME.inspect(&folder).unwrap(), State::Whole);
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
        assert_eq!(RUNTIME.inspect(&folder).unwrap(), State::Damaged(what.to_owned()));
        RUNTIME.unpack(&base).unwrap();
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
                RUNTIME.unpack(&base).unwrap();
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
    assert_eq!(RUNTIME.inspect(&folder).unwrap(), State::Whole);
}

#[test]
fn a_link_in_its_place_is_refused_and_not_followed() {
    let cache = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let base = private(cache.path());
    fs::create_dir(&base.folder).unwrap();
    symlink(elsewhere.path(), base.folder.join(format!("runtime-{}", RUNTIME.digest))).unwrap();
    let safe = private(elsewhere.path());
    let error = RUNTIME.unpacked_in(&[base, safe]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.message().ends_with("is not a private folder of this user: a symbolic link; remove it"), "{error}");
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
    let error = RUNTIME.unpacked_in(std::slice::from_ref(&base)).unwrap_err();
    assert!(error.message().contains("others may enter; remove it"), "{error}");
    fs::remove_dir(&base.folder).unwrap();
    symlink(everybody.path(), &base.folder).unwrap();
    let error = RUNTIME.unpacked_in(&[base]).unwrap_err();
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
    let error = RUNTIME.unpacked_in(&unwritable).unwrap_err();
    let message = error.message();
    assert!(message.starts_with("unpack the Python runtime: create /sys/hatchery: "), "{message}");
    assert!(message.contains(&format!("{}/hatchery", file.path().display())), "{message}");
    assert!(message.ends_with("; set XDG_CACHE_HOME to a folder that can be written"), "{message}");
    let cache = tempfile::tempdir().unwrap();
    let [first, _] = unwritable;
    assert!(RUNTIME.unpacked_in(&[first, private(cache.path())]).unwrap().starts_with(cache.path()));
}
