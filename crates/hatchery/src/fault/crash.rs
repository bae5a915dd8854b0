//! How a worker died, from what the kernel says and, where that leaves it open, from its own last words.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Device;
use super::gpu::{Fault, GpuError, gpu_error};
use crate::error::{Error, ErrorKind};
use crate::process::{Death, Status};

/// The kinds of death. The text form (`segfault`) is the one in JSON and in configuration files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CrashClass {
    /// It touched memory that is not its own: SIGSEGV or SIGBUS, or the exit status by which a shell tells of them.
    Segfault,
    /// It gave itself up: SIGABRT, or exit status 134.
    Abort,
    /// The kernel ended it for want of memory, or it gave up because its card had none left.
    #[serde(rename = "oom")]
    OutOfMemory,
    /// Any other signal, from wherever it came; also exit status 137. Which, says [`Crash::signal`].
    Killed,
    /// It left by itself. With which status, says [`Crash::exit_code`].
    Exit,
    /// It gave up over an error of its graphics card.
    Gpu,
    /// The host ended it: it did not heed a cancellation.
    Ended,
    /// Nobody saw how, or it comes from a newer version.
    #[serde(other)]
    Unknown,
}

/// How a worker died.
///
/// Every error of kind `worker_died` carries one in [`Error::details`], as
/// `{"type": "worker_crash", "classification", "exit_code", "signal", "core_dumped", "device"}`; absent facts are `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "worker_crash")]
#[non_exhaustive]
pub struct Crash {
    /// What kind of death it was.
    #[serde(rename = "classification")]
    pub class: CrashClass,
    /// The exit status as a shell has it: 128 and the signal, if a signal ended it. `None` if nobody saw it.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if the kernel says so.
    pub signal: Option<i32>,
    /// Whether it left a core behind.
    #[serde(default)]
    pub core_dumped: bool,
    /// The graphics card of which its last words told an error.
    #[serde(default)]
    pub device: Option<Device>,
}

impl CrashClass {
    /// The text form.
    ///
    /// ```
    /// assert_eq!(hatchery::fault::CrashClass::OutOfMemory.as_str(), "oom");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            CrashClass::Segfault => "segfault",
            CrashClass::Abort => "abort",
            CrashClass::OutOfMemory => "oom",
            CrashClass::Killed => "killed",
            CrashClass::Exit => "exit",
            CrashClass::Gpu => "gpu",
            CrashClass::Ended => "ended",
            CrashClass::Unknown => "unknown",
        }
    }
}

impl fmt::Display for CrashClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Crash {
    /// Of a process that somebody else waited for. `last_output`: the last lines that it wrote, oldest first.
    pub fn of_exit_status(status: ExitStatus, last_output: &[String]) -> Crash {
        let status = match (status.code(), status.signal()) {
            (Some(code), _) => Status::Exited(code),
            (None, Some(signal)) => Status::Signaled { signal, core: status.core_dumped() },
            (None, None) => Status::Unguarded,
        };
        Crash::classified(status, false, last_output)
    }

    /// The one that an error of kind `worker_died` tells of, of class `unknown` if it tells nothing; `None` for errors of
    /// other kinds.
    pub fn from_error(error: &Error) -> Option<Crash> {
        let told = || Crash::from_details(error.details()?);
        (error.kind() == ErrorKind::WorkerDied).then(|| told().unwrap_or_else(Crash::unseen))
    }

    /// Reads what [`Crash::to_details`] wrote; `None` if it is something else.
    pub fn from_details(details: &Value) -> Option<Crash> {
        let is_one = details.get("type").and_then(Value::as_str) == Some("worker_crash");
        if is_one { Crash::deserialize(details).ok() } else { None }
    }

