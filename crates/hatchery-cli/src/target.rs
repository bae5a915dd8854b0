//! Where calls go: to a pool that the command starts for itself, or to one of a running daemon. A command does not know which.

use std::num::NonZeroUsize;

use clap::Args;
use hatchery::{Affinity, CallOptions, Error, ErrorKind, Payload, PayloadStream, Pool, Priority, Result, ToolSpec};

use crate::arguments::Arguments;
use crate::exit::Failure;
use crate::invocation::Invocation;
use crate::logs::Calls;
use crate::private_pool::{self, AppOptions, Limit};
use crate::remote::{self, DaemonOptions};

/// The pool of a daemon that is meant if nobody says which.
const DEFAULT_POOL: &str = "default";

/// What to do about a daemon that there is not.
const OR_AN_APP: &str = "give the app with --app app.py, or start one with `hatchery serve`";

/// How many tools are named in a hint.
const FEW: usize = 8;

/// Whose tools.
#[derive(Args, Clone, Debug)]
pub(crate) struct TargetOptions {
    #[command(flatten)]
    app: AppOptions,
    #[command(flatten)]
    daemon: DaemonOptions,
    /// The pool of the daemon [default: default]
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
}

/// Whose tools, and how they are called.
#[derive(Args, Clone, Debug)]
pub(crate) struct CallingOptions {
    #[command(flatten)]
    target: TargetOptions,
    /// How many worker processes the app gets [default: 1]
    #[arg(long, value_name = "N", value_parser = private_pool::workers)]
    workers: Option<NonZeroUsize>,
    /// How long a call may take, like 250ms, 30s, 5m or infinity [default: 5m, a stream 15m]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Limit>,
    /// The session that the calls belong to
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// The worker of the daemon that is to take the calls, like default-3
    #[arg(long, value_name = "ID")]
    worker: Option<String>,
    /// What a call may do if its session's worker cannot take it [default: the pool's, else hint]
    #[arg(long, value_name = "hint|strict-queue|strict-fail-fast")]
    affinity: Option<Affinity>,
    /// Whose turn comes first, where calls wait [default: normal]
    #[arg(long, value_name = "low|normal|high")]
    priority: Option<Priority>,
    /// On whose behalf: where calls of several tenants wait, they take turns
    #[arg(long, value_name = "LABEL")]
    tenant: Option<String>,
    /// Running it twice does no harm: make it again if its worker dies
    #[arg(long)]
    idempotent: bool,
}

/// Where calls will go.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Own(OwnPool),
    Daemon(remote::Pool),
}

/// A pool that is started for one command.
#[derive(Clone, Debug)]
pub(crate) struct OwnPool {
    pub(crate) app: AppOptions,
    pub(crate) workers: usize,
    pub(crate) limit: Option<Limit>,
    options: CallOptions,
}

/// Where calls go.
#[derive(Clone)]
pub(crate) enum Target {
    Own { app: String, pool: Pool, options: CallOptions },
    Daemon(remote::Pool),
}

/// A result or a chunk. It becomes text when it is asked for: who measures calls does not.
pub(crate) enum Reply {
    Own(Payload),
    Daemon(String),
}

/// The chunks of a stream.
pub(crate) enum Chunks {
    Own(PayloadStream),
    Daemon(remote::Chunks),
}

impl TargetOptions {
    /// The place, for a look at its tools.
    pub(crate) fn place(self, invocation: &Invocation) -> Result<Place> {
        let (workers, timeout, session, worker, affinity, priority, tenant) = Default::default();
        let idempotent = false;
        CallingOptions { target: self, workers, timeout, session, worker, affinity, priority, tenant, idempotent }
            .place(invocation)
    }
}

impl CallingOptions {
    /// The place that the options name. Asked before anything is read or started.
    pub(crate) fn place(self, invocation: &Invocation) -> Result<Place> {
        let TargetOptions { app, daemon, pool } = &self.target;
        if app.app.is_some() {
            only_for("a daemon, not for --app", &daemon.given())?;
            only_for("a daemon, not for --app", &[("--pool", pool.is_some()), ("--worker", self.worker.is_some())])?;
            return Ok(Place::Own(self.own()));
        }
        only_for(
            "--app, not for a daemon",
            &[
                ("--workers", self.workers.is_some()),
                ("--python", app.python.is_some()),
                ("--require-registry", app.require_registry),
            ],
        )?;
        let daemon = daemon.find(invocation, OR_AN_APP)?;
        let mut pool = remote::Pool::new(daemon, pool.as_deref().unwrap_or(DEFAULT_POOL));
        if let Some(limit) = self.timeout {
            pool = pool.with_option("x-hatchery-timeout", &limit.to_string())?;
        }
        let said = [
            ("x-hatchery-session", self.session),
            ("x-hatchery-worker", self.worker),
            ("x-hatchery-affinity", self.affinity.map(|affinity| affinity.to_string())),
            ("x-hatchery-priority", self.priority.map(|priority| priority.to_string())),
            ("x-hatchery-tenant", self.tenant),
            ("x-hatchery-idempotent", self.idempotent.then(|| "true".to_owned())),
        ];
        for (name, value) in said {
            if let Some(value) = value {
                pool = pool.with_option(name, &value)?;
            }
        }
        Ok(Place::Daemon(pool))
    }

