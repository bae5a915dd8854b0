//! `HATCHERY__SERVER__LISTEN`: configuration by environment. A variable is `HATCHERY` and the key's path, with two underscores
//! between; a pool's are `HATCHERY__POOLS__<NAME>__<KEY>`. What is empty counts as not set.

use std::ffi::OsString;
use std::fmt;

use crate::error::{Error, ErrorKind, Result};

pub(super) const PREFIX: &str = "HATCHERY";
pub(super) const SEPARATOR: &str = "__";

/// What the environment says about keys, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Variables(Vec<Variable>);

#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) text: String,
}

impl Variables {
    /// Those of this process.
    pub(super) fn of_process() -> Result<Variables> {
        Variables::among(std::env::vars_os())
    }

    pub(super) fn among(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Variables> {
        let mut variables = Vec::new();
        for (name, text) in environment {
            let Some(name) = name.to_str().filter(|name| is_below(name, PREFIX)) else { continue };
            let text = text.into_string().map_err(|_| refuse_variable(name, "expected text, found no UTF-8"))?;
            if !text.is_empty() {
                variables.push(Variable { name: name.to_owned(), text });
            }
        }
        variables.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Variables(variables))
    }

    /// Those that say which installation this is.
    pub(super) fn of_instance(self) -> Variables {
        let instance = variable_of(PREFIX, "instance");
        let is_of_it = |variable: &Variable| variable.name == instance || is_below(&variable.name, &instance);
        Variables(self.0.into_iter().filter(is_of_it).collect())
    }

    /// Those of the keys of a table, and of tables in it.
    pub(super) fn below<'a>(&'a self, table: &str) -> impl Iterator<Item = &'a Variable> {
        self.0.iter().filter(move |variable| is_below(&variable.name, table))
    }
}

/// The variable of a key, or of what stands below it.
pub(super) fn variable_of(table: &str, key: &str) -> String {
    format!("{table}{SEPARATOR}{}", key.to_ascii_uppercase())
}

fn refuse_variable(name: &str, fact: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Validation, format!("{name}: {fact}"))
}

fn is_below(name: &str, table: &str) -> bool {
    name.strip_prefix(table).is_some_and(|rest| rest.starts_with(SEPARATOR))
}
