//! What a pool runs: the trait [`App`], the order it gives ([`Launch`]), and [`CommandApp`], which runs any program that
//! speaks the native wire. Python has a room of its own, `pyenv`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind, Result};
use crate::id::{RunId, WorkerId};

pub(crate) mod program;

/// A kind of worker: how one is started, and what is known about its tools beforehand.
///
/// A pool asks [`App::launch`] for every worker that it starts; the process that results must speak the native wire
/// (`docs/design/wire.md`) on the descriptors that `HATCHERY_WIRE` names. The trait is open: an app of your own may
/// pick another binary, another environment or another card for each worker.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use hatchery::{App, Launch, LaunchContext, Result};
///
/// /// Workers take the graphics cards in turn.
/// struct OnePerCard { cards: usize, started: AtomicUsize }
///
/// impl App for OnePerCard {
///     fn launch(&self, worker: &LaunchContext<'_>) -> Result<Launch> {
///         let card = self.started.fetch_add(1, Ordering::Relaxed) % self.cards;
///         Ok(Launch::new("/usr/bin/node")
///             .arg("/srv/embedder/worker.js")
///             .env("CUDA_VISIBLE_DEVICES", card.to_string())
///             .env("LOG_NAME", worker.worker.as_str()))
///     }
///
///     fn describe(&self) -> String {
///         "worker.js, one per card".to_owned()
///     }
/// }
///
/// let app: Box<dyn App> = Box::new(OnePerCard { cards: 2, started: AtomicUsize::new(0) });
/// assert_eq!(app.describe(), "worker.js, one per card");
/// ```
pub trait App: Send + Sync + 'static {
    /// How to start one worker. Called for every start, also for restarts, on a thread where blocking is fine.
    ///
    /// # Errors
    /// Whatever keeps the worker from being started, as [`ErrorKind::Validation`] if trying again cannot help. The
    /// pool puts the worker's name in front of the message.
    fn launch(&self, worker: &LaunchContext<'_>) -> Result<Launch>;

    /// What this is, for people: it appears in errors and in HELLO.
    fn describe(&self) -> String;

    /// How long a call of this tool with these arguments may take. `None`: as long as the pool says.
    /// `Duration::MAX`: without end.
    fn timeout(&self, tool: &str, args: &RawValue) -> Option<Duration> {
        let _any = (tool, args);
        None
    }

    /// Whether [`App::timeout`] ever says anything. If not, the arguments of calls need not be read for it. Default: true.
    fn has_timeouts(&self) -> bool {
        true
    }

    /// Explains better why a worker ended before it was ready, if this app knows. Called after the fact, on a thread
    /// where blocking is fine, with the launch that failed. `None`: the pool's own words are as good.
    fn explain_failed_start(&self, launch: &Launch) -> Option<Error> {
        let _any = launch;
        None
    }
}

/// For whom a worker is started.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LaunchContext<'a> {
    /// The worker's id. The one that replaces it has the same.
    pub worker: &'a WorkerId,
    /// The supervisor's run.
    pub run: RunId,
    /// The pool that will own the worker.
    pub pool: &'a str,
    /// How many calls the worker is sent at once, at most: 1, but for pools of the thread profile.
    pub threads: usize,
    /// Variables that limit the threads of its libraries, as the pool is configured.
    pub thread_limits: &'a [(String, String)],
}

impl<'a> LaunchContext<'a> {
    pub(crate) fn new(worker: &'a WorkerId, run: RunId, pool: &'a str) -> LaunchContext<'a> {
        LaunchContext { worker, run, pool, threads: 1, thread_limits: &[] }
    }
}

/// One program to start, exactly. Nothing of it passes through a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launch {
    /// The executable: an absolute path. No search along `PATH` is made.
    pub program: PathBuf,
    /// Its arguments, without the program's own name.
    pub args: Vec<OsString>,
    /// Set on top of the host's environment; of two entries for a name the later one wins.
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts. `None`: where the host is.
    pub cwd: Option<PathBuf>,
    /// Whether the program can also be a template, and fork such workers.
    pub(crate) is_forkable: bool,
}

