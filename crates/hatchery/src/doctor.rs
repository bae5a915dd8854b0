//! What this machine has of what hatchery needs, as values: each check says what was found and how to mend it.
//! Nothing is changed, but for the Python runtime, which is unpacked.

use std::path::PathBuf;

use serde::Serialize;

use crate::config::data_dir;
use crate::error::{Error, ErrorKind, Result};
use crate::pyenv::PythonApp;

mod containment;
mod kernel;
mod python;
mod storage;
mod sweep;

pub use containment::write_guardian;

/// For whom the machine is checked.
#[derive(Clone, Debug, Default)]
pub struct DoctorOptions {
    /// The interpreter that was asked for, as with [`PythonApp::python`].
    pub python: Option<PathBuf>,
    /// The app that is to run. Default: none in particular, in the folder of this process.
    pub app: Option<PythonApp>,
    /// Where data is to be kept. Default: [`data_dir`] of the instance `default`.
    pub data_dir: Option<PathBuf>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, in a word or two; every name occurs once.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub status: CheckStatus,
    /// What was found.
    pub message: String,
    /// How to mend it, or to make it better.
    pub hint: Option<String>,
    /// Whether nothing starts while this is an error.
    pub critical: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// Something will be slower, weaker or absent.
    Warning,
    /// Something will fail.
    Error,
}

impl Check {
    /// A finding that needs no advice.
    pub fn new(name: &'static str, status: CheckStatus, message: impl Into<String>) -> Check {
        Check { name, status, message: message.into(), hint: None, critical: false }
    }

    fn ok(name: &'static str, message: impl Into<String>) -> Check {
        Check::new(name, CheckStatus::Ok, message)
    }

    fn warning(name: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Check {
        Check::new(name, CheckStatus::Warning, message).with_hint(hint)
    }

    fn error(name: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Check {
        Check::new(name, CheckStatus::Error, message).with_hint(hint)
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Check {
        self.hint = Some(hint.into());
        self
    }

    fn critical(mut self) -> Check {
        self.critical = true;
        self
    }
}

/// Looks at everything. Blocks for as long as the interpreter takes to say what it is: some 20 ms, at most 10 s.
///
/// ```no_run
/// use hatchery::{CheckStatus, DoctorOptions, doctor};
///
/// for check in doctor(&DoctorOptions::default()) {
///     if check.status == CheckStatus::Error {
///         eprintln!("{}: {} ({})", check.name, check.message, check.hint.unwrap_or_default());
///     }
/// }
/// ```
pub fn doctor(options: &DoctorOptions) -> Vec<Check> {
    let data = options.data_dir.clone().unwrap_or_else(|| data_dir("default"));
    let mut checks = python::checks(options);
    checks.push(storage::runtime());
    checks.extend(kernel::checks());
    checks.push(containment::check());
    checks.push(sweep::orphan_sweep());
    checks.push(storage::open_files());
    checks.push(storage::data_folder(&data));
    checks
}

/// Those checks without which nothing may start. Starts no process; takes less than a millisecond once the Python runtime
/// is unpacked. (That there is an interpreter, each start finds out by itself.)
pub fn critical_checks() -> Vec<Check> {
    vec![kernel::pidfd(), storage::runtime()]
}

/// Fails with the first critical check that does.
pub(crate) fn require_critical() -> Result<()> {
    match critical_checks().into_iter().find(|check| check.status == CheckStatus::Error) {
        Some(check) => Err(refusal(&check)),
        None => Ok(()),
    }
}

fn refusal(check: &Check) -> Error {
    let hint = check.hint.iter().map(|hint| format!("; {hint}")).collect::<String>();
    Error::new(ErrorKind::Validation, format!("{}: {}{hint}", check.name, check.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_fails_becomes_an_error_with_its_hint() {
        let error = refusal(&Check::error("pidfd", "the kernel has none", "use Linux 5.4 or newer"));
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert_eq!(error.message(), "pidfd: the kernel has none; use Linux 5.4 or newer");
    }

    #[test]
    fn a_check_is_written_as_scripts_read_it() {
        let check = Check::warning("memory", "little", "buy more").critical();
        let expected = serde_json::json!({
            "name": "memory", "status": "warning", "message": "little", "hint": "buy more", "critical": true,
        });
        assert_eq!(serde_json::to_value(check).unwrap(), expected);
    }

    #[test]
    fn whatever_is_not_well_says_how_to_mend_it() {
        let folder = tempfile::tempdir().unwrap();
        let options = DoctorOptions {
            python: Some("/no/such/python".into()),
            app: Some(PythonApp::file(folder.path().join("gone.py"))),
            data_dir: Some("/dev/null/data".into()),
        };
        let mut checks = python::checks(&options);
        checks.extend(kernel::checks());
        checks.extend([storage::open_files(), storage::data_folder(&options.data_dir.unwrap())]);
        let names: std::collections::HashSet<_> = checks.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), checks.len(), "{checks:?}");
        assert!(checks.iter().all(|check| check.status == CheckStatus::Ok || check.hint.is_some()), "{checks:?}");
        let failed = |name| checks.iter().any(|check| check.name == name && check.status == CheckStatus::Error);
        assert!(["app", "interpreter", "data folder"].into_iter().all(failed), "{checks:?}");
    }
}
