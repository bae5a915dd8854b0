//! The supervisors of the matrix: how each is started, and what must be installed for it.

use std::path::{Path, PathBuf};

use super::folder;
use super::options::Options;

/// One supervisor, in one posture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    kind: Kind,
    /// Its arguments, with `{here}` for the folder of the peers' programs.
    line: &'static str,
    /// Whether it says itself that its workers are as they shall be; else its workers and daemons are enough.
    pub(super) tells: bool,
    /// Whose version is printed: a package of Python, `python`, `node`, `tini` or ours.
    pub(super) package: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A hidden mode of this program.
    Ours,
    /// The command `hatchery`, built beside this program.
    Shell,
    /// The environment's interpreter.
    Python,
    /// A program of the environment, or on PATH.
    Program(&'static str),
}

const fn ours(name: &'static str, line: &'static str, package: &'static str) -> Peer {
    Peer { name, kind: Kind::Ours, line, tells: true, package }
}

const fn shell(name: &'static str, line: &'static str) -> Peer {
    Peer { name, kind: Kind::Shell, line, tells: false, package: "hatchery" }
}

const fn pool(name: &'static str, line: &'static str, tells: bool, package: &'static str) -> Peer {
    Peer { name, kind: Kind::Python, line, tells, package }
}

const fn program(name: &'static str, program: &'static str, line: &'static str, package: &'static str) -> Peer {
    Peer { name, kind: Kind::Program(program), line, tells: false, package }
}

/// Every line of the matrix, in its order.
pub(super) fn all() -> Vec<Peer> {
    vec![
        ours("hatchery, idle", "hatchery-python idle", "hatchery"),
        ours("hatchery, busy", "hatchery-python busy", "hatchery"),
        ours("hatchery, compiled worker", "hatchery-compiled idle", "hatchery"),
        shell("hatchery serve", "serve --app {here}/app.py --workers 4 --listen 127.0.0.1:0"),
        pool("multiprocessing.Pool, fork, idle", "{here}/pools.py pool-fork idle", true, "python"),
        pool("multiprocessing.Pool, fork, busy", "{here}/pools.py pool-fork busy", false, "python"),
        pool("multiprocessing.Pool, forkserver, idle", "{here}/pools.py pool-forkserver idle", true, "python"),
        pool("multiprocessing.Pool, spawn, idle", "{here}/pools.py pool-spawn idle", true, "python"),
        pool("ProcessPoolExecutor, fork, idle", "{here}/pools.py executor-fork idle", true, "python"),
        pool("ProcessPoolExecutor, spawn, idle", "{here}/pools.py executor-spawn idle", true, "python"),
        pool("loky, idle", "{here}/pools.py loky idle", true, "loky"),
        pool("loky, busy", "{here}/pools.py loky busy", false, "loky"),
        pool("joblib, busy", "{here}/pools.py joblib busy", false, "joblib"),
        program("gunicorn, sync", "gunicorn", "--chdir {here} -w 4 -b unix:web web:wsgi", "gunicorn"),
        program(
            "gunicorn, uvicorn worker",
            "gunicorn",
            "--chdir {here} -w 4 -k uvicorn_worker.UvicornWorker -b unix:web web:asgi",
            "uvicorn-worker",
        ),
        program("supervisord", "supervisord", "-c {here}/supervisord.conf", "supervisor"),
        program("circusd", "circusd", "{here}/circus.ini", "circus"),
        program("honcho", "honcho", "start -f {here}/Procfile -c worker=4", "honcho"),
        program("node child_process, idle", "node", "{here}/children.js idle", "node"),
        program("node child_process, busy", "node", "{here}/children.js busy", "node"),
        program("tini -s -p SIGKILL", "tini", "-s -p SIGKILL -- sh {here}/four.sh", "tini"),
        ours("Rust std::process, idle", "command idle", "rustc"),
        ours("Rust std::process, busy", "command busy", "rustc"),
        ours("tokio kill_on_drop, busy", "tokio busy", "rustc"),
    ]
}

/// The lines of W7: what the workers do when their supervisor is killed.
pub(super) fn states() -> Vec<Peer> {
    vec![
        ours("hatchery, idle", "hatchery-python idle", "hatchery"),
        ours("hatchery, asleep", "hatchery-python busy", "hatchery"),
        ours("hatchery, in a C loop", "hatchery-python loop", "hatchery"),
        ours("hatchery, with a child of its own", "hatchery-python child", "hatchery"),
        pool("multiprocessing.Pool, idle", "{here}/pools.py pool-fork idle", true, "python"),
        pool("multiprocessing.Pool, asleep", "{here}/pools.py pool-fork busy", false, "python"),
        pool("multiprocessing.Pool, in a C loop", "{here}/pools.py pool-fork loop", false, "python"),
        pool("multiprocessing.Pool, with a child of its own", "{here}/pools.py pool-fork child", true, "python"),
        pool("ProcessPoolExecutor, idle", "{here}/pools.py executor-fork idle", true, "python"),
        pool("ProcessPoolExecutor, in a C loop", "{here}/pools.py executor-fork loop", false, "python"),
        pool("loky, idle", "{here}/pools.py loky idle", true, "loky"),
        pool("loky, in a C loop", "{here}/pools.py loky loop", false, "loky"),
    ]
}

impl Peer {
    /// Whether it is hatchery.
    pub(super) fn is_ours(&self) -> bool {
        self.package == "hatchery"
    }

    /// The words that start it, or why it cannot be started.
    pub(super) fn command(&self, options: &Options) -> Result<Vec<String>, String> {
        let program = match self.kind {
            Kind::Ours => return this(self.line).map_err(|error| error.to_string()),
            Kind::Shell => {
                beside_this("hatchery").ok_or("not built: `cargo build --release -p hatchery-cli` makes it")?
            }
            Kind::Python => options.python.clone(),
            Kind::Program(name) => {
                installed(&options.python, name).ok_or_else(|| format!("not installed: no program `{name}`"))?
            }
        };
        let here = folder().display().to_string();
        let words = self.line.split(' ').map(|word| word.replace("{here}", &here));
        Ok(std::iter::once(program.display().to_string()).chain(words).collect())
    }
}

/// This program as a supervisor.
pub(super) fn this(line: &str) -> std::io::Result<Vec<String>> {
    let program = std::env::current_exe()?.display().to_string();
    let words = line.split(' ').map(str::to_owned);
    Ok([program, "orphans-supervise".to_owned()].into_iter().chain(words).collect())
}

/// A program that was built with this one.
fn beside_this(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.with_file_name(name);
    beside.is_file().then_some(beside)
}

/// A program beside the interpreter, or on PATH.
pub(super) fn installed(python: &Path, name: &str) -> Option<PathBuf> {
    let beside = python.parent().map(|folder| folder.join(name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let along = std::env::split_paths(&path).map(|folder| folder.join(name)).collect::<Vec<_>>();
    beside.into_iter().chain(along).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_installed_is_said() {
        let options = Options::parse(["--python", "/no/python"].map(str::to_owned).into_iter()).unwrap();
        let absent = program("x", "no-such-program-7411", "", "x");
        assert_eq!(absent.command(&options).unwrap_err(), "not installed: no program `no-such-program-7411`");
        let present = program("x", "sh", "{here}/worker.sh idle", "x").command(&options).unwrap();
        assert!(present[0].ends_with("/sh") && present[1].ends_with("orphans/worker.sh"), "{present:?}");
    }

    #[test]
    fn names_are_told_apart() {
        let names: std::collections::BTreeSet<_> = all().iter().map(|peer| peer.name).collect();
        assert_eq!(names.len(), all().len());
    }
}