impl Launch {
    /// Starts `program` without arguments, in the host's environment and folder.
    pub fn new(program: impl Into<PathBuf>) -> Launch {
        Launch { program: program.into(), args: Vec::new(), env: Vec::new(), cwd: None, is_forkable: false }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Launch {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Launch {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Launch {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it in this folder.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Launch {
        self.cwd = Some(folder.into());
        self
    }

    /// Starts this worker as a program of its own, though its pool may have a template that it could be forked from.
    #[must_use]
    pub fn cold(mut self) -> Launch {
        self.is_forkable = false;
        self
    }
}

/// Any program that speaks the native wire on the descriptors that it is given.
///
/// ```
/// use hatchery::{App, CommandApp};
///
/// let app = CommandApp::new("node").arg("worker.js").env("NODE_ENV", "production").cwd("/srv/embedder");
/// assert_eq!(app.describe(), "node worker.js");
/// ```
#[derive(Clone, Debug)]
pub struct CommandApp(Launch);

impl CommandApp {
    /// Runs `program`: a name, which is looked for along the host's `PATH` at every start, or a path, which is taken
    /// from the host's folder if it is relative.
    pub fn new(program: impl Into<PathBuf>) -> CommandApp {
        CommandApp(Launch::new(program))
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(self, arg: impl Into<OsString>) -> CommandApp {
        CommandApp(self.0.arg(arg))
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(self, args: impl IntoIterator<Item = A>) -> CommandApp {
        CommandApp(self.0.args(args))
    }

    /// Sets a variable on top of the host's environment.
    #[must_use]
    pub fn env(self, name: impl Into<OsString>, value: impl Into<OsString>) -> CommandApp {
        CommandApp(self.0.env(name, value))
    }

    /// Starts the program in this folder. Default: the host's.
    #[must_use]
    pub fn cwd(self, folder: impl Into<PathBuf>) -> CommandApp {
        CommandApp(self.0.cwd(folder))
    }

    /// The keys of a configuration in which the other one differs.
    pub(crate) fn changes(&self, other: &CommandApp) -> Vec<&'static str> {
        let (one, other) = (&self.0, &other.0);
        let is_same = [
            ("command", (&one.program, &one.args, &one.cwd) == (&other.program, &other.args, &other.cwd)),
            ("env", one.env == other.env),
        ];
        is_same.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
    }
}

impl App for CommandApp {
    fn launch(&self, _worker: &LaunchContext<'_>) -> Result<Launch> {
        let program = program::resolve(self.0.program.as_os_str(), &program::Host)
            .map_err(|refusal| Error::new(ErrorKind::Validation, refusal.to_string()))?;
        if let Some(folder) = &self.0.cwd {
            require_folder(folder)?;
        }
        Ok(Launch { program, ..self.0.clone() })
    }

    fn describe(&self) -> String {
        let words = std::iter::once(self.0.program.as_os_str()).chain(self.0.args.iter().map(OsString::as_os_str));
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }

    fn has_timeouts(&self) -> bool {
        false
    }
}

/// Without this, a start in a folder that is not there reads like a missing program.
fn require_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Validation, format!("no such folder: {}", folder.display())))
}

impl<A: App + ?Sized> App for Arc<A> {
    fn launch(&self, worker: &LaunchContext<'_>) -> Result<Launch> {
        (**self).launch(worker)
    }

    fn describe(&self) -> String {
        (**self).describe()
    }

    fn timeout(&self, tool: &str, args: &RawValue) -> Option<Duration> {
        (**self).timeout(tool, args)
    }

    fn has_timeouts(&self) -> bool {
        (**self).has_timeouts()
    }

    fn explain_failed_start(&self, launch: &Launch) -> Option<Error> {
        (**self).explain_failed_start(launch)
    }
}

impl<A: App + ?Sized> App for Box<A> {
    fn launch(&self, worker: &LaunchContext<'_>) -> Result<Launch> {
        (**self).launch(worker)
    }

    fn describe(&self) -> String {
        (**self).describe()
    }

    fn timeout(&self, tool: &str, args: &RawValue) -> Option<Duration> {
        (**self).timeout(tool, args)
    }

    fn has_timeouts(&self) -> bool {
        (**self).has_timeouts()
    }

    fn explain_failed_start(&self, launch: &Launch) -> Option<Error> {
        (**self).explain_failed_start(launch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(app: &dyn App) -> Result<Launch> {
        let worker = WorkerId::new("default", 1);
        app.launch(&LaunchContext::new(&worker, RunId::random(), "default"))
    }

    #[test]
    fn a_command_is_found_along_the_path_and_keeps_its_order() {
        let app = CommandApp::new("sh").args(["-c", "true"]).env("K", "1").env("K", "2").cwd("/");
        let launch = launch(&app).unwrap();
        assert!(launch.program.is_absolute() && launch.program.ends_with("sh"), "{launch:?}");
        assert_eq!(launch.args, ["-c", "true"]);
        assert_eq!(launch.env, [("K".into(), "1".into()), ("K".into(), OsString::from("2"))]);
        assert_eq!(launch.cwd.as_deref(), Some(Path::new("/")));
    }

    #[test]
    fn a_missing_program_or_folder_is_named() {
        let error = launch(&CommandApp::new("no-such-program-7411")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert_eq!(error.message(), "no such program on PATH: no-such-program-7411");
        let error = launch(&CommandApp::new("sh").cwd("/no/such/folder")).unwrap_err();
        assert_eq!(error.message(), "no such folder: /no/such/folder");
    }

    #[test]
    fn a_boxed_and_a_shared_app_pass_every_question_on() {
        struct Sure;
        impl App for Sure {
            fn launch(&self, worker: &LaunchContext<'_>) -> Result<Launch> {
                Ok(Launch::new("/bin/true").arg(worker.pool))
            }
            fn describe(&self) -> String {
                "sure".to_owned()
            }
            fn timeout(&self, tool: &str, _args: &RawValue) -> Option<Duration> {
                (tool == "slow").then_some(Duration::MAX)
            }
            fn explain_failed_start(&self, _launch: &Launch) -> Option<Error> {
                Some(Error::new(ErrorKind::Validation, "no luck"))
            }
        }
        let shared: Arc<dyn App> = Arc::new(Sure);
        let boxed: Box<dyn App> = Box::new(Arc::clone(&shared));
        let args = RawValue::from_string("{}".to_owned()).unwrap();
        assert_eq!(launch(&boxed).unwrap(), Launch::new("/bin/true").arg("default"));
        assert_eq!(boxed.describe(), "sure");
        assert_eq!((boxed.timeout("slow", &args), boxed.timeout("fast", &args)), (Some(Duration::MAX), None));
        assert!(boxed.has_timeouts() && !(Box::new(CommandApp::new("sh")) as Box<dyn App>).has_timeouts());
        assert_eq!(boxed.explain_failed_start(&Launch::new("/bin/true")).unwrap().message(), "no luck");
    }
}
