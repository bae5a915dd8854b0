//! Where a setting comes from, and what is wrong with one.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// Where a setting comes from. `Display` is as people read it: `hatchery.toml:7`, `HATCHERY__POOLS__GPU__WORKERS`, `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody says anything.
    Default,
    /// `timeout_profile`, which somebody has set to this.
    TimeoutProfile(&'static str),
    /// A line of a file.
    File {
        /// The file, as it was named.
        path: Arc<Path>,
        /// Counted from 1.
        line: usize,
    },
    /// A variable of this name.
    Variable(Arc<str>),
    /// A flag of the command line.
    Flag(&'static str),
}

impl Origin {
    /// Whether somebody has said it, be it by a timeout profile.
    pub(super) fn is_said(&self) -> bool {
        *self != Origin::Default
    }

    /// Whether somebody has said just this.
    pub(super) fn is_explicit(&self) -> bool {
        !matches!(self, Origin::Default | Origin::TimeoutProfile(_))
    }

    pub(super) fn json(&self) -> serde_json::Value {
        match self {
            Origin::Default => serde_json::json!({ "kind": "default" }),
            Origin::TimeoutProfile(name) => serde_json::json!({ "kind": "timeout_profile", "name": name }),
            Origin::File { path, line } => {
                serde_json::json!({ "kind": "file", "file": path.to_string_lossy(), "line": line })
            }
            Origin::Variable(name) => serde_json::json!({ "kind": "variable", "name": &**name }),
            Origin::Flag(name) => serde_json::json!({ "kind": "flag", "name": name }),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::TimeoutProfile(name) => write!(f, "timeout profile {name}"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// What is wrong with a configuration. `Display` is one line, as compilers write it:
/// `hatchery.toml:7: pools[0].worker: unknown key; did you mean ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// Where.
    pub origin: Origin,
    /// The path of the key, like `pools[0].timeouts.call`; empty for a file that is no TOML, and for a variable, whose name says
    /// it.
    pub key: String,
    /// What was found and what was expected.
    pub message: String,
    /// Whether it can be lived with.
    pub is_warning: bool,
}

impl ConfigProblem {
    pub(super) fn error(origin: Origin, key: impl Into<String>, message: impl Into<String>) -> ConfigProblem {
        ConfigProblem { origin, key: key.into(), message: message.into(), is_warning: false }
    }

    pub(super) fn warning(origin: Origin, key: impl Into<String>, message: impl Into<String>) -> ConfigProblem {
        ConfigProblem { is_warning: true, ..ConfigProblem::error(origin, key, message) }
    }

    /// As scripts read it.
    pub fn to_json(&self) -> serde_json::Value {
        let severity = if self.is_warning { "warning" } else { "error" };
        serde_json::json!({
            "severity": severity, "origin": self.origin.json(), "key": self.key, "message": self.message,
        })
    }

    /// By file and line, then by variable.
    pub(super) fn place(&self) -> (usize, String) {
        match &self.origin {
            Origin::File { line, .. } => (*line, String::new()),
            other => (usize::MAX, other.to_string()),
        }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() && !matches!(self.origin, Origin::Variable(_)) {
            write!(f, "{}: ", self.key)?;
        }
        if self.is_warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)
    }
}

impl From<&ConfigProblem> for Error {
    fn from(problem: &ConfigProblem) -> Error {
        Error::new(ErrorKind::Validation, problem.to_string())
    }
}
