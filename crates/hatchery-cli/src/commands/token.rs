use std::time::{Duration, SystemTime};

use clap::{Subcommand, ValueEnum};
use hatchery::Scope;
use hatchery_daemon::{NewToken, Token, Tokens};
use serde_json::{Value, json};

use crate::columns::{Column, Holds, table};
use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// Make, list and revoke the tokens that let programs call the daemon from elsewhere. Works with or without a daemon
#[derive(clap::Args, Debug)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it, this once: only its hash is kept. A running daemon knows it at once
    New {
        /// What who shows it may do; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_enum)]
        scopes: Vec<ScopeName>,
        /// What it is called, in lists and in the audit [default: token-1, or the next that is free]
        #[arg(long)]
        name: Option<String>,
        /// How long it lives, like 12h or 30d [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires: Option<Duration>,
    },
    /// List the tokens: their names, what they are for, when they end
    List,
    /// Let nobody in any more who shows this token. A running daemon obeys at once
    Revoke {
        /// Its name
        name: String,
    },
}

/// A scope, as it is written here.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScopeName {
    /// Call tools, and keep sessions
    Call,
    /// Look: status, workers, statistics, events, metrics
    Observe,
    /// Give orders; it has call and observe in it
    Operate,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Scope {
        match name {
            ScopeName::Call => Scope::Call,
            ScopeName::Observe => Scope::Observe,
            ScopeName::Operate => Scope::Operate,
        }
    }
}

/// Writes and reads the file of the data directory; the daemon is not asked.
pub(crate) async fn token(args: TokenArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let (data_dir, _) = configuration::records(&invocation.global)?;
    let tokens = Tokens::of(&data_dir);
    match args.command {
        TokenCommand::New { scopes, name, expires } => {
            let scopes = scopes.into_iter().map(Scope::from).collect();
            made(&tokens, &NewToken { name, scopes, expires }, invocation).await
        }
        TokenCommand::List => listed(&tokens.list()?, invocation).await,
        TokenCommand::Revoke { name } => {
            let token = tokens.revoke(&name)?;
            told(&token, &format!("revoked {}", token.name), invocation).await
        }
    }
}

/// The token alone is the result, so that it can be put where it is needed.
async fn made(tokens: &Tokens, new: &NewToken, invocation: &Invocation) -> Result<Exit, Failure> {
    let (secret, token) = tokens.make(new)?;
    let printer = &invocation.printer;
    if printer.json() {
        let mut document = described(&token);
        document["token"] = secret.text().into();
        printer.document(&document).await?;
        return Ok(Exit::Success);
    }
    printer.text(secret.text()).await?;
    let what = format!("{} may {}{}; it is not shown again", token.name, scopes(&token), end(&token));
    told_aside(&what, invocation).await
}

async fn listed(tokens: &[Token], invocation: &Invocation) -> Result<Exit, Failure> {
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&tokens.iter().map(described).collect::<Vec<_>>()).await?;
    } else if tokens.is_empty() {
        return told_aside("there are no tokens; `hatchery token new --scope call` makes one", invocation).await;
    } else {
        let columns = ["NAME", "SCOPES", "MADE", "EXPIRES"].map(|heading| Column(heading, Holds::Text));
        let rows: Vec<_> = tokens.iter().map(row).collect();
        printer.text(&table(columns, &rows, printer.result_paint())).await?;
    }
    Ok(Exit::Success)
}

async fn told(token: &Token, text: &str, invocation: &Invocation) -> Result<Exit, Failure> {
    if invocation.printer.json() {
        invocation.printer.document(&described(token)).await?;
        return Ok(Exit::Success);
    }
    told_aside(text, invocation).await
}

async fn told_aside(text: &str, invocation: &Invocation) -> Result<Exit, Failure> {
    if !invocation.global.quiet {
        invocation.printer.message(text).await;
    }
    Ok(Exit::Success)
}

fn described(token: &Token) -> Value {
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({
        "name": token.name,
        "scopes": token.scopes,
        "made": seconds(token.made),
        "expires": token.expires.map(seconds),
        "valid": token.is_valid(SystemTime::now()),
    })
}

fn row(token: &Token) -> [String; 4] {
    let made = SystemTime::now().duration_since(token.made).unwrap_or_default();
    let expires = match token.expires {
        None => "never".to_owned(),
        Some(end) => match end.duration_since(SystemTime::now()) {
            Ok(left) => format!("in {}", coarse(left)),
            Err(_) => "expired".to_owned(),
        },
    };
    [token.name.clone(), scopes(token), format!("{} ago", coarse(made)), expires]
}

fn scopes(token: &Token) -> String {
    token.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ")
}

fn end(token: &Token) -> String {
    let left = token.expires.and_then(|end| end.duration_since(SystemTime::now()).ok());
    // As long as it was told to live, and not a moment less.
    left.map(|left| format!(" for {}", coarse(left + Duration::from_secs(1)))).unwrap_or_default()
}

/// In its greatest unit.
fn coarse(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..DAY => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / DAY),
    }
}

const DAY: u64 = 86400;

/// A duration, or a number of days.
fn lifetime(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a time like 12h or 30d, found {text:?}");
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()?.checked_mul(DAY));
    let time = match days {
        Some(seconds) => Duration::from_secs(seconds),
        None => hatchery::parse_duration(text).map_err(|_| expected())?,
    };
    if time.is_zero() { Err(expected()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_duration_or_some_days() {
        assert_eq!(lifetime("30d"), Ok(Duration::from_secs(30 * DAY)));
        assert_eq!(lifetime("12h"), Ok(Duration::from_secs(12 * 3600)));
        for wrong in ["", "d", "0d", "0s", "-1d", "soon", "30", "99999999999999999999d"] {
            assert!(lifetime(wrong).unwrap_err().contains("expected a time like 12h or 30d"), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_told_in_its_greatest_unit() {
        let told = [59, 60, 7199, 86400, 90 * DAY].map(|seconds| coarse(Duration::from_secs(seconds)));
        assert_eq!(told, ["59s", "1m", "1h", "1d", "90d"]);
    }
}
