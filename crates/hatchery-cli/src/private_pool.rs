//! The pool of one command: started, used, and ended again, whatever happens in between.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use hatchery::{CallOptions, Error, ErrorKind, Hatchery, Pool, PythonApp, Timeouts};

use crate::configuration;
use crate::exit::Failure;
use crate::invocation::Invocation;
use crate::logs::{Calls, Logs};

/// The pool's name, which begins the names of its workers.
const NAME: &str = "default";

/// What a worker has to clean up, before SIGTERM and again before SIGKILL, when its call was given up.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// Which app, and which Python runs it.
#[derive(Args, Clone, Debug)]
pub(crate) struct AppOptions {
    /// The app: a Python file or an importable module, and in it the function, class or object that holds the tools
    #[arg(long, value_name = "PATH[:ATTR]|MODULE[:ATTR]")]
    pub(crate) app: Option<String>,
    /// The Python interpreter that runs it
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
}

/// How calls are made.
#[derive(Args, Debug)]
pub(crate) struct CallingOptions {
    #[command(flatten)]
    pub(crate) app: AppOptions,
    /// How many worker processes
    #[arg(long, value_name = "N", default_value = "1", value_parser = workers)]
    pub(crate) workers: NonZeroUsize,
    /// How long a call may take, like 250ms, 30s, 5m or infinity [default: 5m, a stream 15m]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Limit>,
    /// The session that the calls belong to
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
}

/// A duration, or none if there is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit(pub(crate) Option<Duration>);

impl FromStr for Limit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Limit, Error> {
        hatchery::parse_duration(text).map(|limit| Limit((limit < Duration::MAX).then_some(limit)))
    }
}

impl CallingOptions {
    /// The options of each call.
    pub(crate) fn call_options(&self) -> CallOptions {
        match &self.session {
            Some(session) => CallOptions::new().session(session),
            None => CallOptions::new(),
        }
    }

    /// Starts a pool, does the work with it, and ends the pool. A signal ends the work, or the start.
    pub(crate) async fn with_pool<T>(
        &self,
        invocation: &Invocation,
        calls: Calls,
        work: impl AsyncFnOnce(&Pool) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        run(invocation, &self.app, self.workers.get(), self.timeout, calls, work).await
    }
}

impl AppOptions {
    /// The same with one worker and default limits.
    pub(crate) async fn with_worker<T>(
        &self,
        invocation: &Invocation,
        work: impl AsyncFnOnce(&Pool) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        run(invocation, self, 1, None, Calls::Many, work).await
    }

    /// The name of the app, or what to do without one. Asked before anything is read or started.
    pub(crate) fn require(&self) -> hatchery::Result<&str> {
        let without = || Error::new(ErrorKind::Unavailable, "no daemon is running; give the app with --app app.py");
        self.app.as_deref().ok_or_else(without)
    }

    /// The app as the flags and then the configuration have it, and the limits of its calls.
    pub(crate) fn resolve(&self, config_file: Option<&std::path::Path>) -> hatchery::Result<(PythonApp, Timeouts)> {
        let name = self.require()?;
        let mut app = PythonApp::parse(name)?;
        if let Some(python) = &self.python {
            app = app.python(python);
        }
        Ok(match configuration::load(config_file)? {
            Some(config) => configuration::completed(app, &config),
            None => (app, Timeouts::default()),
        })
    }
}

async fn run<T>(
    invocation: &Invocation,
    options: &AppOptions,
    workers: usize,
    limit: Option<Limit>,
    calls: Calls,
    work: impl AsyncFnOnce(&Pool) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (app, mut timeouts) = options.resolve(invocation.global.config.as_deref())?;
    if let Some(Limit(limit)) = limit {
        (timeouts.call, timeouts.stream) = (limit, limit);
    }
    let mut builder = Hatchery::builder();
    let global = &invocation.global;
    let logs = Logs::follow(builder.events(), global.log, global.quiet, calls, &invocation.printer);
    let start = builder.pool(NAME, app).workers(workers).timeouts(timeouts).start();
    let outcome = match invocation.unless_interrupted(start).await {
        Ok(hatchery) => used(invocation, hatchery, options, work).await,
        Err(failure) => Err(failure.hinted(of_start)),
    };
    // Every emitter is gone with the pool. What workers said last comes before what we say about it. A stderr that nobody
    // reads holds this up, but not the end.
    let last_lines = async {
        logs.finish().await;
        Ok::<_, Failure>(())
    };
    match invocation.unless_interrupted(last_lines).await {
        Ok(()) => outcome,
        Err(interrupted) => outcome.and(Err(interrupted)),
    }
}

/// The work, and after it the end of the pool: orderly, however the work ended. The outcome of the work is what counts.
async fn used<T>(
    invocation: &Invocation,
    hatchery: Hatchery,
    options: &AppOptions,
    work: impl AsyncFnOnce(&Pool) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let pool = hatchery.pool(NAME)?;
    let outcome = invocation.unless_interrupted(work(&pool)).await;
    let ended = match &outcome {
        Err(failure) if is_given_up(failure) => hatchery.shutdown_within(GIVEN_UP).await,
        _ => hatchery.shutdown().await,
    };
    let value = outcome.map_err(|failure| failure.hinted(|error| of_work(error, options, &pool)))?;
    ended?;
    Ok(value)
}

/// Whether nobody waits any more for what the worker still does.
fn is_given_up(failure: &Failure) -> bool {
    match failure {
        Failure::Signal(_) | Failure::StdoutClosed => true,
        Failure::Error { error, .. } => error.kind() == ErrorKind::Deadline,
    }
}

/// What to do about a start that failed, where the error does not say.
fn of_start(error: &Error) -> Option<String> {
    let slow = error.kind() == ErrorKind::Deadline;
    slow.then(|| "`timeouts = { start = \"10m\" }` in the app's pool in hatchery.toml gives it more time".into())
}

/// What to do about a call that failed, where the error does not say.
fn of_work(error: &Error, options: &AppOptions, pool: &Pool) -> Option<String> {
    let app = options.app.as_deref()?;
    match error.kind() {
        ErrorKind::NotFound => Some(has(app, pool)),
        ErrorKind::Deadline => Some("`--timeout 10m` gives a call more time, `--timeout infinity` all there is".into()),
        _ => None,
    }
}

/// The tools of an app, or how to see them if they are many.
fn has(app: &str, pool: &Pool) -> String {
    let tools = pool.tools();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    match names.len() {
        0..=FEW => format!("{app} has {}", names.join(", ")),
        many => format!("`hatchery tools --app {app}` lists the {many} tools that there are"),
    }
}

/// How many tools are named in a hint.
const FEW: usize = 8;

/// How many workers, from 1.
fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| format!("expected a whole number from 1, found {text:?}"))
}
