//! What is to be started, as the command line says it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use hatchery::agent::{AgentLimits, AgentSessionId, AgentSpec, Environment, Input, Leftovers, SessionRef};
use hatchery::{Error, ErrorKind, Result};

use crate::private_pool::Limit;
use crate::standard_input;

/// What to start.
#[derive(clap::Args, Debug)]
pub(super) struct SpecArgs {
    /// How it is spoken to: stream-json (claude), codex-jsonl (codex), plain, or one of [agents.adapters] in the configuration
    #[arg(long, value_name = "NAME", default_value = "plain")]
    adapter: String,
    /// Carry this conversation on
    #[arg(long, value_name = "ID", group = "session")]
    resume: Option<String>,
    /// Begin a new conversation as this one
    #[arg(long, value_name = "ID", group = "session")]
    fork: Option<String>,
    /// Call the new conversation so
    #[arg(long, value_name = "UUID", group = "session")]
    id: Option<String>,
    /// What it reads: nothing; the prompt, or what this command reads, and then its end; or the prompt, and then each line that this
    /// command reads as a turn [default: text if there is a prompt, else null]
    #[arg(long, value_enum, value_name = "WHAT")]
    stdin: Option<Stdin>,
    /// What it is told
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt_file")]
    prompt: Option<String>,
    /// The same, from a file; - is stdin
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Something to find it by; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Where it works [default: here]
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// What it is to think with, for an adapter that knows how to say it
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What it is to do, in a few words, for lists
    #[arg(long, value_name = "TEXT")]
    task: Option<String>,
    /// A variable that it gets besides the usual ones: one of ours, by its name (a * at the end stands for any), or with this value;
    /// may be given several times
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// What becomes of processes that outlive it
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = LeftoversName::Kill)]
    leftovers: LeftoversName,
    #[command(flatten)]
    limits: LimitArgs,
    /// The program and its arguments, to which the adapter adds its own
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// How long it may take for what. Nothing is limited if nothing is said.
#[derive(clap::Args, Debug)]
struct LimitArgs {
    /// It is ended if it has not said who it is for so long
    #[arg(long, value_name = "DURATION")]
    limit_start: Option<Limit>,
    /// It is ended if a turn takes so long
    #[arg(long, value_name = "DURATION")]
    limit_turn: Option<Limit>,
    /// It is ended if it says nothing for so long, while no tool of it runs and it waits for no answer
    #[arg(long, value_name = "DURATION")]
    limit_idle: Option<Limit>,
    /// It is ended after so long in all
    #[arg(long, value_name = "DURATION")]
    limit_runtime: Option<Limit>,
}

/// What it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stdin {
    Null,
    Text,
    Conversation,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LeftoversName {
    /// They are ended
    Kill,
    /// They are told of, and end with this command, whose exit status is 6
    Report,
    /// They are told of, and live on
    Keep,
}

impl SpecArgs {
    /// Whether what this command reads are turns.
    pub(super) fn takes_turns(&self) -> bool {
        self.stdin == Some(Stdin::Conversation)
    }

    /// Whether members that live on are a fault.
    pub(super) fn reports_leftovers(&self) -> bool {
        matches!(self.leftovers, LeftoversName::Report)
    }

    /// Reads the prompt, if need be from stdin.
    pub(super) async fn spec(self) -> Result<AgentSpec> {
        let input = self.input().await?;
        let mut words = self.command.into_iter();
        let mut spec = AgentSpec::new(self.adapter, words.next().unwrap_or_default()).args(words);
        spec.session = session(self.resume, self.fork, self.id);
        spec.input = input;
        spec.labels = self.labels.into_iter().collect();
        spec.cwd = self.cwd.map(absolute).transpose()?;
        (spec.model, spec.task) = (self.model, self.task);
        spec.env = environment(&self.env)?;
        spec.leftovers = self.leftovers.into();
        spec.limits = self.limits.limits();
        Ok(spec)
    }

    async fn input(&self) -> Result<Input> {
        let from_stdin = self.prompt_file.as_deref() == Some(Path::new("-"));
        if self.takes_turns() && from_stdin {
            return Err(invalid("--prompt-file -: stdin has the turns of the conversation".to_owned()));
        }
        let prompt = match (&self.prompt, &self.prompt_file) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(_)) if from_stdin => Some(standard_input::read_to_end().await?),
            (None, Some(file)) => {
                Some(std::fs::read(file).map_err(|why| invalid(format!("read {}: {why}", file.display())))?)
            }
            (None, None) => None,
        };
        match (self.stdin, prompt) {
            (Some(Stdin::Null), Some(_)) => Err(invalid("--stdin null: then it cannot read a prompt".to_owned())),
            (Some(Stdin::Null) | None, None) => Ok(Input::Null),
            (Some(Stdin::Text) | None, Some(prompt)) => Ok(Input::Text(prompt.into())),
            (Some(Stdin::Text), None) => Ok(Input::Text(standard_input::read_to_end().await?.into())),
            (Some(Stdin::Conversation), prompt) => prompt.map(turn).transpose().map(Input::Conversation),
        }
    }
}

impl LimitArgs {
    fn limits(self) -> AgentLimits {
        let finite = |limit: Option<Limit>| limit.and_then(|Limit(limit)| limit);
        let usual = AgentLimits::default();
        let start: Option<Duration> = match self.limit_start {
            Some(Limit(limit)) => limit,
            None => usual.start,
        };
        AgentLimits {
            start,
            start_stops: self.limit_start.is_some(),
            turn: finite(self.limit_turn),
            idle: finite(self.limit_idle),
            runtime: finite(self.limit_runtime),
        }
    }
}

impl From<LeftoversName> for Leftovers {
    fn from(name: LeftoversName) -> Leftovers {
        match name {
            LeftoversName::Kill => Leftovers::Kill,
            LeftoversName::Report => Leftovers::Report,
            LeftoversName::Keep => Leftovers::Keep,
        }
    }
}

/// A turn is text in any protocol.
pub(super) fn turn(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| invalid("a turn: expected UTF-8".to_owned()))
}

fn session(resume: Option<String>, fork: Option<String>, id: Option<String>) -> SessionRef {
    let resume = resume.map(|id| SessionRef::Resume(AgentSessionId::new(id)));
    let fork = fork.map(|id| SessionRef::Fork(AgentSessionId::new(id)));
    let named = id.map(|id| SessionRef::Named(AgentSessionId::new(id)));
    resume.or(fork).or(named).unwrap_or_default()
}

fn environment(said: &[String]) -> Result<Environment> {
    let mut environment = Environment::default();
    for variable in said {
        match variable.split_once('=') {
            Some(("", _)) => return Err(invalid(format!("--env {variable}: expected NAME or NAME=VALUE"))),
            Some((name, value)) => drop(environment.set.insert(name.to_owned(), value.into())),
            None => environment.pass.push(variable.clone()),
        }
    }
    Ok(environment)
}

fn absolute(folder: PathBuf) -> Result<PathBuf> {
    std::path::absolute(&folder).map_err(|why| invalid(format!("--cwd {}: {why}", folder.display())))
}

/// `key=value`.
pub(super) fn pair(text: &str) -> std::result::Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(key, _)| !key.is_empty());
    parts.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "expected KEY=VALUE".to_owned())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}
