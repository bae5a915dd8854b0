//! The app, its interpreter, and what that can do.

use super::{Check, DoctorOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::pyenv::{ADVICE, Interpreter, Probe, PythonApp, PythonVersion};

/// Stops at what the rest depends on: without an interpreter there is no version to tell.
pub(super) fn checks(options: &DoctorOptions) -> Vec<Check> {
    let mut checks = options.app.as_ref().map(app).into_iter().collect::<Vec<_>>();
    let app = options.app.clone().unwrap_or_else(|| PythonApp::module("any"));
    let app = options.python.iter().fold(app, |app, python| app.python(python));
    let found = app.interpreter();
    checks.push(interpreter(&found));
    if let Ok(interpreter) = found {
        checks.extend(abilities(app.probe(&interpreter), &interpreter));
    }
    checks
}

fn app(app: &PythonApp) -> Check {
    match app.target() {
        Ok(target) => Check::ok("app", target.to_string_lossy()),
        Err(error) => Check::error("app", error.message(), "name a file that is there, or a module"),
    }
}

fn interpreter(found: &Result<Interpreter>) -> Check {
    const NAME: &str = "interpreter";
    match found {
        Ok(found) if found.passed_over().is_empty() => Check::ok(NAME, found.to_string()),
        Ok(found) => {
            let message = format!("{found}; passed over {}", found.passed_over().join(", "));
            Check::warning(NAME, message, "make the virtual environment anew: python3 -m venv .venv")
        }
        Err(error) => Check::error(NAME, error.message().replace(&format!("; {ADVICE}"), ""), ADVICE),
    }
}

fn abilities(answer: Result<Probe, Error>, interpreter: &Interpreter) -> Vec<Check> {
    match answer {
        Ok(probe) => vec![version(&probe, interpreter), profile(&probe), json_library(&probe)],
        // What is wrong is not Python; another check tells it.
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            vec![Check::error("python version", "cannot be asked: no process can be started", "see `containment`")]
        }
        Err(error) if error.message().contains("Too many open files") => {
            vec![Check::error("python version", error.message(), super::storage::MORE_FILES)]
        }
        Err(error) => vec![Check::error("python version", error.message(), ADVICE)],
    }
}

fn version(probe: &Probe, interpreter: &Interpreter) -> Check {
    const NAME: &str = "python version";
    let build = if probe.free_threaded { ", free-threaded" } else { "" };
    let message = format!("{} {}{build}, in {}", probe.implementation, probe.version, probe.prefix.display());
    if probe.version >= PythonVersion::OLDEST {
        return Check::ok(NAME, message);
    }
    let oldest = PythonVersion::OLDEST;
    let message = format!("{message}: hatchery needs {}.{} or newer", oldest.major, oldest.minor);
    Check::error(NAME, message, format!("{} is too old; {ADVICE}", interpreter.path().display()))
}

/// How a pool best runs several calls at once.
fn profile(probe: &Probe) -> Check {
    const NAME: &str = "worker profile";
    if !probe.recommends_threads() {
        let message =
            "process is recommended: this build of Python has a global interpreter lock, so its threads take turns";
        return Check::ok(NAME, message);
    }
    let message = "thread is recommended: this build of Python runs threads at the same time";
    match probe.gil_enabled {
        false => Check::ok(NAME, message).with_hint("`hatchery compat LIB...` says which libraries threads may use"),
        true => Check::warning(
            NAME,
            format!("{message}; but its lock is switched on"),
            "unset PYTHON_GIL, or use profile = \"process\"",
        ),
    }
}

fn json_library(probe: &Probe) -> Check {
    match probe.json_libraries.first() {
        Some(library) => Check::ok("JSON library", library),
        None => Check::ok("JSON library", "json of the standard library")
            .with_hint("calls are faster with msgspec: pip install msgspec"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus;
    use super::*;

    fn probe(version: (u32, u32, u32), json_libraries: &[&str]) -> Probe {
        let answer = serde_json::json!({
            "version": version, "implementation": "CPython", "prefix": "/v", "free_threaded": version.1 > 12, "gil_enabled": version.1 < 13,
            "json_libraries": json_libraries,
        });
        serde_json::from_value(answer).unwrap()
    }

    #[test]
    fn versions_from_three_nine_are_good() {
        let here = PythonApp::module("any").interpreter().unwrap();
        for (asked, status, message) in [
            ((3, 8, 20), CheckStatus::Error, "CPython 3.8.20, in /v: hatchery needs 3.9 or newer"),
            ((2, 7, 18), CheckStatus::Error, "CPython 2.7.18, in /v: hatchery needs 3.9 or newer"),
            ((3, 9, 0), CheckStatus::Ok, "CPython 3.9.0, in /v"),
            ((3, 13, 1), CheckStatus::Ok, "CPython 3.13.1, free-threaded, in /v"),
        ] {
            let check = version(&probe(asked, &[]), &here);
            assert_eq!((check.status, check.message.as_str()), (status, message));
            assert_eq!(check.hint.is_some(), status == CheckStatus::Error);
        }
    }

    #[test]
    fn the_build_and_not_the_version_decides_the_profile() {
        for (free_threaded, gil_enabled, status, word) in [
            (false, true, CheckStatus::Ok, "process"),
            (true, false, CheckStatus::Ok, "thread"),
            (true, true, CheckStatus::Warning, "thread"),
        ] {
            let check = profile(&Probe { free_threaded, gil_enabled, ..probe((3, 14, 0), &[]) });
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.message.starts_with(&format!("{word} is recommended")), "{check:?}");
        }
    }

    #[test]
    fn the_standard_library_is_good_enough_but_can_be_bettered() {
        let fast = json_library(&probe((3, 12, 0), &["msgspec", "orjson"]));
        assert_eq!((fast.status, fast.message.as_str(), fast.hint), (CheckStatus::Ok, "msgspec", None));
        let standard = json_library(&probe((3, 12, 0), &[]));
        assert_eq!(standard.status, CheckStatus::Ok);
        assert!(standard.hint.unwrap().contains("pip install msgspec"));
    }

    #[test]
    fn this_machine_has_an_interpreter_that_answers() {
        let names: Vec<_> = checks(&DoctorOptions::default()).iter().map(|check| (check.name, check.status)).collect();
        let ok = CheckStatus::Ok;
        assert_eq!(names, [("interpreter", ok), ("python version", ok), ("worker profile", ok), ("JSON library", ok)]);
    }

    #[test]
    fn without_an_interpreter_the_list_ends_there() {
        let options = DoctorOptions { python: Some("/no/python".into()), ..DoctorOptions::default() };
        let [check] = checks(&options).try_into().unwrap();
        assert_eq!(check.message, "python: no such file: /no/python (from the `python` setting)");
        assert_eq!(check.hint.as_deref(), Some(ADVICE));
    }
}
