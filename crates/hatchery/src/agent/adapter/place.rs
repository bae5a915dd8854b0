//! Reads a table of an adapter: every value knows where it stands, so that a mistake is told with its place.

use toml::{Table, Value};

use crate::error::{Error, ErrorKind, Result, near_match};

/// A value, and the way to it: `rules[2].turn_ended.ok`.
#[derive(Clone)]
pub(super) struct Place<'a> {
    path: String,
    value: &'a Value,
}

/// A table whose keys are all known.
pub(super) struct Keys<'a> {
    path: String,
    table: &'a Table,
}

impl<'a> Keys<'a> {
    /// The table at the root.
    ///
    /// # Errors
    /// `validation` for a key that is not one of `known`.
    pub(super) fn of(table: &'a Table, known: &[&str]) -> Result<Keys<'a>> {
        Keys { path: String::new(), table }.only(known)
    }

    /// What a key is set to, if it is.
    pub(super) fn get(&self, key: &str) -> Option<Place<'a>> {
        self.table.get(key).map(|value| Place { path: self.path_of(key), value })
    }

    /// What a key is set to, read by `read`.
    pub(super) fn read<T>(&self, key: &str, read: impl FnOnce(&Place<'a>) -> Result<T>) -> Result<Option<T>> {
        self.get(key).map(|place| read(&place)).transpose()
    }

    /// The same, for a key that there must be.
    pub(super) fn need<T>(&self, key: &str, expected: &str, read: impl FnOnce(&Place<'a>) -> Result<T>) -> Result<T> {
        match self.get(key) {
            Some(place) => read(&place),
            None => Err(refusal(&self.path_of(key), &format!("expected {expected}, found nothing"))),
        }
    }

    /// All keys and what they are set to.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a str, Place<'a>)> {
        self.table.iter().map(|(key, value)| (key.as_str(), Place { path: self.path_of(key), value }))
    }

    fn only(self, known: &[&str]) -> Result<Keys<'a>> {
        match self.table.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(self),
            Some(key) => {
                let near = near_match(key, known.iter().copied());
                let expected = if near.is_empty() { format!("; expected one of {}", known.join(", ")) } else { near };
                Err(refusal(&self.path_of(key), &format!("unknown key{expected}")))
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let key = if is_bare { key.to_owned() } else { format!("{key:?}") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }
}

impl<'a> Place<'a> {
    /// A table that has no other keys than these.
    pub(super) fn keys(&self, known: &[&str]) -> Result<Keys<'a>> {
        self.any_keys("a table")?.only(known)
    }

    /// A table of any keys.
    pub(super) fn any_keys(&self, expected: &str) -> Result<Keys<'a>> {
        match self.value {
            Value::Table(table) => Ok(Keys { path: self.path.clone(), table }),
            _ => Err(self.expected(expected)),
        }
    }

    pub(super) fn list(&self, expected: &str) -> Result<Vec<Place<'a>>> {
        let Value::Array(values) = self.value else { return Err(self.expected(expected)) };
        let at = |(index, value)| Place { path: format!("{}[{index}]", self.path), value };
        Ok(values.iter().enumerate().map(at).collect())
    }

    /// A list, each element of which is read by `read`.
    pub(super) fn each<T>(&self, expected: &str, read: impl Fn(&Place<'a>) -> Result<T>) -> Result<Vec<T>> {
        self.list(expected)?.iter().map(read).collect()
    }

    pub(super) fn text(&self, expected: &str) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.expected(expected))
    }

    pub(super) fn flag(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&self, expected: &str) -> Result<u64> {
        let whole = self.value.as_integer().and_then(|number| u64::try_from(number).ok());
        whole.ok_or_else(|| self.expected(expected))
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// The error that says what this place should have.
    pub(super) fn expected(&self, expected: &str) -> Error {
        refusal(&self.path, &format!("expected {expected}, found {}", found(self.value)))
    }

    /// The error that says what is wrong with what this place has.
    pub(super) fn refuse(&self, fact: impl AsRef<str>) -> Error {
        refusal(&self.path, fact.as_ref())
    }
}

fn refusal(path: &str, fact: &str) -> Error {
    Error::new(ErrorKind::Validation, format!("{path}: {fact}"))
}

fn found(value: &Value) -> String {
    match value {
        Value::String(text) if text.len() <= 60 => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        other => format!("a {}", other.type_str()),
    }
}
