//! What a table says about an agent.
//!
//! A table is TOML; `tables/stream-json.toml` is one that uses nearly everything. `family` says how the agent's lines are read:
//! `jsonl` by `[[rules]]` about JSON objects, `lines` by regular expressions in `[lines]`. The rest is the same for both: how
//! the command line is made (`[command]`), what conversations are called and where they lie (`[session]`), how something is said
//! (`[says]`), what standard error means (`[stderr]`), and how the agent is ended (`[ladder]`).

mod command;
mod condition;
mod ladder;
mod rule;
mod says;
mod session;

use toml::Table as Toml;

pub(super) use command::Command;
pub(super) use condition::{Conditions, Pointer};
pub(super) use rule::{Meaning, Pick, Rule, TurnEnd, as_text};
pub(super) use says::Says;
pub(super) use session::Session;

use super::lines::Patterns;
use super::place::{Keys, Place};
use super::sieve::Sieve;
use crate::agent::StopLadder;
use crate::error::Result;

const EXPECTED_FAMILY: &str = "\"jsonl\" or \"lines\"";

/// What a table says.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) command: Command,
    pub(super) session: Session,
    pub(super) says: Says,
    pub(super) stdout: Hears,
    pub(super) stderr: Patterns,
    pub(super) ladder: StopLadder,
}

/// How lines of standard output are read.
#[derive(Debug)]
pub(super) enum Hears {
    Json { sieve: Sieve, rules: Vec<Rule> },
    Text(Patterns),
}

impl Table {
    /// # Errors
    /// `validation`, with the place of what is wrong and what was expected there.
    pub(super) fn read(table: &Toml) -> Result<Table> {
        let keys = Keys::of(table, &["family", "command", "session", "says", "rules", "lines", "stderr", "ladder"])?;
        Ok(Table {
            stdout: keys.need("family", EXPECTED_FAMILY, |family| Hears::read(family, &keys))?,
            command: keys.read("command", Command::read)?.unwrap_or_default(),
            session: keys.read("session", Session::read)?.unwrap_or_default(),
            says: keys.read("says", Says::read)?.unwrap_or_default(),
            stderr: keys.read("stderr", Patterns::read)?.unwrap_or_default(),
            ladder: keys.read("ladder", ladder::read)?.unwrap_or_default(),
        })
    }

    pub(super) fn has_terminal_message(&self) -> bool {
        match &self.stdout {
            Hears::Json { rules, .. } => rules.iter().any(|rule| rule.may_mean(&Meaning::ends_turn)),
            Hears::Text(patterns) => patterns.end_turns(),
        }
    }

    /// Whether one of its lines is its first sign of life.
    pub(super) fn says_that_it_is_there(&self) -> bool {
        match &self.stdout {
            Hears::Json { rules, .. } => rules.iter().any(|rule| rule.may_mean(&Meaning::is_sign_of_life)),
            Hears::Text(patterns) => patterns.are_signs_of_life(),
        }
    }
}

impl Hears {
    fn read(family: &Place<'_>, keys: &Keys<'_>) -> Result<Hears> {
        let other = |key: &str| keys.get(key).map(|place| place.refuse("belongs to another family than this table's"));
        match (family.text(EXPECTED_FAMILY)?, other("lines"), other("rules")) {
            ("jsonl", Some(wrong), _) | ("lines", _, Some(wrong)) => Err(wrong),
            ("jsonl", None, _) => {
                let rules = |place: &Place<'_>| place.each("a list of rules", Rule::read);
                let rules = keys.need("rules", "a list of rules: what a line means", rules)?;
                Ok(Hears::Json { sieve: Sieve::of(&rules), rules })
            }
            ("lines", ..) => Ok(Hears::Text(keys.read("lines", Patterns::read)?.unwrap_or_default())),
            _ => Err(family.expected(EXPECTED_FAMILY)),
        }
    }
}
