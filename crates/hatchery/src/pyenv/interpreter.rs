//! Which Python interpreter runs an app. A function of an `Environment`; the order of the places is the order of the code.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::ADVICE;
use super::probe::{self, Probe};
use crate::app::program::{self, Environment, Sight};
use crate::error::{Error, ErrorKind, Result};

/// A Python interpreter, and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    path: PathBuf,
    found_by: FoundBy,
    passed_over: Vec<String>,
}

/// Which rule chose an interpreter. `Display` fits behind the interpreter's path: "from the app's .venv".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoundBy {
    /// It was named for the app, by flag, configuration or [`PythonApp::python`](crate::PythonApp::python).
    Setting,
    /// The variable `HATCHERY_PYTHON`.
    Variable,
    /// The virtual environment in `.venv` beside the app, or one folder above.
    AppVenv,
    /// The virtual environment that is active in the shell: `VIRTUAL_ENV`.
    ActiveVenv,
    /// `python3` or `python` along `PATH`.
    Path,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FoundBy::Setting => "from the `python` setting",
            FoundBy::Variable => "from HATCHERY_PYTHON",
            FoundBy::AppVenv => "from the app's .venv",
            FoundBy::ActiveVenv => "from VIRTUAL_ENV",
            FoundBy::Path => "from PATH",
        })
    }
}

impl Interpreter {
    /// Its absolute path. Links are kept, as a virtual environment is one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it is this one.
    pub fn found_by(&self) -> FoundBy {
        self.found_by
    }

    /// What lies in places that come first and should be an interpreter, but cannot be started, like
    /// "a link to nowhere: /srv/.venv/bin/python3". Usually empty.
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    /// Runs the interpreter once and asks it what it is. Blocks for some 20 ms, at most 10 s.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if it does not run, or is not Python.
    pub fn probe(&self) -> Result<Probe> {
        self.probe_with(&[])
    }

    /// Runs this code in this folder, with these variables on top of the host's, and reads the last line that it prints as JSON. Blocks
    /// for as long as that takes, at most 10 s.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] with what it wrote, if that is none; [`ErrorKind::Unavailable`] if no process can be started.
    pub fn ask<T: DeserializeOwned>(&self, code: &str, env: &[(OsString, OsString)], folder: &Path) -> Result<T> {
        probe::answer(&self.path, code, env, Some(folder)).map_err(|error| error.context(format_args!("ask {self}")))
    }

    /// As [`Interpreter::probe`], with these variables set, as a worker would have them.
    pub(super) fn probe_with(&self, env: &[(OsString, OsString)]) -> Result<Probe> {
        probe::ask(&self.path, env).map_err(|error| error.context(format_args!("ask {self} for its version")))
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path.display(), self.found_by)
    }
}

/// The first of the places that has one. `folder` is the app's.
///
/// One that was named by a person is taken or refused, never passed over: a worker that quietly runs on another
/// interpreter fails later, and far from the reason.
pub(super) fn find(setting: Option<&OsStr>, folder: &Path, environment: &impl Environment) -> Result<Interpreter> {
    if let Some(python) = setting {
        return named(python, FoundBy::Setting, environment);
    }
    if let Some(python) = environment.variable("HATCHERY_PYTHON") {
        return named(&python, FoundBy::Variable, environment);
    }
    let mut passed_over = Vec::new();
    for (path, found_by) in in_virtual_environments(folder, environment) {
        match environment.look(&path) {
            Sight::Executable => return Ok(Interpreter { path, found_by, passed_over }),
            Sight::Nothing => {}
            sight => passed_over.push(program::Refusal::Path(path, sight).to_string()),
        }
    }
    let on_path = ["python3", "python"].into_iter().find_map(|name| program::on_path(name.as_ref(), environment));
    match on_path {
        Some(path) => Ok(Interpreter { path, found_by: FoundBy::Path, passed_over }),
        None => Err(none_found(folder, environment, &passed_over)),
    }
}

fn named(python: &OsStr, found_by: FoundBy, environment: &impl Environment) -> Result<Interpreter> {
    match program::resolve(python, environment) {
        Ok(path) => Ok(Interpreter { path, found_by, passed_over: Vec::new() }),
        Err(refusal) => Err(Error::new(ErrorKind::Validation, format!("python: {refusal} ({found_by})"))),
    }
}

/// Where the interpreters of virtual environments would be, best first.
fn in_virtual_environments(folder: &Path, environment: &impl Environment) -> Vec<(PathBuf, FoundBy)> {
    let of_app = app_venvs(folder).map(|venv| (venv, FoundBy::AppVenv));
    let active = environment.variable("VIRTUAL_ENV").map(|venv| (PathBuf::from(venv), FoundBy::ActiveVenv));
    let both_names = |(venv, found_by): (PathBuf, FoundBy)| {
        ["bin/python3", "bin/python"].map(|name| (environment.folder().join(&venv).join(name), found_by))
    };
    of_app.chain(active).flat_map(both_names).collect()
}

fn app_venvs(folder: &Path) -> impl Iterator<Item = PathBuf> {
    [Some(folder), folder.parent()].into_iter().flatten().map(|folder| folder.join(".venv"))
}

