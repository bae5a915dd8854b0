//! Innocents that look like ours. Whatever happens to a supervisor, they live.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::processes::{Held, eventually};
use crate::{Outcome, shape};

/// The fleet of one case.
#[derive(Default)]
pub(crate) struct Canaries(Vec<(&'static str, Held)>);

impl Canaries {
    /// A process of the workers' program in the workers' folder, and one that looks like a daemon of theirs.
    pub(crate) fn hatch(&mut self) -> Outcome {
        self.start("of the workers' program", python())?;
        let mut daemon = program("setsid");
        daemon.args(["sh", "-c", "trap '' TERM HUP; exec sleep 3600"]);
        self.start("like a daemon", daemon)
    }

    /// One with a worker's environment, its run and its name, and one whose resource limits are a bit off a worker's.
    pub(crate) fn mimic(&mut self, worker: i32) -> Outcome {
        let mut same = python();
        same.env_clear().envs(environment(worker)?);
        self.start("with a worker's environment", same)?;
        if let Some((soft, hard)) = lock_limits(worker)? {
            let mut near = program("prlimit");
            near.arg(format!("--locks={}:{hard}", soft ^ (1 << 22))).args(["sleep", "3600"]);
            self.start("with nearly a worker's mark", near)?;
        }
        Ok(())
    }

    /// One more of the plain sort; its pid.
    pub(crate) fn add(&mut self, name: &'static str) -> Outcome<i32> {
        self.start(name, python())?;
        self.0.last().map(|(_, held)| held.pid).ok_or_else(|| "no canary".to_owned())
    }

    pub(crate) fn pids(&self) -> Vec<i32> {
        self.0.iter().map(|(_, held)| held.pid).collect()
    }

    /// The point of them.
    pub(crate) fn are_intact(&self) -> Outcome {
        match self.0.iter().find(|(_, held)| held.is_dead()) {
            None => Ok(()),
            Some((name, held)) => Err(format!("an innocent was killed: the canary {name}, {}", held.pid)),
        }
    }

    /// Started, and past its exec: until then it is but a copy of this process.
    fn start(&mut self, name: &'static str, mut command: Command) -> Outcome {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(shape::folder());
        let child = command.spawn().map_err(|error| format!("start the canary {name}: {error}"))?;
        let held = Held::hold(child.id() as i32).ok_or_else(|| format!("the canary {name} ended at once"))?;
        let ended = eventually(&format!("the canary {name} sleeps"), || held.is_dead() || sleeps(held.pid));
        let is_alive = !held.is_dead();
        self.0.push((name, held));
        ended.and(if is_alive { Ok(()) } else { Err(format!("the canary {name} ended by itself")) })
    }
}

/// Whether the program that it shall be has begun to wait.
fn sleeps(pid: i32) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    matches!(name.trim(), "sleep" | "python3") || name.starts_with("python")
}

fn python() -> Command {
    let mut python = program(shape::python());
    python.arg("-B").arg(shape::folder().join("canary.py"));
    python
}

#[expect(clippy::disallowed_methods, reason = "a canary is nobody's worker; the namespace owns it")]
fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(name)
}

fn environment(pid: i32) -> Outcome<Vec<(String, String)>> {
    let text = read(&format!("/proc/{pid}/environ"))?;
    Ok(text.split('\0').filter_map(|entry| entry.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
}

/// The mark of a run, if there is one: soft and hard limit of file locks.
fn lock_limits(pid: i32) -> Outcome<Option<(u64, u64)>> {
    let text = read(&format!("/proc/{pid}/limits"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max file locks")).unwrap_or_default();
    let mut limits = line.split_whitespace().map(|limit| limit.parse().ok());
    Ok(limits.next().flatten().zip(limits.next().flatten()))
}

fn read(path: &str) -> Outcome<String> {
    let bytes = std::fs::read(Path::new(path)).map_err(|error| format!("read {path}: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
