//! What is to be started, as a client says it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hatchery::agent::{AgentLimits, AgentSessionId, AgentSpec, Environment, Input, Leftovers, SessionRef};
use hatchery::{Error, ErrorKind, Result};
use serde::Deserialize;

/// What to start. Everything but the command line has a usual value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    command: Vec<String>,
    #[serde(default = "plain")]
    adapter: String,
    cwd: Option<PathBuf>,
    #[serde(default)]
    env: Variables,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    task: Option<String>,
    model: Option<String>,
    /// Default: text if there is a prompt, else null.
    stdin: Option<Stdin>,
    prompt: Option<String>,
    session: Option<Session>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    leftovers: Leftovers,
}

/// Of the daemon's, besides the usual ones; and with these values.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Variables {
    pass: Vec<String>,
    set: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stdin {
    Null,
    Text,
    Conversation,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Session {
    Named(String),
    Resume(String),
    Fork(String),
}

/// Durations as everywhere.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    start: Option<String>,
    turn: Option<String>,
    idle: Option<String>,
    runtime: Option<String>,
}

impl Wish {
    /// # Errors
    /// `validation`, naming the key.
    pub(super) fn spec(self) -> Result<AgentSpec> {
        let input = input(self.stdin, self.prompt)?;
        let mut words = self.command.into_iter();
        let program =
            words.next().ok_or_else(|| invalid("command: expected a program and its arguments".to_owned()))?;
        let mut spec = AgentSpec::new(self.adapter, program).args(words);
        spec.cwd = self.cwd.map(absolute).transpose()?;
        let set = self.env.set.into_iter().map(|(name, value)| (name, value.into())).collect();
        spec.env = Environment { pass: self.env.pass, set, inherit_all: false };
        (spec.labels, spec.task, spec.model) = (self.labels, self.task, self.model);
        (spec.input, spec.leftovers) = (input, self.leftovers);
        spec.session = self.session.map(Session::reference).unwrap_or_default();
        spec.limits = self.limits.limits()?;
        Ok(spec)
    }
}

impl Session {
    fn reference(self) -> SessionRef {
        match self {
            Session::Named(id) => SessionRef::Named(AgentSessionId::new(id)),
            Session::Resume(id) => SessionRef::Resume(AgentSessionId::new(id)),
            Session::Fork(id) => SessionRef::Fork(AgentSessionId::new(id)),
        }
    }
}

impl Limits {
    /// Who limits the start wants it to be ended then.
    fn limits(self) -> Result<AgentLimits> {
        let usual = AgentLimits::default();
        let start_stops = self.start.is_some();
        let start = if start_stops { limit("start", self.start)? } else { usual.start };
        let (turn, idle) = (limit("turn", self.turn)?, limit("idle", self.idle)?);
        Ok(AgentLimits { start, start_stops, turn, idle, runtime: limit("runtime", self.runtime)? })
    }
}

fn limit(name: &str, said: Option<String>) -> Result<Option<Duration>> {
    let Some(said) = said else { return Ok(None) };
    let limit =
        hatchery::parse_duration(&said).map_err(|error| invalid(format!("limits.{name}: {}", error.message())))?;
    Ok((limit < Duration::MAX).then_some(limit))
}

fn input(stdin: Option<Stdin>, prompt: Option<String>) -> Result<Input> {
    match (stdin, prompt) {
        (Some(Stdin::Null) | None, None) => Ok(Input::Null),
        (Some(Stdin::Null), Some(_)) => Err(invalid("stdin: expected what can read a prompt, found null".to_owned())),
        (Some(Stdin::Text) | None, Some(prompt)) => Ok(Input::Text(prompt.into())),
        (Some(Stdin::Text), None) => Err(invalid("prompt: expected one, as stdin is text".to_owned())),
        (Some(Stdin::Conversation), prompt) => Ok(Input::Conversation(prompt)),
    }
}

/// Nobody knows from where the daemon was started.
fn absolute(folder: PathBuf) -> Result<PathBuf> {
    if folder.is_absolute() {
        return Ok(folder);
    }
    Err(invalid(format!("cwd: expected an absolute path, found {}", folder.display())))
}

fn plain() -> String {
    "plain".to_owned()
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}
