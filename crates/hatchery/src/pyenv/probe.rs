//! What an interpreter says about itself, by running it once.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ADVICE;
use super::interpreter::Interpreter;
use crate::error::{Error, ErrorKind, Result};

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
    /// Those of `msgspec` and `orjson` that it can import; best first.
    pub json_libraries: Vec<String>,
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
/// [`ErrorKind::Validation`] with what the program wrote, if that is not an answer.
pub(super) fn ask(python: &Path, env: &[(OsString, OsString)]) -> Result<Probe> {
    let output = run(python, &["-c".as_ref(), QUESTION.as_ref()], env, PATIENCE, MAX_OUTPUT)?;
    read(&output).ok_or_else(|| Error::new(ErrorKind::Validation, complaint(&output)))
}

fn read(output: &Output) -> Option<Probe> {
    let answer = output.stdout.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?;
    serde_json::from_slice(answer).ok().filter(|_| output.success)
}

/// "exit status 127: libpython3.12.so.1.0: cannot open shared object file".
fn complaint(output: &Output) -> String {
    let written = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    match written.iter().find(|text| !text.is_empty()) {
        Some(text) => format!("{}: {}", output.how, text.lines().next_back().unwrap_or_default()),
        None => format!("{}, and it wrote nothing", output.how),
    }
}

/// What a program left behind that was run to its end.
struct Output {
    success: bool,
    how: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Runs a program to its end: the one place that does.
#[expect(clippy::disallowed_methods, reason = "until process::run_to_end is here")]
fn run(
    program: &Path,
    args: &[&OsStr],
    env: &[(OsString, OsString)],
    _patience: Duration,
    max_output: usize,
) -> Result<Output> {
    let mut command = std::process::Command::new(program);
    command.args(args).envs(env.iter().cloned()).stdin(std::process::Stdio::null());
    let mut output = command.output().map_err(|error| Error::new(ErrorKind::Validation, error.to_string()))?;
    output.stdout.truncate(max_output);
    output.stderr.truncate(max_output);
    let how = output.status.to_string();
    Ok(Output { success: output.status.success(), how, stdout: output.stdout, stderr: output.stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(success: bool, stdout: &str, stderr: &str) -> Output {
        Output { success, how: "exit status 1".to_owned(), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn the_python_of_this_machine_answers() {
        let probe = crate::pyenv::PythonApp::module("any").interpreter().unwrap().probe().unwrap();
        assert!(probe.version >= PythonVersion::OLDEST, "{probe:?}");
        assert!(probe.prefix.is_absolute());
    }

    #[test]
    fn the_answer_is_the_last_line_whatever_start_up_hooks_wrote() {
        let answer = r#"{"version":[3,13,1],"implementation":"CPython","prefix":"/v","free_threaded":true,"json_libraries":["orjson"]}"#;
        let probe = read(&output(true, &format!("hello\n\n{answer}\n"), "")).unwrap();
        assert_eq!(probe.version.to_string(), "3.13.1");
        assert!(probe.free_threaded);
        assert_eq!(probe.json_libraries, ["orjson"]);
        assert!(read(&output(false, answer, "")).is_none());
    }

    #[test]
    fn what_is_not_an_answer_is_quoted() {
        assert_eq!(complaint(&output(false, "", "Traceback\nImportError: no\n")), "exit status 1: ImportError: no");
        assert_eq!(complaint(&output(false, "", " \n")), "exit status 1, and it wrote nothing");
    }
}
