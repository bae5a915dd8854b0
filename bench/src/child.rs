//! Children of the benchmark, killed and waited for when they are dropped.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::Result;

/// No program that is run to its end takes longer; a peer that hangs costs its row, not the run.
const BOUND: Duration = Duration::from_secs(180);

/// A Python process.
#[derive(Debug)]
pub(crate) struct Python(Child);

impl Python {
    /// Starts a program of this folder with the given standard streams.
    pub(crate) fn start(python: &Path, program: &str, stdin: Stdio, stdout: Stdio) -> Result<Python> {
        Python::start_with(python, program, &[], stdin, stdout)
    }

    /// Like [`Python::start`], with arguments.
    pub(crate) fn start_with(
        python: &Path,
        program: &str,
        arguments: &[&str],
        stdin: Stdio,
        stdout: Stdio,
    ) -> Result<Python> {
        let mut run = command(python);
        let child = run.arg(folder().join(program)).args(arguments).stdin(stdin).stdout(stdout).spawn();
        Ok(Python(child.map_err(|error| format!("start {} {program}: {error}", python.display()))?))
    }

    pub(crate) fn inner(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // Both fail only for a child that has already ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program of this folder to its end and returns what it wrote.
pub(crate) fn output(python: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let mut run = command(python);
    run.arg(folder().join(program)).args(arguments);
    printed(run, &format!("{program} {}", arguments.join(" ")))
}

/// Runs this program in one of its other parts, to its end, and returns what it wrote.
pub(crate) fn own_output(part: &str) -> Result<String> {
    let mut run = command(&std::env::current_exe()?);
    run.arg(part);
    printed(run, part)
}

/// What it writes goes to files: what it starts and leaves behind can hold them open for as long as it likes.
fn printed(mut run: Command, name: &str) -> Result<String> {
    let (out, err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    run.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    let mut child = run.process_group(0).spawn().map_err(|error| format!("start {name}: {error}"))?;
    let status = match wait(&child, BOUND)? {
        true => child.wait()?,
        false => return Err(format!("{name} was ended after {} s: {}", BOUND.as_secs(), end(&mut child)?).into()),
    };
    if !status.success() {
        return Err(format!("{name} ended with {status}: {}", last_line(err)?).into());
    }
    Ok(read(out)?.trim().to_owned())
}

/// Waits until a child has ended, for so long; whether it has. It is still to be waited for in the usual way.
pub(crate) fn wait(child: &Child, patience: Duration) -> Result<bool> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let patience = Timespec::try_from(patience)?;
    loop {
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)) {
            Ok(ended) => return Ok(ended > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends a child that leads a group, with the group.
#[expect(clippy::disallowed_methods, reason = "the child was not waited for, so the number is its own")]
fn end(child: &mut Child) -> Result<ExitStatus> {
    kill_process_group(Pid::from_child(child), Signal::KILL)?;
    Ok(child.wait()?)
}

fn read(mut file: File) -> Result<String> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Of Python this is the error; what is above it says where.
fn last_line(file: File) -> Result<String> {
    let text = read(file)?;
    Ok(text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned())
}

/// The folder of the benchmark's Python programs.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A command with one thread for linear algebra, as a worker of ours has by default, and every other one in W5 then must.
#[expect(
    clippy::disallowed_methods,
    reason = "floors and peers must not go through the library that they are held against"
)]
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("OMP_NUM_THREADS", "1").env("OPENBLAS_NUM_THREADS", "1");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut run = command(Path::new("sh"));
        run.args(["-c", script]);
        run
    }

    #[test]
    fn what_a_program_wrote_last_is_why_it_failed() {
        let error = printed(sh("echo a >&2; echo no such module >&2; exit 3"), "x").unwrap_err().to_string();
        assert_eq!(error, "x ended with exit status: 3: no such module");
        assert_eq!(printed(sh("echo ' text '"), "x").unwrap(), "text");
    }

    #[test]
    fn one_that_does_not_end_is_waited_for_no_longer() {
        let mut child = sh("sleep 1000").process_group(0).spawn().unwrap();
        assert!(!wait(&child, Duration::ZERO).unwrap());
        assert!(!end(&mut child).unwrap().success());
    }
}
