//! What is started: one of Snakepit's worker scripts, with the arguments and the environment that it expects.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use hatchery::{App, Error, ErrorKind, Interpreter, Launch, LaunchContext, PythonApp, Result, ShimMode};

use serde::de::DeserializeOwned;

use crate::shim;

/// The script of its threaded server lies beside the other one, under this name.
const THREADED_SCRIPT: &str = "grpc_server_threaded.py";

/// An argument that only the threaded server takes. Its presence chooses the script.
const MAX_WORKERS: &str = "--max-workers";

/// And another that only it takes.
const CHECKS: &str = "--thread-safety-check";

/// A Python worker that was written for Snakepit: its package `snakepit_bridge` and an adapter class, unmodified.
///
/// ```
/// use hatchery::App;
/// use hatchery_snakepit::Snakepit;
///
/// let app = Snakepit::new("priv/python/grpc_server.py", "snakepit_bridge.adapters.showcase.ShowcaseAdapter")
///     .adapter_args(["--heartbeat-independent"])
///     .env("OMP_NUM_THREADS", "2");
/// assert_eq!(app.describe(), "snakepit_bridge.adapters.showcase.ShowcaseAdapter by grpc_server.py");
/// ```
#[derive(Clone, Debug)]
pub struct Snakepit {
    script: PathBuf,
    adapter: String,
    adapter_args: Vec<String>,
    python: Option<OsString>,
    env: Vec<(OsString, OsString)>,
    thread_safety_checks: bool,
    shim: Vec<ShimMode>,
    unsafe_bind: bool,
}

impl Snakepit {
    /// Runs the adapter, a dotted `module.Class`, by the worker script `grpc_server.py` at this path. Its folder is where the worker
    /// starts, and from where it imports.
    pub fn new(script: impl Into<PathBuf>, adapter: impl Into<String>) -> Snakepit {
        Snakepit {
            script: script.into(),
            adapter: adapter.into(),
            adapter_args: Vec::new(),
            python: None,
            env: Vec::new(),
            thread_safety_checks: false,
            shim: ShimMode::USUAL.to_vec(),
            unsafe_bind: false,
        }
    }

    /// Adds arguments of the worker script. With `--max-workers N` among them it is `grpc_server_threaded.py`, beside the named script.
    #[must_use]
    pub fn adapter_args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Snakepit {
        self.adapter_args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs it by this interpreter: a path, or a name along `PATH`. Default: `SNAKEPIT_PYTHON` if it is set, else the one that a
    /// [`PythonApp`] in the script's folder would get.
    #[must_use]
    pub fn python(mut self, interpreter: impl Into<OsString>) -> Snakepit {
        self.python = Some(interpreter.into());
        self
    }

    /// Sets a variable on top of the host's environment and of what workers are given by default.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Snakepit {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Whether the threaded server is to watch for calls that are not safe beside each other. Default: no.
    #[must_use]
    pub fn thread_safety_checks(mut self, yes: bool) -> Snakepit {
        self.thread_safety_checks = yes;
        self
    }

    /// What is mended in it as it starts, without a change to its files. Default: [`ShimMode::USUAL`], by which it listens to this machine
    /// only; nothing, with an empty list.
    #[must_use]
    pub fn shim(mut self, modes: impl IntoIterator<Item = ShimMode>) -> Snakepit {
        self.shim = modes.into_iter().collect();
        self
    }

    /// Whether it may listen on all addresses, where anybody who reaches this machine can run its tools. Without, it is not
    /// started unless [`ShimMode::Loopback`] is on. Default: no.
    #[must_use]
    pub fn unsafe_bind(mut self, yes: bool) -> Snakepit {
        self.unsafe_bind = yes;
        self
    }

    /// Whether its arguments say that its tools run in several threads of one worker. So they do in a pool that gives a worker several
    /// calls at once.
    pub fn is_threaded(&self) -> bool {
        has_flag(&self.adapter_args, MAX_WORKERS)
    }

    fn is_threaded_for(&self, worker: &LaunchContext<'_>) -> bool {
        self.is_threaded() || worker.threads > 1
    }

    /// What its interpreter answers to this code, asked where a worker starts and with what that imports from.
    pub(crate) fn ask<T: DeserializeOwned>(&self, code: &str) -> Result<(Interpreter, T)> {
        let script = self.script(self.is_threaded())?;
        let interpreter = self.interpreter(&script)?;
        let folder = script.parent().unwrap_or(Path::new("/"));
        let mut env = vec![("PYTHONPATH".into(), python_path(variable("PYTHONPATH"), folder))];
        env.extend(self.env.iter().cloned());
        let answer = interpreter.ask(code, &env, folder)?;
        Ok((interpreter, answer))
    }

    pub(crate) fn adapter(&self) -> &str {
        &self.adapter
    }

    /// The port that its workers are told to listen on, unless they may choose.
    pub(crate) fn fixed_port(&self) -> Option<u16> {
        let port = value_of(&self.adapter_args, "--port")?.parse().ok();
        port.filter(|port| *port != 0)
    }

    fn require_loopback(&self) -> Result<()> {
        match self.unsafe_bind || self.shim.contains(&ShimMode::Loopback) {
            true => Ok(()),
            false => {
                let message = "without the shim's loopback it listens on all addresses, and asks nobody for a password; \
                               turn that on, or say unsafe_bind";
                Err(Error::new(ErrorKind::Validation, message))
            }
        }
    }

    /// The script that is run, by its whole path: a worker starts in its folder.
    fn script(&self, is_threaded: bool) -> Result<PathBuf> {
        let named = match is_threaded {
            true => self.script.with_file_name(THREADED_SCRIPT),
            false => self.script.clone(),
        };
        let wrong = |why: String| Error::new(ErrorKind::Validation, format!("script {}: {why}", named.display()));
        let path = named.canonicalize().map_err(|error| wrong(error.to_string()))?;
        match path.is_file() {
            true => Ok(path),
            false => Err(wrong("is no file".to_owned())),
        }
    }

    fn interpreter(&self, script: &Path) -> Result<Interpreter> {
        let app = PythonApp::file(script);
        let named = self.python.clone().or_else(|| variable("SNAKEPIT_PYTHON"));
        let app = match named {
            Some(python) => app.python(python),
            None => app,
        };
        app.interpreter()
    }

    /// What the pool has said of arguments, and what the worker needs of those that nobody has said.
    fn args(&self, worker: &LaunchContext<'_>) -> Vec<String> {
        let mut args = self.adapter_args.clone();
        let mut unless_said = |flag: &str, value: &str| {
            if !has_flag(&self.adapter_args, flag) {
                args.extend([flag.to_owned(), value.to_owned()]);
            }
        };
        unless_said("--adapter", &self.adapter);
        if self.is_threaded_for(worker) {
            unless_said(MAX_WORKERS, &worker.threads.max(1).to_string());
        }
        unless_said("--port", "0");
        // Seen in the list of processes, where Snakepit itself looks for orphans: one without these it would take for its own.
        unless_said("--snakepit-run-id", &worker.run.short());
        unless_said("--snakepit-instance-name", "hatchery");
        unless_said("--snakepit-instance-token", &worker.run.to_string());
        let is_checked = self.thread_safety_checks && self.is_threaded_for(worker);
        if is_checked && !has_flag(&self.adapter_args, CHECKS) {
            args.push(CHECKS.to_owned());
        }
        args
    }
}

impl App for Snakepit {
    fn launch(&self, worker: &LaunchContext<'_>) -> Result<Launch> {
        self.require_loopback()?;
        let is_threaded = self.is_threaded_for(worker);
        let script = self.script(is_threaded)?;
        let interpreter = self.interpreter(&script)?.path().to_owned();
        let folder = script.parent().unwrap_or(Path::new("/")).to_owned();
        let mut env = defaults(worker, is_threaded, &folder, &interpreter, variable);
        env.extend(worker.thread_limits.iter().map(|(name, value)| (name.into(), value.into())));
        env.extend(self.env.iter().cloned());
        let mut launch = Launch::new(interpreter).arg(script).args(self.args(worker)).cwd(folder);
        launch.env = env;
        shim::injected(launch, &self.shim)
    }