    fn own(self) -> OwnPool {
        let options = CallOptions::new().idempotent(self.idempotent).priority(self.priority.unwrap_or_default());
        let options = self.affinity.into_iter().fold(options, CallOptions::affinity);
        let options = self.tenant.into_iter().fold(options, CallOptions::tenant);
        OwnPool {
            app: self.target.app,
            workers: self.workers.map_or(1, NonZeroUsize::get),
            limit: self.timeout,
            options: self.session.into_iter().fold(options, CallOptions::session),
        }
    }
}

fn only_for(what: &str, flags: &[(&str, bool)]) -> Result<()> {
    match flags.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Error::new(ErrorKind::Validation, format!("{flag} is for {what}"))),
        None => Ok(()),
    }
}

impl Place {
    /// Does the work there. A pool of our own is started before and ended after it. A signal ends the work, or the start.
    pub(crate) async fn visit<T>(
        self,
        invocation: &Invocation,
        calls: Calls,
        work: impl AsyncFnOnce(&Target) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match self {
            Place::Own(own) => {
                let (app, options) = (own.app.app.clone().unwrap_or_default(), own.options.clone());
                let work = async |pool: &Pool| advised(work, Target::Own { app, pool: pool.clone(), options }).await;
                private_pool::run(invocation, &own, calls, work).await
            }
            Place::Daemon(pool) => invocation.unless_interrupted(advised(work, Target::Daemon(pool))).await,
        }
    }
}

impl Target {
    /// The tools that can be called.
    pub(crate) async fn tools(&self) -> Result<Vec<ToolSpec>> {
        match self {
            Target::Own { pool, .. } => Ok(pool.tools().to_vec()),
            Target::Daemon(pool) => pool.tools().await,
        }
    }

    /// The tool of this name, if there is one.
    pub(crate) async fn tool(&self, name: &str) -> Result<Option<ToolSpec>> {
        Ok(self.tools().await?.into_iter().find(|tool| tool.name == name))
    }

    /// The arguments as this tool takes them.
    pub(crate) async fn fitted(&self, arguments: Arguments, tool: &str) -> Result<Payload> {
        let tool = if arguments.depend_on_tool() { self.tool(tool).await? } else { None };
        arguments.for_tool(tool.as_ref())
    }

    /// How many workers there are, and so how many calls make sense at once.
    pub(crate) async fn workers(&self) -> Result<usize> {
        match self {
            Target::Own { pool, .. } => Ok(pool.status().workers),
            Target::Daemon(pool) => pool.workers().await,
        }
    }

    /// The result.
    pub(crate) async fn call(&self, tool: &str, arguments: Payload) -> Result<Reply> {
        Ok(match self {
            Target::Own { pool, options, .. } => Reply::Own(pool.call_payload(tool, arguments, options).await?),
            Target::Daemon(pool) => Reply::Daemon(pool.call(tool, &arguments).await?),
        })
    }

    pub(crate) async fn stream(&self, tool: &str, arguments: Payload) -> Result<Chunks> {
        Ok(match self {
            Target::Own { pool, options, .. } => Chunks::Own(pool.stream_payload(tool, arguments, options).await?),
            Target::Daemon(pool) => Chunks::Daemon(pool.stream(tool, &arguments).await?),
        })
    }

    /// Its name, and the command that lists its tools.
    fn names(&self) -> (String, String) {
        match self {
            Target::Own { app, .. } => (app.clone(), format!("hatchery tools --app {app}")),
            Target::Daemon(pool) => (format!("pool {}", pool.name()), format!("hatchery tools --pool {}", pool.name())),
        }
    }
}

impl Reply {
    /// As JSON.
    pub(crate) fn text(self) -> Result<String> {
        match self {
            Reply::Own(payload) => payload.to_json_text(),
            Reply::Daemon(text) => Ok(text),
        }
    }
}

impl Chunks {
    /// The next chunk; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Result<Reply>> {
        match self {
            Chunks::Own(chunks) => chunks.next().await.map(|chunk| chunk.map(Reply::Own)),
            Chunks::Daemon(chunks) => chunks.next().await.map(|chunk| chunk.map(Reply::Daemon)),
        }
    }
}

/// The work's outcome, with what to do about a failure where the error does not say.
async fn advised<T>(work: impl AsyncFnOnce(&Target) -> Result<T, Failure>, target: Target) -> Result<T, Failure> {
    let failure = match work(&target).await {
        Err(failure) => failure,
        done => return done,
    };
    let hint = match &failure {
        Failure::Error { error, .. } => advice(error, &target).await,
        _ => None,
    };
    Err(failure.hinted(|_| hint))
}

async fn advice(error: &Error, target: &Target) -> Option<String> {
    match error.kind() {
        ErrorKind::NotFound => target.tools().await.ok().map(|tools| has(&tools, target)),
        ErrorKind::Deadline => Some("`--timeout 10m` gives a call more time, `--timeout infinity` all there is".into()),
        _ => None,
    }
}

/// The tools that there are, or how to see them if they are many.
fn has(tools: &[ToolSpec], target: &Target) -> String {
    let (name, command) = target.names();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    match names.len() {
        0..=FEW => format!("{name} has {}", names.join(", ")),
        many => format!("`{command}` lists the {many} tools that there are"),
    }
}
