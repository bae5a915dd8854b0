//! The first process of a run's namespace: starts the supervisor, kills it, and looks at what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::census::{Told, living, pid, reap};
use super::{Outcome, PATIENCE};
use crate::Result;

/// How long it rests between two looks at a supervisor that is not ready.
const STEP: Duration = Duration::from_millis(5);

/// `orphans-inside SURVEYS told|seen PROGRAM ARGUMENT...`; prints an [`Outcome`].
pub(crate) fn inside(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    if std::process::id() != 1 {
        return Err("not the first process of a PID namespace; this is a part of `bench orphans`".into());
    }
    // In the caller's session our group would be one that this namespace has no number for.
    rustix::process::setsid()?;
    let surveys: Vec<u64> = serde_json::from_str(&arguments.next().ok_or("no surveys")?)?;
    let tells = arguments.next().is_some_and(|how| how == "told");
    let report = PathBuf::from(std::env::var_os("ORPHANS_REPORT").ok_or("no ORPHANS_REPORT")?);
    let supervisor = start(&arguments.collect::<Vec<_>>(), &report)?;
    let told = settled(&report, &supervisor, tells)?;
    println!("{}", serde_json::to_string(&kill_and_look(&supervisor, &told, &surveys)?)?);
    Ok(())
}

/// Starts the supervisor; its pidfd is opened while it is our un-reaped child.
#[expect(clippy::disallowed_methods, reason = "a supervisor is what is measured; the namespace owns it")]
fn start(command: &[String], report: &Path) -> Result<OwnedFd> {
    let (program, arguments) = command.split_first().ok_or("no supervisor")?;
    let output = File::create(report.join("output"))?;
    let mut supervisor = Command::new(program);
    supervisor.args(arguments).current_dir(report).stdin(Stdio::null());
    supervisor.stdout(output.try_clone()?).stderr(output);
    let child = supervisor.spawn().map_err(|error| format!("start {program}: {error}"))?;
    Ok(pidfd_open(pid(child.id().try_into()?)?, PidfdFlags::empty())?)
}

/// Waits until every worker and every daemon is there.
fn settled(report: &Path, supervisor: &OwnedFd, tells: bool) -> Result<Told> {
    let workers: usize = std::env::var("ORPHANS_WORKERS")?.parse()?;
    let end = Instant::now() + PATIENCE;
    loop {
        let told = Told::read(report)?;
        let is_complete = told.workers.len() >= workers && told.daemons.len() >= workers;
        if is_complete && (told.ready || !tells) {
            return Ok(told);
        }
        let ended = !dead(&[supervisor], Some(Duration::ZERO))?.is_empty();
        if ended || Instant::now() > end {
            let what = if ended { "the supervisor ended" } else { "the supervisor was not ready in time" };
            let (workers, daemons) = (told.workers.len(), told.daemons.len());
            return Err(format!("{what} with {workers} workers and {daemons} daemons: {}", said(report)).into());
        }
        rest()?;
    }
}

/// The end of what the supervisor wrote.
fn said(report: &Path) -> String {
    let text = std::fs::read(report.join("output")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().replace('\n', " | ");
    text.char_indices().rev().nth(400).map_or(text.clone(), |(at, _)| text[at..].to_owned())
}

/// A pause that the end of the benchmark cuts short.
fn rest() -> Result<()> {
    let stdin = std::io::stdin();
    let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut watched, Some(&Timespec::try_from(STEP)?))? {
        0 => Ok(()),
        _ => Err("the benchmark is gone".into()),
    }
}

fn kill_and_look(supervisor: &OwnedFd, told: &Told, surveys: &[u64]) -> Result<Outcome> {
    let mut watch = Watch::default();
    watch.look()?;
    let start = Instant::now();
    pidfd_send_signal(supervisor, Signal::KILL)?;
    let mut survivors = Vec::new();
    for &after_s in surveys {
        watch.until(start + Duration::from_secs(after_s))?;
        survivors.push(told.count(&living()?, after_s));
    }
    let gone = watch.last.filter(|_| watch.alive.is_empty());
    Ok(Outcome { survivors, gone_us: gone.map(|last| (last - start).as_micros() as u64) })
}

/// Holds a pidfd of every process of the namespace, and sees each die.
#[derive(Default)]
struct Watch {
    alive: BTreeMap<i32, OwnedFd>,
    /// When the last one was seen to die.
    last: Option<Instant>,
}

impl Watch {
    /// Takes in what is new.
    fn look(&mut self) -> Result<()> {
        let fresh: BTreeSet<i32> = living()?.into_iter().filter(|raw| !self.alive.contains_key(raw)).collect();
        for raw in fresh {
            // One that has ended meanwhile needs no watching.
            if let Ok(pidfd) = pidfd_open(pid(raw)?, PidfdFlags::empty()) {
                self.alive.insert(raw, pidfd);
            }
        }
        Ok(())
    }

    /// Watches until then, or until nobody is left, of whom nobody can come any more.
    fn until(&mut self, end: Instant) -> Result<()> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let pidfds: Vec<&OwnedFd> = self.alive.values().collect();
            if left.is_zero() || pidfds.is_empty() {
                return Ok(());
            }
            let dead = dead(&pidfds, Some(left))?;
            if !dead.is_empty() {
                self.last = Some(Instant::now());
            }
            let dead: Vec<i32> = dead.into_iter().filter_map(|at| self.alive.keys().nth(at).copied()).collect();
            self.alive.retain(|raw, _| !dead.contains(raw));
            if self.alive.is_empty() {
                reap();
                self.look()?;
            }
        }
    }
}

/// Waits until one of the processes has ended; the places of those that have.
fn dead(pidfds: &[&OwnedFd], patience: Option<Duration>) -> Result<Vec<usize>> {
    let mut watched: Vec<PollFd<'_>> =
        pidfds.iter().map(|pidfd| PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)).collect();
    let patience = patience.map(Timespec::try_from).transpose()?;
    match poll(&mut watched, patience.as_ref()) {
        // A child that ended wakes us by SIGCHLD.
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let has_ended = |watched: &PollFd<'_>| watched.revents().contains(PollFlags::IN);
    Ok(watched.iter().enumerate().filter(|(_, watched)| has_ended(watched)).map(|(at, _)| at).collect())
}
