//! Finds the processes that carry a mark, and ends them: whatever they did to hide, and nobody else.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::identity::has_ended;
use super::mark::{Mark, Worn};
use super::{Pid, command_of};

/// One pass may miss the child of a process that forks while we look; two in a row that find nothing may not, as each
/// fork would have had to come from a process that neither saw. That is true of passes that saw all there was to see.
const EMPTY_PASSES: u32 = 2;

/// A pass during which processes came and went, whosever, may have missed those that fork and exit without end. So many that
/// find nothing did not miss them all.
const BLIND_PASSES: u32 = 40;

/// How many of the latest numbers are looked at first, and at once: who has them may not live until the list is read.
const NEWEST: usize = 64;

/// How long one pass waits for the ends of what it killed before the next looks who is left.
const PASS_PATIENCE: Duration = Duration::from_millis(200);

/// A live process that carries a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) pid: Pid,
    pub(crate) worn: Worn,
}

impl Sighting {
    pub(crate) fn command(&self) -> String {
        command_of(self.pid)
    }
}

/// Every process of this machine that carries a mark of whatever run, and is no zombie. This process and process 1
/// are never among them.
#[derive(Debug, Default)]
pub(crate) struct Census {
    pub(crate) marked: Vec<Sighting>,
    /// How many processes would not say what they carry.
    pub(crate) unreadable: usize,
}

impl Census {
    /// One pass over `/proc`: one system call for each process, and two more for each that carries a mark.
    pub(crate) fn take() -> io::Result<Census> {
        let mut census = Census::default();
        for pid in processes()? {
            match Worn::by(pid) {
                Ok(None) | Err(Errno::SRCH | Errno::NOENT) => {}
                Ok(Some(worn)) => census.add(Sighting { pid, worn }),
                Err(_) => census.unreadable += 1,
            }
        }
        Ok(census)
    }

    /// Those of one run.
    pub(crate) fn of(&self, mark: Mark) -> impl Iterator<Item = &Sighting> {
        self.marked.iter().filter(move |sighting| sighting.worn.mark == mark)
    }

    fn add(&mut self, sighting: Sighting) {
        // One that we cannot pin for want of a descriptor was there a moment ago.
        if pin(&sighting).as_ref().map_or(true, Option::is_some) {
            self.marked.push(sighting);
        }
    }
}

/// What became of the processes of a run.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// Ended.
    pub(crate) ended: Vec<Sighting>,
    /// Still there, and why it could not be signalled; `None` if it was, and the kernel holds it.
    pub(crate) left: Vec<(Sighting, Option<Errno>)>,
}

/// SIGKILL to every process that carries exactly this mark, until two passes find none, or until `patience` is used up.
/// Those that `spared` picks are left alone.
///
/// Only for a run whose owner is known to be dead: the mark says whose a process is, not whether it may be ended.
pub(crate) fn end_marked(mark: Mark, patience: Duration, spared: impl Fn(&Sighting) -> bool) -> io::Result<Ending> {
    let end = Instant::now() + patience;
    let mut hunt = Hunt::default();
    let (mut calm_passes, mut blind_passes) = (0, 0);
    while calm_passes < EMPTY_PASSES && blind_passes < BLIND_PASSES {
        let Pass { signalled, is_blind } = hunt.pass(mark, &spared)?;
        (calm_passes, blind_passes) = match (signalled.is_empty(), is_blind) {
            (false, _) => (0, 0),
            (true, true) => (0, blind_passes + 1),
            (true, false) => (calm_passes + 1, blind_passes),
        };
        if calm_passes == 0 && Instant::now() >= end {
            break;
        }
        wait_for_ends(&signalled, PASS_PATIENCE.min(end.saturating_duration_since(Instant::now())));
    }
    Ok(hunt.conclude())
}

#[derive(Default)]
struct Hunt {
    signalled: Vec<Sighting>,
    /// What the last pass could not signal.
    refused: Vec<(Pid, Errno)>,
    /// What the last pass found.
    last_seen: Vec<Sighting>,
    /// What the last pass found to have ended: most wait for their parent.
    ended: HashSet<Pid>,
}

struct Pass {
    /// The pidfds of those that were signalled. Out of descriptors, the rest is left for the next pass.
    signalled: Vec<OwnedFd>,
    /// Something ended as it was looked at. It may have been one of ours, which forked before.
    is_blind: bool,
}

