//! Real processes that misbehave, one way per file of `tests/fixtures/processes`. Waits are for conditions; the one
//! deadline only ever fails a test.

use std::ffi::OsString;
use std::fs;
use std::future::Future;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::{mpsc, oneshot};

use super::kill::Rung;
use super::*;

mod delegated;
mod ending;
mod flooding;
mod foreign_hosts;
mod frozen;
mod measuring;
mod pairs;
mod starting;
mod stdio;

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Straight to SIGKILL.
const AT_ONCE: Escalation = Escalation::AT_ONCE;

/// Graces that are never used up.
const PATIENT: Escalation = Escalation { ask: DEADLINE, term: DEADLINE };

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("nothing happened for a minute")
}

/// How to run a fixture: `.py` by the interpreter, `.sh` as text, so that the shell holds no descriptor for it.
fn fixture(name: &str) -> Spec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/processes").join(name);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("py") => spec(python(), [path.into_os_string()]),
        _ => spec("sh", ["-c".into(), fs::read_to_string(path).unwrap().into()]),
    }
}

fn spec(program: impl AsRef<Path>, args: impl IntoIterator<Item = OsString>) -> Spec {
    let env = vec![("PATH".into(), std::env::var_os("PATH").unwrap())];
    let program = program.as_ref().to_owned();
    let confinement = Confinement::default();
    let stdio = Stdio::default();
    Spec { program, args: args.into_iter().collect(), env, cwd: None, stdio, fds: Vec::new(), confinement }
}

/// The interpreter itself: `python3` may be a script that looks for it first, for a long time.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "the room's own tests do not rest on the room")]
        let mut command = std::process::Command::new("python3");
        let output = command.args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().into()
    })
}

/// The lines of a child's stdout, read by a task of their own.
struct Lines {
    lines: mpsc::UnboundedReceiver<String>,
    ended: oneshot::Sender<()>,
}

impl Lines {
    fn of(stdout: OwnedFd) -> Lines {
        let (sink, lines) = mpsc::unbounded_channel();
        let (ended, has_ended) = oneshot::channel();
        let ended_or_test_over = async { has_ended.await.unwrap_or_default() };
        tokio::spawn(drain(stdout, ended_or_test_over, move |line| drop(sink.send(line.to_owned()))));
        Lines { lines, ended }
    }

    async fn next(&mut self) -> Option<String> {
        bounded(self.lines.recv()).await
    }

    /// A line with a pid, and that process pinned.
    async fn next_pid(&mut self) -> OwnedFd {
        let pid: i32 = self.next().await.unwrap().parse().unwrap();
        pidfd_open(Pid::new(pid).unwrap().raw(), PidfdFlags::empty()).unwrap()
    }

    async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = self.next().await {
            rest.push(line);
        }
        rest
    }

    /// As the owner of the child does when it has seen it end.
    fn child_has_ended(self) -> mpsc::UnboundedReceiver<String> {
        let _over_already = self.ended.send(());
        self.lines
    }
}

/// One for all tests of this process, which ends with it.
fn guardian() -> &'static Guardian {
    static GUARDIAN: OnceLock<Guardian> = OnceLock::new();
    GUARDIAN.get_or_init(|| Guardian::start(Plan::unrecorded()).unwrap())
}

fn spawn(spec: Spec) -> Result<Spawned, SpawnError> {
    static NUMBERS: AtomicU32 = AtomicU32::new(1);
    guardian().spawn(NUMBERS.fetch_add(1, Ordering::Relaxed), spec)
}

fn start(spec: Spec) -> (Child, Lines) {
    let Spawned { child, stdout, .. } = spawn(spec).unwrap();
    (child, Lines::of(stdout.unwrap()))
}

/// Starts it, lets it end by itself, and gives what it wrote.
async fn run(spec: Spec) -> Vec<String> {
    let (child, mut lines) = start(spec);
    let written = lines.rest().await;
    bounded(child.exited()).await;
    assert_eq!(end(child, &AT_ONCE, || ()).await.status, Status::Exited(0));
    written
}

/// Runs one ignored test of these modules in a process of its own: this test binary, started again.
async fn run_alone(name: &str) {
    run_alone_with(name, Vec::new()).await;
}

/// With this in its environment besides.
async fn run_alone_with(name: &str, env: Vec<(OsString, OsString)>) {
    let (status, written) = alone(name, &[], env).await;
    assert_eq!(status, Status::Exited(0), "{written:#?}");
    assert!(written.iter().any(|line| line.contains("1 passed")), "{written:#?}");
}

/// By way of a launcher that this machine may not allow; it says so in its own name then.
async fn run_alone_by(launcher: &[&str], name: &str) {
    let (status, written) = alone(name, launcher, Vec::new()).await;
    if status != Status::Exited(0) && !written.iter().any(|line| line.contains("running 1 test")) {
        return println!("not checked: {launcher:?}: {status} {written:?}");
    }
    assert!(written.iter().any(|line| line.contains("1 passed")), "{status} {written:#?}");
}

async fn alone(name: &str, launcher: &[&str], env: Vec<(OsString, OsString)>) -> (Status, Vec<String>) {
    let name = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    let test = std::env::current_exe().unwrap();
    let args = ["--exact", &name, "--ignored", "--test-threads=1"].map(OsString::from);
    let mut command = launcher.iter().map(OsString::from).chain([test.into_os_string()]).chain(args);
    let mut spec = spec(PathBuf::from(command.next().unwrap()), command);
    spec.env.extend(env);
    let (child, mut lines) = start(spec);
    let written = lines.rest().await;
    bounded(child.exited()).await;
    (end(child, &AT_ONCE, || ()).await.status, written)
}

/// A pipe from which the given text can be read, and then its end.
fn pipe_with_text(text: &str) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    reader.into()
}

fn is_running(pidfd: &OwnedFd) -> bool {
    pidfd_send_signal(pidfd, Signal::WINCH).is_ok() && !is_readable(pidfd)
}

fn is_readable(pidfd: &OwnedFd) -> bool {
    let mut fds = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())).unwrap() > 0
}

/// For any process: it has ended, or ends now. Who reaps it is another question.
async fn assert_ends(pidfd: OwnedFd) {
    let exit = raw::watch(pidfd).unwrap();
    bounded(exit.readable()).await.unwrap().clear_ready();
}

/// For a child that was dropped: the guardian ends and reaps it.
async fn assert_goes(identity: &Identity) {
    let until_gone = async {
        while !is_gone(identity) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    bounded(until_gone).await;
}

/// For a child: it has ended and was reaped, already.
fn assert_gone(identity: &Identity) {
    assert!(is_gone(identity), "{identity:?}");
}

/// Ended, and reaped.
fn is_gone(identity: &Identity) -> bool {
    matches!(identity.standing(), Standing::Dead(_)) && !Path::new(&format!("/proc/{}", identity.pid())).exists()
}