    fn describe(&self) -> String {
        let script =
            if self.is_threaded() { OsStr::new(THREADED_SCRIPT) } else { self.script.file_name().unwrap_or_default() };
        format!("{} by {}", self.adapter, script.to_string_lossy())
    }

    fn has_timeouts(&self) -> bool {
        false
    }
}

/// Whole flags are compared, alone or with `=`: one that is part of another argument is another.
pub(crate) fn has_flag(args: &[String], flag: &str) -> bool {
    args.iter().any(|arg| arg == flag || arg.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=')))
}

/// The last one that is said, as the scripts take it.
fn value_of<'a>(args: &'a [String], flag: &str) -> Option<&'a str> {
    let at = args.iter().rposition(|arg| has_flag(std::slice::from_ref(arg), flag))?;
    args[at].split_once('=').map(|(_, value)| value).or_else(|| args.get(at + 1).map(String::as_str))
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The libraries whose threads are limited, and by what.
const THREAD_LIMITS: [&str; 5] =
    ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"];

/// What every worker is given, unless the pool says otherwise. What the host's environment says is left as it is.
fn defaults(
    worker: &LaunchContext<'_>,
    is_threaded: bool,
    folder: &Path,
    interpreter: &Path,
    host: impl Fn(&str) -> Option<OsString>,
) -> Vec<(OsString, OsString)> {
    let threads = if is_threaded { worker.threads.max(1) } else { 1 }.to_string();
    let usual = [
        ("PYTHONNOUSERSITE", "1"),
        ("PYTHONUNBUFFERED", "1"),
        ("GRPC_VERBOSITY", "ERROR"),
        ("GRPC_POLL_STRATEGY", "poll"),
        // It would print every span on its output.
        ("SNAKEPIT_OTEL_CONSOLE", "false"),
        ("SNAKEPIT_LOG_LEVEL", "error"),
    ];
    let limits = THREAD_LIMITS.map(|name| (name, threads.as_str()));
    let unsaid = usual.into_iter().chain(limits).filter(|(name, _)| host(name).is_none());
    let mut env: Vec<(OsString, OsString)> = unsaid.map(|(name, value)| (name.into(), value.into())).collect();
    env.push(("SNAKEPIT_PYTHON".into(), interpreter.into()));
    env.push(("PYTHONPATH".into(), python_path(host("PYTHONPATH"), folder)));
    env
}

/// The host's folders first, then the script's.
fn python_path(inherited: Option<OsString>, folder: &Path) -> OsString {
    let mut folders: Vec<PathBuf> = inherited.iter().flat_map(std::env::split_paths).collect();
    if !folders.iter().any(|known| known == folder) {
        folders.push(folder.to_owned());
    }
    // A folder with a colon in its name cannot be said in this variable; the worker starts in its own folder anyway.
    std::env::join_paths(folders).unwrap_or_else(|_| inherited.unwrap_or_default())
}