impl Hunt {
    /// Signals each as soon as it is seen: one that forks and exits has another number a moment later.
    fn pass(&mut self, mark: Mark, spared: impl Fn(&Sighting) -> bool) -> io::Result<Pass> {
        let mut pass = Pass { signalled: Vec::new(), is_blind: false };
        let known_ends = std::mem::take(&mut self.ended);
        self.refused.clear();
        self.last_seen.clear();
        let newest = newest_numbers();
        let older = processes()?.filter(|pid| !newest.contains(pid)).map(|pid| (pid, true));
        for (pid, was_listed) in newest.iter().map(|&pid| (pid, false)).chain(older) {
            match Worn::by(pid) {
                Err(Errno::SRCH | Errno::NOENT) => pass.is_blind |= was_listed,
                Ok(Some(worn)) if worn.mark == mark => {
                    let sighting = Sighting { pid, worn };
                    if !spared(&sighting) && !self.signal(sighting, &mut pass) {
                        break;
                    }
                }
                _ => {}
            }
        }
        pass.is_blind |= !self.ended.is_subset(&known_ends);
        Ok(pass)
    }

    /// `false`: there is no descriptor for another one.
    fn signal(&mut self, sighting: Sighting, pass: &mut Pass) -> bool {
        match pin(&sighting).and_then(|pidfd| pidfd.map(kill).transpose()) {
            Ok(None) | Err(Errno::SRCH) => {
                self.ended.insert(sighting.pid);
                return true;
            }
            Ok(Some(pidfd)) => {
                pass.signalled.push(pidfd);
                if !self.signalled.contains(&sighting) {
                    self.signalled.push(sighting.clone());
                }
            }
            Err(Errno::MFILE | Errno::NFILE) if !pass.signalled.is_empty() => return false,
            Err(error) => self.refused.push((sighting.pid, error)),
        }
        self.last_seen.push(sighting);
        true
    }

    /// `last_seen` was taken before the last signals; who has ended since is not left.
    fn conclude(self) -> Ending {
        let is_there = |sighting: &Sighting| pin(sighting).as_ref().map_or(true, Option::is_some);
        let left: Vec<Sighting> = self.last_seen.into_iter().filter(is_there).collect();
        let why = |pid| self.refused.iter().find(|(refused, _)| *refused == pid).map(|(_, why)| *why);
        Ending {
            ended: self.signalled.into_iter().filter(|sighting| !left.contains(sighting)).collect(),
            left: left.into_iter().map(|sighting| (sighting.clone(), why(sighting.pid))).collect(),
        }
    }
}

/// A pidfd of the process if it still carries what it carried, and runs. The mark is read while the pidfd is held, and only
/// then is the process asked whether it runs: it had its number throughout, so the mark was its own.
fn pin(sighting: &Sighting) -> Result<Option<OwnedFd>, Errno> {
    let pidfd = match pidfd_open(sighting.pid.raw(), PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_the_same = match Worn::by(sighting.pid) {
        Err(Errno::SRCH | Errno::NOENT) => false,
        worn => worn? == Some(sighting.worn),
    };
    Ok((is_the_same && !has_ended(&pidfd)).then_some(pidfd))
}

fn kill(pinned: OwnedFd) -> Result<OwnedFd, Errno> {
    pidfd_send_signal(&pinned, Signal::KILL)?;
    Ok(pinned)
}

fn wait_for_ends(pinned: &[OwnedFd], patience: Duration) {
    let end = Instant::now() + patience;
    for pidfd in pinned {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        // Whoever is still there is seen by the next pass.
        let _ended_or_not = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], timeout.as_ref());
    }
}

/// The numbers that were given away last, the latest first. None if the kernel does not say.
fn newest_numbers() -> Vec<Pid> {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let latest: Option<i32> = load.split_whitespace().last().and_then(|latest| latest.parse().ok());
    latest.map_or_else(Vec::new, |latest| (1..=latest).rev().take(NEWEST).filter_map(Pid::new).collect())
}

/// The numbers in `/proc`.
fn processes() -> io::Result<impl Iterator<Item = Pid>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| Pid::new(entry.ok()?.file_name().to_str()?.parse().ok()?)))
}

#[cfg(test)]
mod tests;
