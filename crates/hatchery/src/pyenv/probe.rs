//! What an interpreter says about itself, by running it once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ADVICE;
use super::interpreter::Interpreter;
use crate::error::{Error, ErrorKind, Result};
use crate::process::{self, Confinement, Output, Spec, Status, Stdio};

/// What an interpreter says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Probe {
    /// Its version.
    pub version: PythonVersion,
    /// `CPython`, `PyPy`.
    pub implementation: String,
    /// Its installation or virtual environment: `sys.prefix`.
    pub prefix: PathBuf,
    /// Whether it was built to run without the global interpreter lock.
    pub free_threaded: bool,
    /// Whether the lock is there all the same: always in an ordinary build, by `PYTHON_GIL=1` in a free-threaded one.
    pub gil_enabled: bool,
    /// Those of `msgspec` and `orjson` that it can import; best first.
    pub json_libraries: Vec<String>,
}

impl Probe {
    /// Whether several calls at once are best run in threads of one worker, for they run at the same time there; else each in a
    /// process of its own. It is a matter of how the interpreter was built, and not of its version.
    pub fn recommends_threads(&self) -> bool {
        self.free_threaded
    }
}

/// Like 3.11.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(u32, u32, u32)", into = "(u32, u32, u32)")]
pub struct PythonVersion {
    /// 3.
    pub major: u32,
    /// 11.
    pub minor: u32,
    /// 7.
    pub micro: u32,
}

impl PythonVersion {
    /// The oldest that workers run on.
    pub const OLDEST: PythonVersion = PythonVersion { major: 3, minor: 9, micro: 0 };

    /// Why workers do not run on this version, if they do not.
    pub(crate) fn refusal(self, interpreter: &Interpreter) -> Option<Error> {
        let oldest = PythonVersion::OLDEST;
        let message = format!(
            "{interpreter} is Python {self}, hatchery needs {}.{} or newer; {ADVICE}",
            oldest.major, oldest.minor
        );
        (self < oldest).then(|| Error::new(ErrorKind::Validation, message))
    }
}

impl From<(u32, u32, u32)> for PythonVersion {
    fn from((major, minor, micro): (u32, u32, u32)) -> PythonVersion {
        PythonVersion { major, minor, micro }
    }
}

impl From<PythonVersion> for (u32, u32, u32) {
    fn from(version: PythonVersion) -> (u32, u32, u32) {
        (version.major, version.minor, version.micro)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// Runs on any Python since 2.6, since it is asked of those that are too old. The folder one stands in is taken off the
/// search path: a `json.py` there is not the standard library's.
const QUESTION: &str = r#"
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import json, platform, sysconfig
def importable(name):
    try:
        __import__(name)
        return True
    except Exception:
        return False
print("")
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "implementation": platform.python_implementation(),
    "prefix": sys.prefix,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "gil_enabled": getattr(sys, "_is_gil_enabled", lambda: True)(),
    "json_libraries": [name for name in ("msgspec", "orjson") if importable(name)],
}))
"#;

/// Far more than it takes; an interpreter on a cold network disk may need seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Start-up hooks of an environment may write much; the answer is the last line.
const MAX_OUTPUT: usize = 1 << 20;

/// Runs `python` and reads its answer.
///
/// # Errors
/// [`ErrorKind::Validation`] with what the program wrote, if that is not an answer; [`ErrorKind::Unavailable`] if nothing can
/// be started on this machine.
pub(super) fn ask(python: &Path, env: &[(OsString, OsString)]) -> Result<Probe> {
    answer(python, QUESTION, env, None)
}

/// Runs `python` on other code that prints one line of JSON, and reads that.
///
/// # Errors
/// As [`ask`].
pub(super) fn answer<T: DeserializeOwned>(
    python: &Path,
    question: &str,
    env: &[(OsString, OsString)],
    folder: Option<&Path>,
) -> Result<T> {
    let env: BTreeMap<_, _> = std::env::vars_os().chain(env.iter().cloned()).collect();
    let question = Spec {
        program: python.to_path_buf(),
        args: vec!["-c".into(), question.into()],
        env: env.into_iter().collect(),
        cwd: folder.map(Path::to_owned),
        stdio: Stdio::default(),
        fds: Vec::new(),
        confinement: Confinement::default(),
    };
    let output = process::run_to_end(question, PATIENCE, MAX_OUTPUT).map_err(|error| {
        let kind = if error.is_unguarded() { ErrorKind::Unavailable } else { ErrorKind::Validation };
        Error::new(kind, format!("run {}: {error}", python.display()))
    })?;
    read(&output).ok_or_else(|| Error::new(ErrorKind::Validation, complaint(&output)))
}

fn read<T: DeserializeOwned>(output: &Output) -> Option<T> {
    let answer = output.stdout.lines().next_back()?;
    serde_json::from_str(answer).ok().filter(|_| output.status == Status::Exited(0))
}

/// "exit status 127: libpython3.12.so.1.0: cannot open shared object file".
fn complaint(output: &Output) -> String {
    let written = [&output.stderr, &output.stdout].map(|text| text.trim());
    match written.iter().find_map(|text| text.lines().next_back()) {
        Some(line) => format!("{}: {line}", output.status),
        None => format!("{}, and it wrote nothing", output.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(success: bool, stdout: &str, stderr: &str) -> Output {
        Output { status: Status::Exited(i32::from(!success)), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn the_python_of_this_machine_answers() {
        let probe = crate::pyenv::PythonApp::module("any").interpreter().unwrap().probe().unwrap();
        assert!(probe.version >= PythonVersion::OLDEST, "{probe:?}");
        assert!(probe.prefix.is_absolute());
        assert!(probe.gil_enabled || probe.free_threaded, "an ordinary build has its lock: {probe:?}");
    }

    #[test]
    fn the_answer_is_the_last_line_whatever_start_up_hooks_wrote() {
        let answer = r#"{"version":[3,13,1],"implementation":"CPython","prefix":"/v","free_threaded":true,"gil_enabled":false,"json_libraries":["orjson"]}"#;
        let probe: Probe = read(&output(true, &format!("hello\n\n{answer}\n"), "")).unwrap();
        assert_eq!(probe.version.to_string(), "3.13.1");
        assert!(probe.free_threaded && !probe.gil_enabled);
        assert_eq!(probe.json_libraries, ["orjson"]);
        assert!(read::<Probe>(&output(false, answer, "")).is_none());
    }

    #[test]
    fn what_is_not_an_answer_is_quoted() {
        assert_eq!(complaint(&output(false, "", "Traceback\nImportError: no\n")), "exit status 1: ImportError: no");
        assert_eq!(complaint(&output(false, "", " \n")), "exit status 1, and it wrote nothing");
    }
}
