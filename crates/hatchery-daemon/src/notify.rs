//! Tells the service manager that supervises this process how it is, as `sd_notify(3)` has it: datagrams of a few lines.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use hatchery::{Error, ErrorKind, Result};
use rustix::time::{ClockId, clock_gettime};

use crate::Phase;

/// A way to the service manager. What cannot be told at once is not told: nobody who serves calls waits for it.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    manager: SocketAddr,
}

impl Notifier {
    /// To whoever listens there: a path, or a name that begins with `@` (an abstract socket).
    ///
    /// # Errors
    /// `validation` for any other address, or if no socket can be made.
    pub fn to(address: &OsStr) -> Result<Notifier> {
        let failed = |why: io::Error| {
            let message = format!("reach the service manager at {}: {why}", address.display());
            Error::new(ErrorKind::Validation, message)
        };
        let manager = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(address),
            _ => Err(io::Error::other("expected a path from the root, or a name that begins with @")),
        };
        let manager = manager.map_err(failed)?;
        let socket = UnixDatagram::unbound().map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Notifier { socket, manager })
    }

    /// The daemon has entered this phase.
    pub(crate) fn phase(&self, phase: Phase, address: std::net::SocketAddr) {
        match phase {
            Phase::Starting => self.tell("STATUS=starting"),
            Phase::Sweeping => self.tell("STATUS=sweeping: ending what earlier runs have left"),
            Phase::Filling => self.tell("STATUS=filling: workers are starting"),
            Phase::Serving => self.tell(&format!("READY=1\nSTATUS=serving on {address}")),
            Phase::Draining => self.tell("STOPPING=1\nSTATUS=draining: calls that run may finish"),
            Phase::Closed => self.tell("STOPPING=1\nSTATUS=closed"),
        }
    }

    /// The configuration is read again. To be followed by [`Notifier::reloaded`].
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reading the configuration again"));
    }

    /// It was, or was refused with this.
    pub(crate) fn reloaded(&self, refusal: Option<&Error>, address: std::net::SocketAddr) {
        let refusal = refusal.map(|error| format!("; the configuration was not taken: {}", line(error.message())));
        self.tell(&format!("READY=1\nSTATUS=serving on {address}{}", refusal.unwrap_or_default()));
    }

    /// The watchdog need not bite.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, lines: &str) {
        // A manager that is gone, or busy, is told the next thing.
        let _unheard = self.socket.send_to_addr(lines.as_bytes(), &self.manager);
    }
}

/// Of a message of several lines the first: each further one would be another assignment.
fn line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(manager: &UnixDatagram) -> String {
        let mut text = [0; 4096];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    fn address() -> std::net::SocketAddr {
        ([127, 0, 0, 1], 7411).into()
    }

    #[test]
    fn a_manager_is_told_at_a_path_or_under_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("hatchery-test-{}", std::process::id());
        let abstract_one = SocketAddr::from_abstract_name(&name).unwrap();
        let managers = [UnixDatagram::bind(&path).unwrap(), UnixDatagram::bind_addr(&abstract_one).unwrap()];
        let addresses = [path.into_os_string(), format!("@{name}").into()];
        for (manager, address_of) in managers.iter().zip(&addresses) {
            let notifier = Notifier::to(address_of).unwrap();
            notifier.phase(Phase::Serving, address());
            assert_eq!(heard(manager), "READY=1\nSTATUS=serving on 127.0.0.1:7411");
            notifier.reloading();
            let lines = heard(manager);
            let microseconds = lines.lines().nth(1).unwrap().strip_prefix("MONOTONIC_USEC=").unwrap();
            assert!(lines.starts_with("RELOADING=1\n") && microseconds.parse::<u64>().unwrap() > 0, "{lines}");
            let wrong = Error::new(ErrorKind::Validation, "line 4: what is this?\nREADY=0");
            notifier.reloaded(Some(&wrong), address());
            assert!(heard(manager).ends_with("not taken: line 4: what is this?"));
        }
    }

    #[test]
    fn other_addresses_are_refused_and_a_manager_that_is_gone_is_not_missed() {
        for address in ["", "notify", "vsock:2:1234"] {
            let error = Notifier::to(OsStr::new(address)).unwrap_err();
            assert!(error.message().contains("expected a path"), "{error}");
        }
        Notifier::to(OsStr::new("/no/such/socket")).unwrap().alive();
    }
}
