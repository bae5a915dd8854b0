mod sheets;

use clap::Subcommand;
use hatchery::{Error, ErrorKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::ages::since_1970;
use crate::both::Both;
use crate::exit::{Exit, Failure};
use crate::invocation::{Invocation, understood};
use crate::json_input;
use crate::private_pool::Limit;
use crate::remote::{Daemon, DaemonOptions, START_ONE};
use sheets::{Session, Summary};

/// So many are asked for at once.
const PAGE: &str = "1000";

/// List the sessions of the running daemon, or look at one, create one, delete one
#[derive(clap::Args, Debug)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    command: Option<SessionsCommand>,
    #[command(flatten)]
    daemon: DaemonOptions,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// List all of them; the same as no word
    List,
    /// Show what is known of one, with its metadata and the names of its programs
    Show {
        /// The session
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Create one. One that is there stays as it is
    Create {
        /// Its id [default: 128 random bits]
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// How long it lives untouched, like 30m or infinity [default: `[sessions] ttl` of the configuration]
        #[arg(long, value_name = "DURATION")]
        ttl: Option<Limit>,
        /// Its metadata, as a JSON object
        #[arg(long, value_name = "JSON")]
        metadata: Option<String>,
    },
    /// Delete one. What its worker knows of it is the worker's
    Delete {
        /// The session
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Take those away whose time is over, which happens by itself a little later
    Prune,
}

/// What of the daemon's answers people read.
#[derive(Deserialize)]
struct Made {
    id: String,
    created: bool,
}

#[derive(Deserialize)]
struct Deleted {
    deleted: bool,
}

#[derive(Deserialize)]
struct Pruned {
    pruned: usize,
    remaining: usize,
}

/// Asks, or orders.
pub(crate) async fn sessions(args: SessionsArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    match args.command.unwrap_or(SessionsCommand::List) {
        SessionsCommand::List => {
            let sheet = |sessions: Vec<Summary>, paint| sheets::table_of(&sessions, since_1970(), paint);
            invocation.show(all(&daemon), sheet).await
        }
        SessionsCommand::Show { id } => {
            let sheet = |Both(summary, rest): Both<Summary, Session>, paint| rest.sheet(&summary, since_1970(), paint);
            invocation.show(daemon.get(&["sessions", &id]), sheet).await
        }
        SessionsCommand::Create { id, ttl, metadata } => {
            let body = wish(id, ttl, metadata.as_deref())?;
            invocation.show(daemon.order(&["sessions"], body), |made: Made, _| made.line()).await
        }
        SessionsCommand::Delete { id } => {
            invocation.show(daemon.delete(&["sessions", &id]), |done: Deleted, _| done.line(&id)).await
        }
        SessionsCommand::Prune => {
            invocation.show(daemon.order(&["sessions", "prune"], json!({})), |done: Pruned, _| done.line()).await
        }
    }
}

/// A page of the list. What is in a session is passed on as it is.
#[derive(Deserialize)]
struct Page {
    sessions: Vec<Box<RawValue>>,
    next: Option<String>,
}

/// All pages, as one array.
async fn all(daemon: &Daemon) -> hatchery::Result<String> {
    let mut sessions: Vec<Box<RawValue>> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let from = after.as_deref().map(|after| ("after", after));
        let said: Vec<(&str, &str)> = [("limit", PAGE)].into_iter().chain(from).collect();
        let page: Page = understood(&daemon.page(&["sessions"], &said).await?)?;
        sessions.extend(page.sessions);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    serde_json::to_string(&sessions).map_err(|why| Error::new(ErrorKind::Internal, format!("write JSON: {why}")))
}

/// Only what was said.
fn wish(id: Option<String>, ttl: Option<Limit>, metadata: Option<&str>) -> hatchery::Result<Value> {
    let metadata = metadata.map(|text| json_input::object("--metadata", text.as_bytes())).transpose()?;
    let said = [
        ("id", id.map(Value::String)),
        ("ttl", ttl.map(|ttl| Value::String(ttl.to_string()))),
        ("metadata", metadata.map(Value::Object)),
    ];
    let said = said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Ok(Value::Object(said.collect::<Map<_, _>>()))
}

impl Made {
    fn line(&self) -> String {
        let what = if self.created { "is created" } else { "was there already, and is as it was" };
        format!("session {} {what}", self.id)
    }
}

impl Deleted {
    fn line(&self, id: &str) -> String {
        format!("session {id} {}", if self.deleted { "is deleted" } else { "was gone already" })
    }
}

impl Pruned {
    fn line(&self) -> String {
        format!("{} of the sessions had expired; {} are left", self.pruned, self.remaining)
    }
}
