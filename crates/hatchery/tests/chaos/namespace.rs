//! A case from the outside: a PID namespace, a cgroup if there is one to have, and a bound on its time.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::case::{Case, Tier};
use crate::cgroup::Own;
use crate::{Outcome, shape};

/// After this long a case is ended with its namespace.
const PATIENCE: Duration = Duration::from_secs(120);
const PATIENCE_FULL: Duration = Duration::from_secs(900);

/// The interpreter itself: what PATH names may be a script that looks for it, at every start.
#[expect(clippy::disallowed_methods, reason = "an interpreter is asked who it is, and waited for")]
fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let found = asked.ok().and_then(|output| String::from_utf8(output.stdout).ok());
        found.map_or_else(|| "python3".to_owned(), |path| path.trim().to_owned())
    })
}

/// One that every user may run: the system's own, if the one that PATH names is root's.
fn python_for_all() -> Option<&'static str> {
    [python(), "/usr/bin/python3"].into_iter().find(|path| is_open_to_all(Path::new(path)))
}

/// Whether a supervisor of a user who owns nothing could do anything here.
pub(crate) fn lets_nobody_in() -> bool {
    let exe = std::env::current_exe().unwrap();
    let files = [exe, shape::folder().join("plain.py"), std::env::temp_dir()];
    rustix::process::geteuid().is_root() && python_for_all().is_some() && files.iter().all(|file| is_open_to_all(file))
}

/// Whether others may look at it, and may look for it in all folders above.
fn is_open_to_all(path: &Path) -> bool {
    let allows = |path: &Path, bits| path.metadata().is_ok_and(|found| found.mode() & bits == bits);
    allows(path, 0o4)
        && path.ancestors().skip(1).filter(|above| *above != Path::new("")).all(|above| allows(above, 0o1))
}

/// Says in words why no namespace can be had here.
pub(crate) fn probe() -> Outcome {
    let output = unshare().arg("true").output().map_err(|error| format!("start unshare: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// Runs one case to its end; what it says.
pub(crate) fn run(case: &Case) -> Outcome<String> {
    let dir = tempfile::Builder::new().prefix("chaos-").tempdir().map_err(|error| format!("make a folder: {error}"))?;
    let own = (case.tier == Tier::Cgroup).then(Own::make).transpose()?;
    let mut command = unshare();
    command.arg("--kill-child").arg(std::env::current_exe().unwrap()).args(["inside", &case.name()]);
    command.env("CHAOS_DIR", dir.path()).env("TMPDIR", dir.path()).env("HATCHERY_DATA_DIR", dir.path().join("data"));
    command.env("HOME", dir.path()).env_remove("XDG_RUNTIME_DIR").env(
        "CHAOS_PYTHON",
        match case.tier {
            Tier::Nobody => python_for_all().unwrap_or_else(python),
            _ => python(),
        },
    );
    match &own {
        Some(own) => command.env("CHAOS_CGROUP", &own.folder),
        None => command.env_remove("CHAOS_CGROUP"),
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(|error| format!("start unshare: {error}"))?;
    let said = read_out(&mut child);
    let succeeded = wait(&mut child, if case.full { PATIENCE_FULL } else { PATIENCE });
    let said = said.join().unwrap().trim().to_owned();
    let left = own.map_or(Ok(()), Own::remove);
    match succeeded? {
        true => left.map(|()| said),
        false => Err(said),
    }
}

/// `unshare` of util-linux; a user who is not root gets a user namespace around it.
#[expect(clippy::disallowed_methods, reason = "the namespace is what owns the processes of a case")]
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--mount-proc"]);
    command
}

/// Read beside, so that a case that says much does not wait for us.
fn read_out(child: &mut Child) -> std::thread::JoinHandle<String> {
    let mut stdout = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        stdout.read_to_end(&mut said).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    })
}

fn wait(child: &mut Child, patience: Duration) -> Outcome<bool> {
    let end = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().map_err(|error| format!("wait for unshare: {error}"))? {
            return Ok(status.success());
        }
        if Instant::now() > end {
            // `--kill-child`: the first process of the namespace dies with `unshare`, and all others with it.
            child.kill().and_then(|()| child.wait()).map_err(|error| format!("end unshare: {error}"))?;
            return Err(format!("not over after {} s", patience.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
