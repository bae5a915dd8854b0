//! One run in a PID namespace of its own: whatever happens there, nothing outside is signalled and nothing stays.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use super::options::Options;
use super::{Outcome, folder};
use crate::Result;

/// What is started in the namespace, and when it is looked at.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) command: Vec<String>,
    pub(super) workers: usize,
    /// Whether the supervisor says itself when its workers are as they shall be.
    pub(super) tells: bool,
    /// Seconds after the kill.
    pub(super) surveys: Vec<u64>,
}

impl Run {
    pub(super) fn measure(&self, options: &Options) -> Result<Outcome> {
        let report = tempfile::Builder::new().prefix("orphans-").tempdir()?;
        let mut command = unshare();
        command.arg("--kill-child").arg(std::env::current_exe()?).arg("orphans-inside");
        command.arg(serde_json::to_string(&self.surveys)?).arg(if self.tells { "told" } else { "seen" });
        command.args(&self.command);
        command.env("ORPHANS_REPORT", report.path()).env("ORPHANS_HERE", folder());
        command.env("ORPHANS_WORKERS", self.workers.to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("HATCHERY_DATA_DIR", report.path().join("data")).env("HATCHERY_PYTHON", &options.python);
        // The first process of the namespace ends when this pipe does: an interrupted benchmark leaves nothing.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("start unshare: {error}"))?;
        answer(child)
    }
}

/// Says in words why no namespace can be had here.
pub(super) fn probe() -> Result<()> {
    let output = unshare().arg("true").output().map_err(|error| format!("start unshare: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("no PID namespace can be made here, and without one nothing is killed: {said}").into())
}

/// `unshare` of util-linux; a user who is not root gets a user namespace around it.
#[expect(clippy::disallowed_methods, reason = "the namespace is what owns the processes of a run")]
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--mount-proc"]);
    command
}

fn answer(mut child: Child) -> Result<Outcome> {
    let held_open = child.stdin.take();
    let (mut out, mut err) = (String::new(), String::new());
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut out)?;
    }
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut err)?;
    }
    let status = child.wait()?;
    drop(held_open);
    if status.success() { Ok(serde_json::from_str(&out)?) } else { Err(err.trim().to_owned().into()) }
}
