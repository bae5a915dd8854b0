//! Which errors say that a worker, or its card, must not be given calls for a while; and whether the call may be made again.

use std::time::Duration;

use super::gpu::{Fault, gpu_error};
use super::{Crash, CrashClass, Device};
use crate::error::{Error, ErrorKind};

/// The settings of a crash barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashBarrier {
    /// Default: no. A barrier that is not enabled lets everything pass.
    pub enabled: bool,
    /// How long a taint lasts. Default: 60 s.
    pub taint: Duration,
    /// The deaths that count. Default: segfault, out of memory, error of a card.
    pub mark_on: Vec<CrashClass>,
    /// Exit statuses that count too, as a shell has them: 139 is SIGSEGV. Default: none.
    pub taint_on_exit_codes: Vec<i32>,
    /// Types of exceptions that count too, with or without their module (`CardError`, `app.CardError`): raised by a tool, or
    /// named in the last output of a worker that died. Default: none.
    pub taint_on_error_types: Vec<String>,
    /// Whether an error that leaves a card unusable taints the card, and so all workers on it. Such an error counts
    /// even if the worker lives on: it can use the card no more. Default: yes.
    pub taint_device_on_cuda_fatal: bool,
    /// Which calls are made again on another worker. Default: idempotent ones.
    pub retry: CrashRetry,
    /// So often at most. Default: 1.
    pub max_restarts: u32,
    /// The pauses before; the last one repeats. Default: 50 ms, 100 ms, 200 ms.
    pub backoff: Vec<Duration>,
}

/// Which calls a crash barrier makes again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrashRetry {
    /// Those that were said to be idempotent.
    #[default]
    Idempotent,
    /// All: what they did before the crash is done twice.
    Always,
    /// None.
    Never,
}

/// What a [`CrashBarrier`] says about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It says nothing about the worker.
    Passed,
    /// The life of the worker that it comes from is to be tainted.
    Crashed {
        /// Why.
        class: CrashClass,
        /// And this card with it.
        device: Option<Device>,
    },
}

impl Default for CrashBarrier {
    fn default() -> CrashBarrier {
        CrashBarrier {
            enabled: false,
            taint: Duration::from_secs(60),
            mark_on: vec![CrashClass::Segfault, CrashClass::OutOfMemory, CrashClass::Gpu],
            taint_on_exit_codes: Vec::new(),
            taint_on_error_types: Vec::new(),
            taint_device_on_cuda_fatal: true,
            retry: CrashRetry::default(),
            max_restarts: 1,
            backoff: [50, 100, 200].map(Duration::from_millis).to_vec(),
        }
    }
}

impl CrashBarrier {
    /// What an error that a call ended with says about its worker.
    pub fn judge(&self, error: &Error) -> Verdict {
        match Crash::from_error(error) {
            _ if !self.enabled => Verdict::Passed,
            Some(crash) if self.names_a_type(error) => self.crashed(crash.class, &crash),
            Some(crash) => self.judge_crash(&crash),
            None if error.kind() == ErrorKind::Remote => self.judge_raised(error),
            None => Verdict::Passed,
        }
    }

    /// What a death says, of whomever it is.
    pub fn judge_crash(&self, crash: &Crash) -> Verdict {
        let exit_code_counts = crash.exit_code.is_some_and(|code| self.taint_on_exit_codes.contains(&code));
        if self.enabled && (exit_code_counts || self.mark_on.contains(&crash.class)) {
            self.crashed(crash.class, crash)
        } else {
            Verdict::Passed
        }
    }

    /// How long to wait before the call is made again on another worker; `None`: it is not. `restarts` have been made. Ask only
    /// if the verdict was [`Verdict::Crashed`].
    pub fn restart_after(&self, restarts: u32, is_idempotent: bool) -> Option<Duration> {
        let may = match self.retry {
            CrashRetry::Idempotent => is_idempotent,
            CrashRetry::Always => true,
            CrashRetry::Never => false,
        };
        let pause = || nth_or_last(&self.backoff, restarts);
        (may && restarts < self.max_restarts).then(pause)
    }

    fn crashed(&self, class: CrashClass, crash: &Crash) -> Verdict {
        let is_fatal = self.taint_device_on_cuda_fatal && class == CrashClass::Gpu;
        Verdict::Crashed { class, device: crash.device.filter(|_| is_fatal) }
    }

    /// An exception of a worker that lives on.
    fn judge_raised(&self, error: &Error) -> Verdict {
        let fatal = gpu_error(error.message()).filter(|error| error.fault == Fault::Fatal);
        match fatal {
            Some(fatal) if self.mark_on.contains(&CrashClass::Gpu) => {
                let device = self.taint_device_on_cuda_fatal.then_some(fatal.device);
                Verdict::Crashed { class: CrashClass::Gpu, device }
            }
            _ if self.names_a_type(error) => Verdict::Crashed { class: CrashClass::Unknown, device: None },
            _ => Verdict::Passed,
        }
    }

    fn names_a_type(&self, error: &Error) -> bool {
        let is_raised = |wanted: &str| error.python_type().is_some_and(|raised| is_type(raised, wanted));
        let is_written = |wanted: &str| {
            // "app.CardError: device lost", the last line of a traceback.
            error
                .last_output()
                .iter()
                .any(|line| line.split(':').next().is_some_and(|word| is_type(word.trim(), wanted)))
        };
        self.taint_on_error_types.iter().any(|wanted| is_raised(wanted) || is_written(wanted))
    }
}

