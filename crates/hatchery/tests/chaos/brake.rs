//! Holds a process at a chosen moment of its life, by tracing it from a program of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::processes::{Held, eventually, patience};
use crate::{Outcome, shape};

/// The tracer. Released when dropped: what it holds goes on.
pub(crate) struct Brake {
    tracer: Held,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Brake {
    /// Watches the process; `moment` is described in `fixtures/faults/brake.py`.
    #[expect(clippy::disallowed_methods, reason = "a tool of the harness, which the namespace owns")]
    pub(crate) fn on(process: &Held, moment: &str) -> Outcome<Brake> {
        let script: PathBuf = shape::folder().join("../faults/brake.py");
        let mut command = Command::new(shape::python());
        command.arg("-B").arg(script).arg(process.pid.to_string()).args(moment.split(' '));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        let tracer = Held::hold(child.id() as i32).ok_or("the tracer ended at once")?;
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let brake = Brake { tracer, stdin: child.stdin.take(), lines };
        match brake.hear()?.as_str() {
            "ready" => Ok(brake),
            other => Err(format!("the tracer says `{other}`")),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.tracer.pid
    }

    /// Waits for the moment. `false`: it is past, and comes no more.
    pub(crate) fn holds(&self) -> Outcome<bool> {
        Ok(self.hear()? != "past")
    }

    /// What was held goes on, if it lives.
    pub(crate) fn release(mut self) -> Outcome {
        self.stdin = None;
        eventually("the tracer is gone", || self.tracer.is_dead())
    }

    fn hear(&self) -> Outcome<String> {
        self.lines.recv_timeout(patience()).map_err(|error| format!("the tracer says nothing: {error}"))
    }
}