    /// The object for [`Error::with_details`].
    pub fn to_details(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    pub(crate) fn of(death: &Death, last_output: &[String]) -> Crash {
        Crash::classified(death.status, death.out_of_memory, last_output)
    }

    /// The signal was ours, so that it says nothing about the worker.
    pub(crate) fn ended_by_host(death: &Death) -> Crash {
        Crash { class: CrashClass::Ended, ..Crash::of(death, &[]) }
    }

    fn unseen() -> Crash {
        Crash::classified(Status::Unguarded, false, &[])
    }

    fn classified(status: Status, out_of_memory: bool, last_output: &[String]) -> Crash {
        let (exit_code, signal, core_dumped) = match status {
            Status::Exited(code) => (Some(code), None, false),
            Status::Signaled { signal, core } => (Some(128 + signal), Some(signal), core),
            Status::Unguarded | Status::Unkillable => (None, None, false),
        };
        let gpu = last_output.iter().rev().find_map(|line| gpu_error(line)).filter(|_| exit_code != Some(0));
        let class = if out_of_memory { CrashClass::OutOfMemory } else { class_of(status, exit_code, gpu) };
        Crash { class, exit_code, signal, core_dumped, device: gpu.map(|error| error.device) }
    }
}

/// A segfault or a kill is what it is. An abort and an exit are only the way in which a program gives up: its last words
/// say why.
fn class_of(status: Status, exit_code: Option<i32>, gpu: Option<GpuError>) -> CrashClass {
    let class = match (by_exit_code(exit_code), status) {
        (CrashClass::Exit, Status::Signaled { .. }) => CrashClass::Killed,
        (class, _) => class,
    };
    match (class, gpu.map(|error| error.fault)) {
        (CrashClass::Abort | CrashClass::Exit, Some(Fault::OutOfMemory)) => CrashClass::OutOfMemory,
        (CrashClass::Abort | CrashClass::Exit, Some(Fault::Fatal | Fault::Other)) => CrashClass::Gpu,
        _ => class,
    }
}

/// A worker behind a shell dies with 139 where one without dies of SIGSEGV, so both are read in the shell's way. Of the
/// statuses above 128, those are taken for signals that hardly anybody exits with on purpose.
fn by_exit_code(code: Option<i32>) -> CrashClass {
    const SEGV: i32 = 128 + libc::SIGSEGV;
    const BUS: i32 = 128 + libc::SIGBUS;
    const ABRT: i32 = 128 + libc::SIGABRT;
    const KILL: i32 = 128 + libc::SIGKILL;
    match code {
        Some(SEGV | BUS) => CrashClass::Segfault,
        Some(ABRT) => CrashClass::Abort,
        Some(KILL) => CrashClass::Killed,
        Some(_) => CrashClass::Exit,
        None => CrashClass::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ILLEGAL: &str = "RuntimeError: CUDA error: an illegal memory access was encountered (cuda:1)";
    const FULL: &str = "torch.OutOfMemoryError: CUDA out of memory. GPU 0 has a total capacity of 23.6 GiB";

    fn signaled(signal: i32) -> Status {
        Status::Signaled { signal, core: false }
    }

    fn class(status: Status, words: &str) -> &'static str {
        Crash::classified(status, false, &[words.to_owned(), "Aborted".to_owned()]).class.as_str()
    }

    #[test]
    fn the_status_decides_and_last_words_only_where_it_is_silent() {
        assert_eq!(class(signaled(libc::SIGSEGV), ""), "segfault");
        assert_eq!(class(signaled(libc::SIGSEGV), ILLEGAL), "segfault");
        assert_eq!(class(signaled(libc::SIGBUS), ""), "segfault");
        assert_eq!(class(signaled(libc::SIGABRT), ""), "abort");
        assert_eq!(class(signaled(libc::SIGABRT), ILLEGAL), "gpu");
        assert_eq!(class(signaled(libc::SIGKILL), ILLEGAL), "killed");
        assert_eq!(class(signaled(libc::SIGILL), ""), "killed");
        assert_eq!(class(Status::Exited(1), ILLEGAL), "gpu");
        assert_eq!(class(Status::Exited(1), FULL), "oom");
        assert_eq!(class(Status::Exited(1), "using cuda:0"), "exit");
        assert_eq!(class(Status::Exited(0), ILLEGAL), "exit");
        assert_eq!(class(Status::Unguarded, ILLEGAL), "unknown");
    }

    #[test]
    fn a_shell_tells_of_signals_by_exit_status() {
        let classes = [139, 135, 134, 137, 3, 255].map(|code| class(Status::Exited(code), ""));
        assert_eq!(classes, ["segfault", "segfault", "abort", "killed", "exit", "exit"]);
    }

    #[test]
    fn what_the_kernel_says_of_memory_beats_everything() {
        let crash = Crash::classified(signaled(libc::SIGKILL), true, &[ILLEGAL.to_owned()]);
        assert_eq!(crash.class, CrashClass::OutOfMemory);
    }

    #[test]
    fn the_details_can_be_read_again() {
        let status = Status::Signaled { signal: libc::SIGABRT, core: true };
        let crash = Crash::classified(status, false, &[ILLEGAL.to_owned()]);
        let expected = serde_json::json!({
            "type": "worker_crash", "classification": "gpu", "exit_code": 134, "signal": 6, "core_dumped": true,
            "device": "cuda:1",
        });
        assert_eq!(crash.to_details(), expected);
        let error = Error::new(ErrorKind::WorkerDied, "died").with_details(expected);
        assert_eq!(Crash::from_error(&error), Some(crash));
    }

    #[test]
    fn an_error_without_facts_is_an_unknown_crash_and_one_of_another_kind_is_none() {
        let died = Error::new(ErrorKind::WorkerDied, "died").with_details(serde_json::json!({"type": "other"}));
        assert_eq!(Crash::from_error(&died).unwrap().class, CrashClass::Unknown);
        assert_eq!(Crash::from_error(&Error::new(ErrorKind::Remote, "raised")), None);
    }

    #[test]
    fn a_class_of_a_newer_version_is_unknown() {
        let details =
            serde_json::json!({"type": "worker_crash", "classification": "melted", "exit_code": 1, "signal": null});
        assert_eq!(Crash::from_details(&details).unwrap().class, CrashClass::Unknown);
    }

    #[test]
    fn a_status_of_the_standard_library_is_read_too() {
        let segfault_with_core = ExitStatus::from_raw(libc::SIGSEGV | 0x80);
        let crash = Crash::of_exit_status(segfault_with_core, &[]);
        assert_eq!((crash.class, crash.signal, crash.core_dumped), (CrashClass::Segfault, Some(11), true));
        assert_eq!(Crash::of_exit_status(ExitStatus::from_raw(3 << 8), &[]).exit_code, Some(3));
    }
}