fn none_found(folder: &Path, environment: &impl Environment, passed_over: &[String]) -> Error {
    let mut looked = app_venvs(folder).map(|venv| venv.display().to_string()).collect::<Vec<_>>();
    looked.push(match environment.variable("VIRTUAL_ENV") {
        Some(venv) => format!("VIRTUAL_ENV={}", venv.to_string_lossy()),
        None => "VIRTUAL_ENV (not set)".to_owned(),
    });
    looked.push("PATH (python3, python)".to_owned());
    let mut message = format!("no Python interpreter found; looked at {}", looked.join(", "));
    for fact in passed_over.iter().map(String::as_str).chain([ADVICE]) {
        message.push_str("; ");
        message.push_str(fact);
    }
    Error::new(ErrorKind::Validation, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::program::tests::Paper;

    #[track_caller]
    fn check(machine: &str, setting: Option<&str>, expected: &str) {
        let found = find(setting.map(OsStr::new), Path::new("/srv/app"), &Paper::new(machine));
        assert_eq!(found.map_or_else(|error| error.to_string(), |found| found.to_string()), expected);
    }

    const ALL: &str =
        "HATCHERY_PYTHON=/env/python VIRTUAL_ENV=/active PATH=/bin /named/python /env/python /bin/python3 /bin/python
        /srv/app/.venv/bin/python3 /srv/app/.venv/bin/python /srv/.venv/bin/python3 /active/bin/python3";

    /// The machine of [`ALL`] without some of its words.
    fn without(words: &[&str]) -> String {
        ALL.split_whitespace().filter(|word| !words.contains(word)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_first_place_wins() {
        check(ALL, Some("/named/python"), "/named/python (from the `python` setting)");
        check(ALL, Some("python"), "/bin/python (from the `python` setting)");
        check(ALL, None, "/env/python (from HATCHERY_PYTHON)");
        let mut gone = vec!["HATCHERY_PYTHON=/env/python"];
        for (next, expected) in [
            ("/srv/app/.venv/bin/python3", "/srv/app/.venv/bin/python3 (from the app's .venv)"),
            ("/srv/app/.venv/bin/python", "/srv/app/.venv/bin/python (from the app's .venv)"),
            ("/srv/.venv/bin/python3", "/srv/.venv/bin/python3 (from the app's .venv)"),
            ("/active/bin/python3", "/active/bin/python3 (from VIRTUAL_ENV)"),
            ("/bin/python3", "/bin/python3 (from PATH)"),
            ("/bin/python", "/bin/python (from PATH)"),
        ] {
            check(&without(&gone), None, expected);
            gone.push(next);
        }
    }

    #[test]
    fn one_that_was_named_is_never_passed_over() {
        check(ALL, Some("/x/python3"), "python: no such file: /x/python3 (from the `python` setting)");
        check(ALL, Some("python3.99"), "python: no such program on PATH: python3.99 (from the `python` setting)");
        check(ALL, Some("./py"), "python: no such file: /here/./py (from the `python` setting)");
        let machine = without(&["/env/python"]);
        check(&machine, None, "python: no such file: /env/python (from HATCHERY_PYTHON)");
        check(&format!("{machine} /env/python/"), None, "python: not a file: /env/python (from HATCHERY_PYTHON)");
        check(&format!("{machine} /env/python!"), None, "python: not executable: /env/python (from HATCHERY_PYTHON)");
    }

    #[test]
    fn an_empty_variable_is_not_there() {
        check("HATCHERY_PYTHON= VIRTUAL_ENV= PATH=/bin /bin/python3", None, "/bin/python3 (from PATH)");
    }

    #[test]
    fn a_broken_environment_is_passed_over_and_remembered() {
        let machine = Paper::new("PATH=/bin /bin/python3 /srv/app/.venv/bin/python3? /srv/app/.venv/bin/python!");
        let found = find(None, Path::new("/srv/app"), &machine).unwrap();
        assert_eq!(found.path(), Path::new("/bin/python3"));
        let expected = ["a link to nowhere: /srv/app/.venv/bin/python3", "not executable: /srv/app/.venv/bin/python"];
        assert_eq!(found.passed_over(), expected);
    }

    #[test]
    fn where_there_is_none_all_places_are_named() {
        let looked = "no Python interpreter found; looked at /srv/app/.venv, /srv/.venv";
        check("PATH=/bin", None, &format!("{looked}, VIRTUAL_ENV (not set), PATH (python3, python); {ADVICE}"));
        check(
            "VIRTUAL_ENV=/v /v/bin/python?",
            None,
            &format!("{looked}, VIRTUAL_ENV=/v, PATH (python3, python); a link to nowhere: /v/bin/python; {ADVICE}"),
        );
    }

    #[test]
    fn an_app_in_the_root_has_no_folder_above() {
        let found = find(None, Path::new("/"), &Paper::new("/.venv/bin/python3")).unwrap();
        assert_eq!(found.path(), Path::new("/.venv/bin/python3"));
    }
}
