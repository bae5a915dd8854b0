//! The supervisor under test, from the outside.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::Signal;

use crate::Outcome;
use crate::case::{Case, Tier};
use crate::processes::{Held, Process, living, patience};

/// What the kernel calls the two that watch over the supervisor's processes.
const KEEPER: &str = "hatchery-keeper";
const GUARDIAN: &str = "hatchery-guard";

/// And what it calls a template that is up.
const TEMPLATE: &str = "hatch-template";

/// The user and group that own nothing.
pub(crate) const NOBODY: u32 = 65534;

/// A supervisor. It is not ended when this is dropped: the namespace is.
pub(crate) struct Subject {
    pub(crate) held: Held,
    stdin: ChildStdin,
    lines: Receiver<String>,
    is_enclosed: bool,
}

impl Subject {
    /// Starts it, with nothing running yet.
    pub(crate) fn launch(case: &Case, log: &Path) -> Outcome<Subject> {
        Subject::launch_through(&[], case, log)
    }

    /// By a program that changes something and then becomes what its arguments say.
    #[expect(clippy::disallowed_methods, reason = "the supervisor is what the namespace is for")]
    pub(crate) fn launch_through(wrapper: &[&str], case: &Case, log: &Path) -> Outcome<Subject> {
        let log =
            File::options().create(true).append(true).open(log).map_err(|error| format!("open its log: {error}"))?;
        let this_program = std::env::current_exe().unwrap();
        let mut words = wrapper.iter().map(AsRef::as_ref).chain([this_program.as_os_str()]);
        let mut command = Command::new(words.next().ok_or("no program")?);
        command.args(words).args(["supervisor", case.shape, &case.workers.to_string()]);
        command.args((case.tier == Tier::Pidns).then_some("enclosed"));
        if case.tier == Tier::Nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
        if !case.in_a_foreign_group() {
            command.process_group(0);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(|error| format!("start a supervisor: {error}"))?;
        let held = Held::hold(child.id() as i32).ok_or("the supervisor ended at once")?;
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let is_enclosed = case.tier == Tier::Pidns;
        Ok(Subject { held, stdin: child.stdin.take().unwrap(), lines, is_enclosed })
    }

    pub(crate) fn say(&mut self, word: &str) -> Outcome {
        writeln!(self.stdin, "{word}").map_err(|error| format!("say {word} to the supervisor: {error}"))
    }

    /// Waits for the answer that is expected; what comes after its first word.
    pub(crate) fn hear(&self, expected: &str) -> Outcome<String> {
        let heard = self.lines.recv_timeout(patience() * 2);
        let heard = heard.map_err(|error| format!("the supervisor does not say `{expected}`: {error}"))?;
        match heard.strip_prefix(expected) {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => Err(format!("the supervisor says `{heard}` and not `{expected}`")),
        }
    }

    /// Has it do something, to the end.
    pub(crate) fn tell(&mut self, word: &str) -> Outcome<String> {
        self.say(word)?;
        self.hear("done").map_err(|error| format!("{word}: {error}"))
    }

    /// The workers, by its own word: to choose one, not to know who lives.
    pub(crate) fn workers(&mut self) -> Outcome<Vec<i32>> {
        let pids = self.tell("pids")?;
        pids.split_whitespace().map(|pid| pid.parse().map_err(|_| format!("no pid: {pid}"))).collect()
    }

    pub(crate) fn kill(&self) -> Outcome {
        self.held.send(Signal::KILL)
    }

    /// The outer subreaper, a child of the supervisor.
    pub(crate) fn keeper(&self) -> Outcome<Held> {
        let guardian = self.guardian()?;
        let keeper = Process::look(guardian.pid).and_then(|guardian| Held::hold(guardian.parent));
        keeper.ok_or_else(|| format!("the keeper of {} is gone", guardian.pid))
    }

    /// The inner one, a child of the keeper.
    pub(crate) fn guardian(&self) -> Outcome<Held> {
        let mut found = self.guardians().into_iter().filter(|process| is_enclosed(process.pid) == self.is_enclosed);
        let found = found.next().and_then(|process| Held::hold(process.pid));
        found.ok_or_else(|| format!("{} has no guardian for its workers", self.held.pid))
    }

    /// From which its workers are forked.
    pub(crate) fn template(&self) -> Outcome<Held> {
        let found = living().into_iter().find(|process| process.name == TEMPLATE);
        let found = found.and_then(|process| Held::hold(process.pid));
        found.ok_or_else(|| format!("{} has no template", self.held.pid))
    }

    /// A supervisor whose pool is enclosed has another pair, which owns nothing.
    pub(crate) fn bystanders(&self) -> Vec<i32> {
        let others = self.guardians().into_iter().filter(|process| is_enclosed(process.pid) != self.is_enclosed);
        others.flat_map(|guardian| [guardian.pid, guardian.parent]).collect()
    }

    fn guardians(&self) -> Vec<Process> {
        let all = living();
        let is_keeper = |pid| all.iter().any(|it| it.pid == pid && it.parent == self.held.pid && it.name == KEEPER);
        all.iter().filter(|process| process.name == GUARDIAN && is_keeper(process.parent)).cloned().collect()
    }
}

/// Whether it is the first process of a PID namespace below ours.
fn is_enclosed(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    numbers.split_whitespace().nth(1) == Some("1")
}

/// Whether this is one of the two that come and go with a hatchery.
pub(crate) fn is_watcher(process: &Process) -> bool {
    process.name == KEEPER || process.name == GUARDIAN
}
