//! Who is alive in the namespace, as the kernel lists it, and holds on them that no other process can take over.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal};

use crate::Outcome;

/// Long enough for a loaded machine; only a failing case ever waits this long. Who looks for what fails takes less: CHAOS_PATIENCE,
/// in seconds.
pub(crate) fn patience() -> Duration {
    let seconds = std::env::var("CHAOS_PATIENCE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}

/// A living process, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) state: char,
    /// What the kernel calls it.
    pub(crate) name: String,
}

/// Every process of the namespace but this one, its first. Zombies are listed by [`zombies`].
pub(crate) fn living() -> Vec<Process> {
    listed().into_iter().filter(|process| process.state != 'Z' && process.state != 'X').collect()
}

/// Those that have died and whose parent does not care; our own are taken in first.
pub(crate) fn zombies() -> Vec<Process> {
    listed().into_iter().filter(|process| process.state == 'Z').collect()
}

fn listed() -> Vec<Process> {
    reap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|&pid| pid != 1).filter_map(Process::look).collect()
}

/// Takes in what has died: the first process of a namespace inherits the orphans.
fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

impl Process {
    /// `None` if it is gone.
    pub(crate) fn look(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, tail) = stat.rsplit_once(") ")?;
        let mut fields = tail.split(' ');
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Process { pid, parent, state, name: head.split_once('(')?.1.to_owned() })
    }

    pub(crate) fn describe(&self) -> String {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        format!("{} (child of {}, {}, {}) {}", self.pid, self.parent, self.name, self.state, line.trim())
    }
}

/// A process that stays the one that it is.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) pid: i32,
    pidfd: OwnedFd,
}

impl Held {
    /// `None` if it is gone.
    pub(crate) fn hold(pid: i32) -> Option<Held> {
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Held { pid, pidfd })
    }

    pub(crate) fn send(&self, signal: Signal) -> Outcome {
        match pidfd_send_signal(&self.pidfd, signal) {
            // The death of another may have been its own.
            Err(Errno::SRCH) if signal == Signal::KILL => return Ok(()),
            sent => sent,
        }
        .map_err(|error| format!("send {signal:?} to {}: {error}", self.pid))
    }

    /// Whether it has ended, as a zombie or altogether.
    pub(crate) fn is_dead(&self) -> bool {
        let mut watched = [PollFd::new(&self.pidfd, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec::default())).unwrap();
        !watched[0].revents().is_empty()
    }

    /// Stops it, and waits until it has stopped, is held by a tracer, or stands still for a child that it has just made, and stops
    /// when that goes on.
    pub(crate) fn stop(&self) -> Outcome {
        self.send(Signal::STOP)?;
        eventually(&format!("{} is stopped", self.pid), || {
            Process::look(self.pid).is_some_and(|it| matches!(it.state, 'T' | 't' | 'D'))
        })
    }
}

/// Waits for a condition.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> Outcome {
    let end = Instant::now() + patience();
    while !holds() {
        if Instant::now() > end {
            return Err(format!("never: {what}"));
        }
        reap();
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
