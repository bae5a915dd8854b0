//! The service manager that has started this process, as its variables say: `NOTIFY_SOCKET` and `WATCHDOG_USEC` of systemd.

use std::ffi::OsString;
use std::time::Duration;

use hatchery::{Error, ErrorKind, Result};
use hatchery_daemon::{Daemon, Notifier};

/// Who wants to hear how the daemon is.
pub(super) struct Manager {
    notifier: Notifier,
    /// How long it waits for a sign of life.
    patience: Option<Duration>,
}

/// That of this process, if it has one.
///
/// # Errors
/// `validation` if a variable says what cannot be.
pub(super) fn of_process() -> Result<Option<Manager>> {
    let Some(address) = variable("NOTIFY_SOCKET") else { return Ok(None) };
    let [microseconds, pid] = ["WATCHDOG_USEC", "WATCHDOG_PID"].map(text);
    let patience = patience(microseconds.as_deref(), pid.as_deref(), std::process::id())?;
    Ok(Some(Manager { notifier: Notifier::to(&address)?, patience }))
}

/// The daemon, whose manager is told.
pub(super) fn told(daemon: Daemon, manager: Option<Manager>) -> Daemon {
    match manager {
        Some(Manager { notifier, patience }) => daemon.notifying(notifier, patience),
        None => daemon,
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str) -> Option<String> {
    Some(variable(name)?.to_string_lossy().into_owned())
}

/// The watchdog's, if it is meant for us.
fn patience(microseconds: Option<&str>, pid: Option<&str>, own: u32) -> Result<Option<Duration>> {
    let Some(microseconds) = microseconds else { return Ok(None) };
    if pid.is_some_and(|pid| pid != own.to_string()) {
        return Ok(None);
    }
    match microseconds.parse() {
        Ok(0) => Ok(None),
        Ok(microseconds) => Ok(Some(Duration::from_micros(microseconds))),
        Err(_) => {
            let message = format!("WATCHDOG_USEC: expected a number of microseconds, found {microseconds:?}");
            Err(Error::new(ErrorKind::Validation, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_ours_if_it_names_nobody_else() {
        let second = Some(Duration::from_secs(1));
        for (microseconds, pid, expected) in [
            (None, None, None),
            (Some("1000000"), None, second),
            (Some("1000000"), Some("7"), second),
            (Some("1000000"), Some("8"), None),
            (Some("0"), None, None),
        ] {
            assert_eq!(patience(microseconds, pid, 7).unwrap(), expected, "{microseconds:?} {pid:?}");
        }
        assert!(patience(Some("soon"), None, 7).unwrap_err().message().contains("found \"soon\""));
    }
}
