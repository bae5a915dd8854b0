//! The pool of one command: started, used, and ended again, whatever happens in between.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use hatchery::{Error, ErrorKind, EventFilter, Hatchery, Pool, PythonApp};

use crate::cli::GlobalOptions;
use crate::configuration::Setting;
use crate::exit::Failure;
use crate::invocation::Invocation;
use crate::logs::{Calls, Logs, follow_progress};
use crate::target::OwnPool;

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
    /// Refuse to start where the processes that are started cannot be written down
    #[arg(long)]
    pub(crate) require_registry: bool,
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

/// As a daemon reads it.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hatchery::format_duration(self.0.unwrap_or(Duration::MAX)))
    }
}

impl AppOptions {
    /// The app as the flags and then the configuration have it, and how it is run.
    pub(crate) fn resolve(&self, global: &GlobalOptions) -> hatchery::Result<Setting> {
        let without = || Error::new(ErrorKind::Validation, "give the app with --app app.py");
        let mut app = PythonApp::parse(self.app.as_deref().ok_or_else(without)?)?;
        if let Some(python) = &self.python {
            app = app.python(python);
        }
        let mut setting = Setting::of(app, global)?;
        setting.require_registry = self.require_registry;
        Ok(setting)
    }
}

/// Starts a pool, does the work with it, and ends the pool. A signal ends the work, or the start.
pub(crate) async fn run<T>(
    invocation: &Invocation,
    own: &OwnPool,
    calls: Calls,
    work: impl AsyncFnOnce(&Pool) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut setting = own.app.resolve(&invocation.global)?;
    if let Some(Limit(limit)) = own.limit {
        (setting.timeouts.call, setting.timeouts.stream) = (limit, limit);
    }
    let mut builder = Hatchery::builder();
    let logs = Logs::start(&invocation.global, calls, &invocation.printer)?;
    if calls == Calls::One {
        let progress = EventFilter::new().name("call.progress")?;
        drop(follow_progress(builder.events_matching(&progress), &invocation.printer));
    }
    // A template would be of use to the second worker, and to none before.
    let start = setting.pool(builder, NAME).workers(own.workers).template(own.workers > 1).start();
    let outcome = match invocation.unless_interrupted(start).await {
        Ok(hatchery) => used(invocation, hatchery, work).await,
        Err(failure) => Err(failure.hinted(of_start)),
    };
    // What workers said last comes before what we say about it. A stderr that nobody
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
    work: impl AsyncFnOnce(&Pool) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let pool = hatchery.pool(NAME)?;
    let outcome = invocation.unless_interrupted(work(&pool)).await;
    let ended = match &outcome {
        Err(failure) if is_given_up(failure) => hatchery.shutdown_within(GIVEN_UP).await,
        _ => hatchery.shutdown().await,
    };
    let value = outcome?;
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
pub(crate) fn of_start(error: &Error) -> Option<String> {
    let slow = error.kind() == ErrorKind::Deadline;
    slow.then(|| "`timeouts = { start = \"10m\" }` in the app's pool in hatchery.toml gives it more time".into())
}

/// How many workers, from 1.
pub(crate) fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| format!("expected a whole number from 1, found {text:?}"))
}
