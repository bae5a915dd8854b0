//! A case from the inside: the first process of its namespace, which starts a supervisor, does things to it, and counts.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::canary::Canaries;
use crate::case::{Case, Tier};
use crate::processes::{Held, Process, eventually, living, patience};
use crate::subject::{NOBODY, Subject};
use crate::{Outcome, shape};

/// So many listings without anybody count as nobody: a process that forks and exits may be missed by one.
const EMPTY_LISTINGS: usize = 4;

/// One case under way.
pub(crate) struct Rig {
    pub(crate) case: Case,
    pub(crate) canaries: Canaries,
    pub(crate) dir: PathBuf,
}

/// Runs a case in the namespace that this process is the first of. What it says goes to the standard output.
pub(crate) fn inside(name: &str) -> ExitCode {
    assert_eq!(std::process::id(), 1, "not the first process of a PID namespace");
    end_with_the_suite();
    let Some(case) = Case::named(name) else { panic!("no such case: {name}") };
    let mut rig = Rig { case, canaries: Canaries::default(), dir: std::env::var_os("CHAOS_DIR").unwrap().into() };
    match rig.run() {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("{reason}{}", rig.log());
            ExitCode::FAILURE
        }
    }
}

/// The suite holds our standard input open; when it is gone, so are we, and with us the namespace.
#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "nothing here needs to be put away: the kernel ends it all"
)]
fn end_with_the_suite() {
    std::thread::spawn(|| {
        let _end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}

impl Rig {
    fn run(&mut self) -> Outcome<String> {
        self.settle_in()?;
        self.canaries.hatch()?;
        let said = (self.case.scenario.run)(self)?;
        self.canaries.are_intact()?;
        Ok(said)
    }

    /// In the case's cgroup, or with none to be seen.
    fn settle_in(&self) -> Outcome {
        if self.case.tier == Tier::Nobody {
            let chown = std::os::unix::fs::chown(&self.dir, Some(NOBODY), Some(NOBODY));
            chown.map_err(|error| format!("give {} away: {error}", self.dir.display()))?;
        }
        if matches!(self.case.shape, "setgid" | "privileged") {
            self.lend_rights()?;
        }
        if !self.case.in_a_foreign_group() {
            // A group of the outside has no number in here.
            rustix::process::setsid().map_err(|error| format!("setsid: {error}"))?;
        }
        match self.case.tier {
            Tier::Cgroup => {
                let file = self.cgroup().join("cgroup.procs");
                std::fs::write(&file, "0").map_err(|error| format!("write {}: {error}", file.display()))
            }
            Tier::Plain | Tier::Pidns | Tier::Nobody => hide_cgroups(),
        }
    }

    /// Programs that change the group or the user of whoever runs them.
    #[expect(clippy::disallowed_methods, reason = "a tool of the harness, waited for")]
    fn lend_rights(&self) -> Outcome {
        const SCRIPT: &str = r#"cp "$(command -v sleep)" setgid-sleep && chgrp "$1" setgid-sleep && chmod 2755 setgid-sleep
            cp "$(command -v setpriv)" setuid-setpriv && chmod 4755 setuid-setpriv"#;
        // A group that the supervisor is not in; where there is only one, the shapes are what others are.
        let group = if self.case.tier == Tier::Nobody { "0" } else { "65534" };
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", SCRIPT, "sh", group]).current_dir(&self.dir).stderr(std::process::Stdio::null());
        shell.status().map(drop).map_err(|error| format!("lend rights: {error}"))
    }

    pub(crate) fn cgroup(&self) -> PathBuf {
        std::env::var_os("CHAOS_CGROUP").unwrap_or_default().into()
    }

    /// A supervisor whose workers are all there, in their shape, and innocents that look like them.
    pub(crate) fn start(&mut self) -> Outcome<Subject> {
        let mut subject = self.begin()?;
        if let Some(worker) = subject.workers()?.first() {
            self.canaries.mimic(*worker)?;
        }
        Ok(subject)
    }

    /// The same without more innocents than there are: for the many rounds of a case.
    pub(crate) fn begin(&self) -> Outcome<Subject> {
        let before = living().len();
        let mut subject = self.launch()?;
        subject.tell("start")?;
        // Keeper and guardian, and another two where the pool has its own.
        let watchers = if self.case.tier == Tier::Pidns { 4 } else { 2 };
        let expected = before + 1 + watchers + self.case.workers * shape::processes(self.case.shape);
        eventually(&format!("{expected} processes are there"), || living().len() >= expected)?;
        Ok(subject)
    }

    /// A supervisor that has nothing yet.
    pub(crate) fn launch(&self) -> Outcome<Subject> {
        Subject::launch(&self.case, &self.dir.join("supervisor.log"))
    }

    /// The same, by a program that changes something first.
    pub(crate) fn launch_through(&self, wrapper: &[&str]) -> Outcome<Subject> {
        Subject::launch_through(wrapper, &self.case, &self.dir.join("supervisor.log"))
    }

    /// Everybody who is alive, but the canaries and these.
    pub(crate) fn others(&self, except: &[i32]) -> Vec<Process> {
        let canaries = self.canaries.pids();
        let is_other = |process: &Process| !canaries.contains(&process.pid) && !except.contains(&process.pid);
        living().into_iter().filter(is_other).collect()
    }

    /// Holds on everybody who is alive, but the canaries and these.
    pub(crate) fn hold_others(&self, except: &[i32]) -> Vec<Held> {
        self.others(except).iter().filter_map(|process| Held::hold(process.pid)).collect()
    }

    /// Waits until nobody is left but the canaries and these; says how long that took.
    pub(crate) fn nobody_but(&self, except: &[i32]) -> Outcome<String> {
        let start = Instant::now();
        let mut empty = 0;
        let mut last = Duration::ZERO;
        let gone = eventually("nobody is left", || {
            let is_empty = self.others(except).is_empty();
            if empty == 0 {
                last = start.elapsed();
            }
            empty = if is_empty { empty + 1 } else { 0 };
            empty >= EMPTY_LISTINGS
        });
        gone.map_err(|_| self.survivors(except))?;
        self.canaries.are_intact()?;
        Ok(format!("nobody after {:.1} ms", last.as_secs_f64() * 1e3))
    }

    pub(crate) fn nobody(&self) -> Outcome<String> {
        self.nobody_but(&[])
    }

    fn survivors(&self, except: &[i32]) -> String {
        let left = self.others(except);
        let shown: Vec<String> = left.iter().take(8).map(Process::describe).collect();
        format!("{} left after {} s:\n  {}", left.len(), patience().as_secs(), shown.join("\n  "))
    }

    /// The end of what the supervisors wrote to their standard error.
    fn log(&self) -> String {
        let text = std::fs::read(self.dir.join("supervisor.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().map(|line| format!("\n  | {line}")).collect()
    }
}

/// In the mount namespace of the case only.
#[expect(clippy::disallowed_methods, reason = "`mount` is waited for")]
fn hide_cgroups() -> Outcome {
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "ro", "none", "/sys/fs/cgroup"]);
    let output = mount.output().map_err(|error| format!("start mount: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("hide the cgroups: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