/// `app.CardError` is a `CardError`.
fn is_type(found: &str, wanted: &str) -> bool {
    found.strip_suffix(wanted).is_some_and(|module| module.is_empty() || module.ends_with('.'))
}

/// Of a list of pauses; none if the list is empty.
pub(super) fn nth_or_last(pauses: &[Duration], index: u32) -> Duration {
    let last = pauses.len().saturating_sub(1);
    let index = usize::try_from(index).unwrap_or(last).min(last);
    pauses.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;
    use crate::error::ErrorBody;

    const LOST: &str = "CUDA error: device-side assert triggered on cuda:1";

    fn on() -> CrashBarrier {
        CrashBarrier { enabled: true, ..CrashBarrier::default() }
    }

    fn died(wait_status: i32, words: &str) -> Error {
        let output = vec![words.to_owned()];
        let crash = Crash::of_exit_status(ExitStatus::from_raw(wait_status), &output);
        Error::new(ErrorKind::WorkerDied, "died").with_details(crash.to_details()).with_last_output(output)
    }

    fn raised(python_type: &str, message: &str) -> Error {
        let body = serde_json::json!({"kind": "remote", "message": message, "python_type": python_type});
        serde_json::from_value::<ErrorBody>(body).unwrap().into()
    }

    fn text(verdict: Verdict) -> String {
        match verdict {
            Verdict::Passed => "passed".into(),
            Verdict::Crashed { class, device: None } => class.to_string(),
            Verdict::Crashed { class, device: Some(device) } => format!("{class} {device}"),
        }
    }

    #[test]
    fn one_that_is_not_enabled_lets_everything_pass() {
        assert_eq!(CrashBarrier::default().judge(&died(libc::SIGSEGV, "")), Verdict::Passed);
    }

    #[test]
    fn deaths_count_by_class_status_and_named_type() {
        let judged = |barrier: &CrashBarrier, status, words| text(barrier.judge(&died(status, words)));
        assert_eq!(judged(&on(), libc::SIGSEGV, ""), "segfault");
        assert_eq!(judged(&on(), libc::SIGABRT, ""), "passed");
        assert_eq!(judged(&on(), 3 << 8, ""), "passed");
        assert_eq!(judged(&on(), 1 << 8, LOST), "gpu cuda:1");
        let by_status = CrashBarrier { taint_on_exit_codes: vec![3, 134], ..on() };
        assert_eq!(judged(&by_status, 3 << 8, ""), "exit");
        assert_eq!(judged(&by_status, libc::SIGABRT, ""), "abort");
        let by_type = CrashBarrier { taint_on_error_types: vec!["CardError".into()], ..on() };
        assert_eq!(judged(&by_type, 1 << 8, "app.CardError: lost"), "exit");
        assert_eq!(judged(&by_type, 1 << 8, "app.NoCardError: lost"), "passed");
    }

    #[test]
    fn a_worker_that_lives_is_tainted_if_it_lost_its_card() {
        assert_eq!(text(on().judge(&raised("RuntimeError", LOST))), "gpu cuda:1");
        assert_eq!(text(on().judge(&raised("RuntimeError", "CUDA out of memory"))), "passed");
        assert_eq!(text(on().judge(&raised("ValueError", "no"))), "passed");
        let spare_the_card = CrashBarrier { taint_device_on_cuda_fatal: false, ..on() };
        assert_eq!(text(spare_the_card.judge(&raised("RuntimeError", LOST))), "gpu");
        let by_type = CrashBarrier { taint_on_error_types: vec!["app.Broken".into()], ..on() };
        assert_eq!(text(by_type.judge(&raised("app.Broken", "m"))), "unknown");
        assert_eq!(text(by_type.judge(&raised("other.app.Broken", "m"))), "unknown");
        assert_eq!(text(by_type.judge(&raised("Broken", "m"))), "passed");
    }

    #[test]
    fn errors_that_are_no_crash_pass() {
        for kind in [ErrorKind::Deadline, ErrorKind::Saturated, ErrorKind::Validation] {
            assert_eq!(on().judge(&Error::new(kind, LOST)), Verdict::Passed);
        }
    }

    #[test]
    fn restarts_are_counted_and_only_for_whom_they_are_meant() {
        let barrier = CrashBarrier { max_restarts: 5, ..on() };
        let pauses: Vec<_> = (0..6).map(|restarts| barrier.restart_after(restarts, true)).collect();
        let expected = [Some(50), Some(100), Some(200), Some(200), Some(200), None];
        assert_eq!(pauses, expected.map(|pause| pause.map(Duration::from_millis)));
        assert_eq!(barrier.restart_after(0, false), None);
        assert!(CrashBarrier { retry: CrashRetry::Always, ..on() }.restart_after(0, false).is_some());
        assert!(CrashBarrier { retry: CrashRetry::Never, ..on() }.restart_after(0, true).is_none());
        let without_pauses = CrashBarrier { backoff: Vec::new(), ..on() };
        assert_eq!(without_pauses.restart_after(0, true), Some(Duration::ZERO));
    }
}
