//! Children of the benchmark, killed and waited for when they are dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Result;

/// A Python process.
#[derive(Debug)]
pub(crate) struct Python(Child);

impl Python {
    /// Starts a program of this folder with the given standard streams.
    pub(crate) fn start(python: &Path, program: &str, stdin: Stdio, stdout: Stdio) -> Result<Python> {
        let child = command(python).arg(folder().join(program)).stdin(stdin).stdout(stdout).spawn();
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

fn printed(mut run: Command, name: &str) -> Result<String> {
    run.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = run.output().map_err(|error| format!("start {name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The folder of the benchmark's Python programs.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "floors and peers must not go through the library that they are held against"
)]
fn command(program: &Path) -> Command {
    Command::new(program)
}
