//! The supervisor under test, from the outside.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::Signal;

use crate::Outcome;
use crate::case::Case;
use crate::processes::{Held, Process, living, patience};

/// What the kernel calls the two that watch over the supervisor's processes.
const KEEPER: &str = "hatchery-keeper";
const GUARDIAN: &str = "hatchery-guard";

/// A supervisor. It is not ended when this is dropped: the namespace is.
pub(crate) struct Subject {
    pub(crate) held: Held,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Subject {
    /// Starts it, with nothing running yet.
    #[expect(clippy::disallowed_methods, reason = "the supervisor is what the namespace is for")]
    pub(crate) fn launch(case: &Case, log: &Path) -> Outcome<Subject> {
        let log =
            File::options().create(true).append(true).open(log).map_err(|error| format!("open its log: {error}"))?;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["supervisor", case.shape, &case.workers.to_string()]);
        if !case.in_a_foreign_group() {
            command.process_group(0);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(|error| format!("start a supervisor: {error}"))?;
        let held = Held::hold(child.id() as i32).ok_or("the supervisor ended at once")?;
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Subject { held, stdin: child.stdin.take().unwrap(), lines })
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
        child(self.held.pid, KEEPER)
    }

    /// The inner one, a child of the keeper.
    pub(crate) fn guardian(&self) -> Outcome<Held> {
        child(self.keeper()?.pid, GUARDIAN)
    }
}

/// Whether this is one of the two that come and go with a hatchery.
pub(crate) fn is_watcher(process: &Process) -> bool {
    process.name == KEEPER || process.name == GUARDIAN
}

fn child(parent: i32, name: &str) -> Outcome<Held> {
    let found = living().into_iter().find(|process| process.parent == parent && process.name == name);
    found.and_then(|process| Held::hold(process.pid)).ok_or_else(|| format!("{parent} has no child named {name}"))
}
