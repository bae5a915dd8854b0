//! Tokens: what somebody shows who calls from elsewhere. The daemon knows only their hashes, in `tokens.json` of its data
//! directory, which `hatchery token` writes and the daemon reads again when it has changed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hatchery::{Error, ErrorKind, Result, Scope};

mod file;
mod known;
mod secret;

pub(crate) use known::Known;
pub(crate) use secret::Hash;
pub use secret::Secret;

/// The tokens of a data directory.
#[derive(Clone, Debug)]
pub struct Tokens {
    data_dir: PathBuf,
}

/// What is known of a token: everything but itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// Its name, which no other has.
    pub name: String,
    /// What who shows it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub made: SystemTime,
    /// When it ends. None: never.
    pub expires: Option<SystemTime>,
}

/// What a token is to be.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// Its name. None: `token-1`, or the next that is free.
    pub name: Option<String>,
    /// What who shows it may do, at least one. [`Scope::Operate`] has the others in it.
    pub scopes: Vec<Scope>,
    /// How long it lives. None: until it is revoked.
    pub expires: Option<Duration>,
}

impl Token {
    /// Whether it is not over.
    pub fn is_valid(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

impl Tokens {
    /// Those of this data directory.
    pub fn of(data_dir: &Path) -> Tokens {
        Tokens { data_dir: data_dir.to_owned() }
    }

    /// All of them, by name, those that are over too.
    ///
    /// # Errors
    /// `validation` if the file cannot be read, or is damaged, or somebody else may write it.
    pub fn list(&self) -> Result<Vec<Token>> {
        Ok(file::read(&self.data_dir)?.into_iter().map(|entry| entry.token).collect())
    }

    /// Makes one. Its [`Secret`] is known only here and now.
    ///
    /// # Errors
    /// `validation` if it has no scope, or if the file cannot be read or written, `conflict` if there is one of this name.
    pub fn make(&self, new: &NewToken) -> Result<(Secret, Token)> {
        if new.scopes.is_empty() {
            return Err(Error::new(ErrorKind::Validation, "new token: expected at least one scope, found none"));
        }
        let secret = Secret::random()?;
        let token = file::change(&self.data_dir, |entries| {
            let names: Vec<&str> = entries.iter().map(|entry| entry.token.name.as_str()).collect();
            let token = token(new, &names, SystemTime::now())?;
            entries.push(file::Entry { hash: secret.hash(), token: token.clone() });
            entries.sort_by(|one, other| one.token.name.cmp(&other.token.name));
            Ok(token)
        })?;
        Ok((secret, token))
    }

    /// Removes the token of this name: who shows it is not let in any more.
    ///
    /// # Errors
    /// `not_found` if there is none, else as [`Tokens::list`].
    pub fn revoke(&self, name: &str) -> Result<Token> {
        file::change(&self.data_dir, |entries| {
            let index = entries.iter().position(|entry| entry.token.name == name);
            let missing = || Error::new(ErrorKind::NotFound, format!("revoke token: no token is called {name:?}"));
            Ok(entries.remove(index.ok_or_else(missing)?).token)
        })
    }
}

fn token(new: &NewToken, names: &[&str], now: SystemTime) -> Result<Token> {
    let refused = |kind, found| Err(Error::new(kind, format!("new token: {found}")));
    let name = match &new.name {
        Some(name) if names.contains(&name.as_str()) => {
            return refused(
                ErrorKind::Conflict,
                format!("there is one called {name:?}; revoke it, or take another name"),
            );
        }
        Some(name) if !is_name(name) => {
            return refused(ErrorKind::Validation, format!("expected {A_NAME}, found {name:?}"));
        }
        Some(name) => name.clone(),
        None => free_name(names),
    };
    let mut scopes = new.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    // Later than can be written down is never.
    let expires = new.expires.filter(|lives| *lives < FOR_EVER).map(|lives| now + lives);
    Ok(Token { name, scopes, made: now, expires })
}

const FOR_EVER: Duration = Duration::from_secs(1000 * 365 * 86400);

/// It stands in logs and in lines of audit.
const A_NAME: &str = "a name of 1 to 64 letters, digits, `-`, `_`, `.` or `@`";

fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(is_plain)
}

fn free_name(names: &[&str]) -> String {
    let numbered = (1..).map(|number: u64| format!("token-{number}"));
    numbered.into_iter().find(|name| !names.contains(&name.as_str())).unwrap_or_default()
}

#[cfg(test)]
mod tests;
