//! The first process of a PID namespace, as in a container: the kernel gives it every orphan there, and whoever does not take them
//! up has a zombie for each. The daemon waits for its own children and for nobody else's, so it runs as a child of this one, which
//! does nothing but wait for all, and hand on four signals, and what a service manager has meant for this process by its pid.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitStatus};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::exit::Exit;

/// What ends a daemon, or has it read its configuration. A terminal's signals come to us and not to the daemon, which has a group
/// of its own; so each reaches it once.
const HANDED_ON: [(SignalKind, Signal); 4] = [
    (SignalKind::terminate(), Signal::TERM),
    (SignalKind::interrupt(), Signal::INT),
    (SignalKind::quit(), Signal::QUIT),
    (SignalKind::hangup(), Signal::HUP),
];

/// Whom a service manager means by the sockets that it hands over (`LISTEN_FDS`), and whose signs of life it waits for
/// (`WATCHDOG_USEC`). The sockets are inherited; without these variables, both are for whoever finds them.
const MEANT: [&str; 2] = ["LISTEN_PID", "WATCHDOG_PID"];

/// Whether this is one.
pub(crate) fn is_this() -> bool {
    std::process::id() == 1
}

/// Runs this command again as a child, and ends as it does. What else is left in the namespace ends with us.
pub(crate) fn stand_by() -> io::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = listen()?;
        let mut children = signal(SignalKind::child())?;
        let daemon = begin()?;
        loop {
            // Whoever ended before we listened is among them.
            if let Some(status) = take_up(daemon.id()) {
                return Ok(as_it(status));
            }
            tokio::select! {
                Some(number) = signals.recv() => hand_on(&daemon, number),
                _ = children.recv() => {}
            }
        }
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no run yet that could own it; it ends with this process, the namespace's first"
)]
fn begin() -> io::Result<Child> {
    let mut daemon = std::process::Command::new("/proc/self/exe");
    for name in ours(std::process::id(), |name| std::env::var(name).ok()) {
        daemon.env_remove(name);
    }
    daemon.args(std::env::args_os().skip(1)).process_group(0).spawn()
}

/// The variables that mean this process, and so the one that takes its place. What is meant for another stays so.
fn ours(pid: u32, variable: impl Fn(&str) -> Option<String>) -> impl Iterator<Item = &'static str> {
    MEANT.into_iter().filter(move |name| variable(name).is_some_and(|meant| meant == pid.to_string()))
}

fn listen() -> io::Result<mpsc::UnboundedReceiver<Signal>> {
    let (sender, signals) = mpsc::unbounded_channel();
    for (kind, number) in HANDED_ON {
        let (mut coming, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move { while coming.recv().await.is_some() && sender.send(number).is_ok() {} });
    }
    Ok(signals)
}

/// It is our child, and not waited for while this runs.
fn hand_on(daemon: &Child, number: Signal) {
    let pid = Pid::from_raw(daemon.id().cast_signed());
    let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let _has_just_ended = pidfd.map(|pidfd| pidfd_send_signal(&pidfd, number));
}

/// Waits for everyone who has ended. The daemon's status, if it is among them.
fn take_up(daemon: u32) -> Option<ExitStatus> {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get().cast_unsigned() == daemon {
            return Some(ExitStatus::from_raw(status.as_raw()));
        }
    }
    None
}

fn as_it(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::As(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, Some(number)) => Exit::Signal(number),
        (None, None) => Exit::As(u8::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_for_another_is_not_handed_on() {
        let variable = |name: &str| Some(if name == "LISTEN_PID" { "1" } else { "7" }.to_owned());
        assert_eq!(ours(1, variable).collect::<Vec<_>>(), ["LISTEN_PID"]);
        assert_eq!(ours(7, variable).collect::<Vec<_>>(), ["WATCHDOG_PID"]);
        assert_eq!(ours(1, |_| None).count(), 0);
    }
}
