//! What could not be converted.

use std::fmt;

use super::term::{Place, Term};

/// Something that could not be converted, or not as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which key, like `pools[0].pool_size`.
    pub key: String,
    /// Where it stands.
    pub at: Place,
    /// Why not.
    pub why: String,
    /// What to do instead; empty where nothing is to be done.
    pub instead: String,
}

impl Note {
    pub(super) fn new(key: impl Into<String>, at: Place, why: impl Into<String>, instead: impl Into<String>) -> Note {
        Note { key: key.into(), at, why: why.into(), instead: instead.into() }
    }

    /// Of a value that is none of those that it may be.
    pub(super) fn of_value(key: &str, term: &Term, expected: &str, to: &str) -> Note {
        let why = if term.is_opaque() {
            format!("{} is known only when Elixir runs it", term.shown())
        } else {
            format!("expected {expected}, found {}", term.shown())
        };
        Note::new(key, term.at, why, format!("write `{to}` yourself"))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.key, self.why)?;
        if self.instead.is_empty() { Ok(()) } else { write!(out, "; {}", self.instead) }
    }
}
