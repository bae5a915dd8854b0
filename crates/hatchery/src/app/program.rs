//! Finds an executable by name or path. The rules are a function of an [`Environment`], so that they are tested without
//! touching the machine.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What the rules may ask about the machine.
pub(crate) trait Environment {
    /// A variable; one that is empty is not there.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// What lies at an absolute path, after following links.
    fn look(&self, path: &Path) -> Sight;

    /// The folder from which relative paths are taken.
    fn folder(&self) -> PathBuf;
}

/// What lies at a path, as far as starting it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    Nothing,
    DanglingLink,
    NotAFile,
    NotExecutable,
    Executable,
}

impl Sight {
    /// The fact, to be followed by the path.
    fn as_str(self) -> &'static str {
        match self {
            Sight::Nothing => "no such file",
            Sight::DanglingLink => "a link to nowhere",
            Sight::NotAFile => "not a file",
            Sight::NotExecutable => "not executable",
            Sight::Executable => "executable",
        }
    }
}

/// Why there is nothing to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The path was named, and this lies there.
    Path(PathBuf, Sight),
    /// No folder of `PATH` has it.
    NotOnPath(OsString),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Path(path, sight) => write!(f, "{}: {}", sight.as_str(), path.display()),
            Refusal::NotOnPath(name) => write!(f, "no such program on PATH: {}", name.to_string_lossy()),
        }
    }
}

/// The absolute path of an executable. Text with a slash is a path, anything else a name to look for along `PATH`.
/// Links are followed to look, and kept in the answer: an interpreter in a virtual environment is a link whose place matters.
pub(crate) fn resolve(program: &OsStr, environment: &impl Environment) -> Result<PathBuf, Refusal> {
    if !is_path(program) {
        return on_path(program, environment).ok_or_else(|| Refusal::NotOnPath(program.to_owned()));
    }
    let path = environment.folder().join(program);
    match environment.look(&path) {
        Sight::Executable => Ok(path),
        sight => Err(Refusal::Path(path, sight)),
    }
}

/// The first executable of this name in the folders of `PATH`.
pub(crate) fn on_path(name: &OsStr, environment: &impl Environment) -> Option<PathBuf> {
    let folder = environment.folder();
    let candidates = std::env::split_paths(&environment.variable("PATH")?)
        .map(|entry| folder.join(entry).join(name))
        .collect::<Vec<_>>();
    candidates.into_iter().find(|candidate| environment.look(candidate) == Sight::Executable)
}

pub(crate) fn is_path(program: &OsStr) -> bool {
    program.as_bytes().contains(&b'/')
}

/// The machine itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host;

impl Environment for Host {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    }

    fn look(&self, path: &Path) -> Sight {
        match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => Sight::NotAFile,
            Ok(found) if found.permissions().mode() & 0o111 == 0 => Sight::NotExecutable,
            Ok(_) => Sight::Executable,
            Err(_) if path.is_symlink() => Sight::DanglingLink,
            Err(_) => Sight::Nothing,
        }
    }

    /// A host whose folder was removed has none; then a relative path stays relative and is not found.
    fn folder(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A machine written down: variables, and files at absolute paths.
    #[derive(Default)]
    pub(crate) struct Paper {
        pub(crate) variables: BTreeMap<String, OsString>,
        pub(crate) files: BTreeMap<PathBuf, Sight>,
    }

    impl Paper {
        /// Words like `PATH=/bin:/usr/bin`, `/bin/sh`, `/bin/old!` (not executable), `/bin/x?` (dangling), `/bin/d/` (a folder).
        pub(crate) fn new(words: &str) -> Paper {
            let mut paper = Paper::default();
            for word in words.split_whitespace() {
                paper.add(word);
            }
            paper
        }

        fn add(&mut self, word: &str) {
            if let Some((name, value)) = word.split_once('=') {
                self.variables.insert(name.to_owned(), value.into());
                return;
            }
            let (path, sight) = match word.chars().last() {
                Some('!') => (&word[..word.len() - 1], Sight::NotExecutable),
                Some('?') => (&word[..word.len() - 1], Sight::DanglingLink),
                Some('/') => (&word[..word.len() - 1], Sight::NotAFile),
                _ => (word, Sight::Executable),
            };
            self.files.insert(path.into(), sight);
        }
    }

    impl Environment for Paper {
        fn variable(&self, name: &str) -> Option<OsString> {
            self.variables.get(name).filter(|value| !value.is_empty()).cloned()
        }

        fn look(&self, path: &Path) -> Sight {
            self.files.get(path).copied().unwrap_or(Sight::Nothing)
        }

        fn folder(&self) -> PathBuf {
            "/here".into()
        }
    }

    #[track_caller]
    fn check(machine: &str, program: &str, expected: &str) {
        let found = match resolve(OsStr::new(program), &Paper::new(machine)) {
            Ok(path) => path.display().to_string(),
            Err(refusal) => refusal.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_name_is_looked_for_along_the_path() {
        check("PATH=/a:/b /b/node /a/node!", "node", "/b/node");
        check("PATH=/a:/b /a/node /b/node", "node", "/a/node");
        check("PATH=/a: /here/node", "node", "/here/node");
        check("PATH=bin /here/bin/node", "node", "/here/bin/node");
        check("PATH=/a /a/node/", "node", "no such program on PATH: node");
        check("/a/node", "node", "no such program on PATH: node");
    }

    #[test]
    fn text_with_a_slash_is_a_path_and_nothing_else_is_tried() {
        check("/x/node", "/x/node", "/x/node");
        check("/here/./node", "./node", "/here/./node");
        check("PATH=/a /a/node", "./node", "no such file: /here/./node");
        check("/x/node!", "/x/node", "not executable: /x/node");
        check("/x/node/", "/x/node", "not a file: /x/node");
        check("/x/node?", "/x/node", "a link to nowhere: /x/node");
    }

    #[test]
    fn the_host_tells_the_five_sights_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("plain"), "").unwrap();
        std::fs::write(at("run"), "").unwrap();
        std::fs::set_permissions(at("plain"), PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::set_permissions(at("run"), PermissionsExt::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("run", at("link")).unwrap();
        std::os::unix::fs::symlink("gone", at("dangling")).unwrap();
        let sights = ["none", "dangling", ".", "plain", "run", "link"].map(|name| Host.look(&at(name)));
        let expected = [
            Sight::Nothing,
            Sight::DanglingLink,
            Sight::NotAFile,
            Sight::NotExecutable,
            Sight::Executable,
            Sight::Executable,
        ];
        assert_eq!(sights, expected);
    }
}
