//! A TOML document with places, and the variables that go before it: every refusal names the file, the line and the key path, or
//! the variable, and what was expected and what was found.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::variables::{PREFIX, SEPARATOR, Variable, Variables, refuse_variable, variable_of};
use crate::error::{Error, ErrorKind, Result};

/// The text being read, what to call it, and what the environment says beside it.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) variables: &'a Variables,
}

impl Source<'_> {
    pub(super) fn refuse(&self, offset: usize, fact: impl fmt::Display) -> Error {
        let line = 1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        Error::new(ErrorKind::Validation, format!("{}:{line}: {fact}", self.path.display()))
    }

    /// From where the file's relative paths are taken.
    fn folder(&self) -> PathBuf {
        let path = std::path::absolute(self.path).ok();
        path.and_then(|path| path.parent().map(Path::to_path_buf)).unwrap_or_default()
    }
}

/// A table of the document, with the variables that stand for keys of it: a variable beats the file.
pub(super) struct Section<'a> {
    source: &'a Source<'a>,
    /// Like `pools[0]`; empty for the document.
    path: String,
    /// What the names of its variables begin with, like `HATCHERY__INSTANCE`; none as long as it has no name.
    prefix: Option<String>,
    offset: usize,
    /// None: only variables speak of it.
    table: Option<&'a DeTable<'a>>,
}

impl<'a> Section<'a> {
    pub(super) fn document(source: &'a Source<'a>, table: &'a Spanned<DeTable<'a>>) -> Section<'a> {
        let prefix = Some(PREFIX.to_owned());
        Section { source, path: String::new(), prefix, offset: table.span().start, table: Some(table.get_ref()) }
    }

    /// An element of a list, whose variables name it: `HATCHERY__POOLS__<NAME>`.
    pub(super) fn named(self, list: &str, name: &str) -> Section<'a> {
        Section { prefix: Some(prefix_of(&variable_of(PREFIX, list), name)), ..self }
    }

    /// Refuses the first key that is neither known nor planned; and one that is planned, since to ignore it would be
    /// to promise what is not kept.
    pub(super) fn allow(&self, known: &[&str], planned: &[&str]) -> Result<()> {
        let fact = |name: &str, known: &[&str]| match planned.contains(&name) {
            true => "not supported in this version; remove it".to_owned(),
            false => format!("unknown key; {}", advice(name, known)),
        };
        let mut keys = self.table.iter().flat_map(|table| table.keys()).collect::<Vec<_>>();
        keys.sort_by_key(|key| key.span().start);
        if let Some(key) = keys.into_iter().find(|key| !known.contains(&key.get_ref().as_ref())) {
            let (name, path) = (key.get_ref().as_ref(), self.path_of(key.get_ref()));
            return Err(self.source.refuse(key.span().start, format_args!("{path}: {}", fact(name, known))));
        }
        let key = |rest: &str| rest.split(SEPARATOR).next().unwrap_or_default().to_ascii_lowercase();
        let variables = self.variables().into_iter().map(|(rest, variable)| (key(rest), variable));
        match variables.into_iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, variable)) => Err(refuse_variable(&variable.name, fact(&key, known))),
            None => Ok(()),
        }
    }

    /// What a key is set to.
    pub(super) fn get(&self, key: &str) -> Option<Entry<'a>> {
        let name = self.prefix.as_ref().map(|prefix| variable_of(prefix, key));
        if let Some(variable) = name.and_then(|name| self.source.variables.get(&name)) {
            return Some(Entry { source: self.source, path: variable.name.clone(), value: Value::variable(variable) });
        }
        Some(self.entry(key, self.table?.get(key)?))
    }

    /// The table below a key; one without keys if nothing speaks of it.
    pub(super) fn section(&self, key: &str) -> Result<Section<'a>> {
        let below = self.get(key).map(|entry| entry.section()).transpose()?;
        let prefix = self.prefix.as_ref().map(|prefix| variable_of(prefix, key));
        let nothing =
            || Section { source: self.source, path: self.path_of(key), prefix: None, offset: self.offset, table: None };
        Ok(Section { prefix, ..below.unwrap_or_else(nothing) })
    }

    /// Every key with its value, sorted.
    pub(super) fn entries(&self) -> Vec<(&'a str, Entry<'a>)> {
        let table = self.table.iter().flat_map(|table| table.iter());
        let in_file = table.map(|(key, value)| (key.get_ref().as_ref(), self.entry(key.get_ref(), value)));
        let mut entries: BTreeMap<&'a str, Entry<'a>> = in_file.collect();
        for (name, variable) in self.variables() {
            let (source, path) = (self.source, variable.name.clone());
            entries.insert(name, Entry { source, path, value: Value::variable(variable) });
        }
        entries.into_iter().collect()
    }

    /// An error about the table as a whole, or about a key that it lacks.
    pub(super) fn refuse(&self, fact: impl fmt::Display) -> Error {
        self.source.refuse(self.offset, format_args!("{}: {fact}", self.path))
    }

    /// The variables of its keys and of what is below them, each with the rest of its name.
    fn variables(&self) -> Vec<(&'a str, &'a Variable)> {
        let Some(prefix) = &self.prefix else { return Vec::new() };
        let rest = |variable: &'a Variable| &variable.name[prefix.len() + SEPARATOR.len()..];
        self.source.variables.below(prefix).map(|variable| (rest(variable), variable)).collect()
    }

    fn entry(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Entry<'a> {
        Entry { source: self.source, path: self.path_of(key), value: Value::File(value) }
    }

    fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

/// What the variables of an element of a list begin with.
pub(super) fn prefix_of(list: &str, name: &str) -> String {
    variable_of(list, &name.replace(['-', '.'], "_"))
}

fn advice(name: &str, known: &[&str]) -> String {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(name, candidate);
    match known.iter().min_by_key(distance) {
        Some(near) if distance(&near) <= near.len().div_ceil(3) => format!("did you mean `{near}`?"),
        _ => format!("expected one of {}", known.join(", ")),
    }
}

/// What a key is set to, in the document or by a variable.
pub(super) struct Entry<'a> {
    source: &'a Source<'a>,
    /// The key's path, or the variable's name.
    path: String,
    value: Value<'a>,
}

enum Value<'a> {
    File(&'a Spanned<DeValue<'a>>),
    /// Text, of which the reader knows what it should be.
    Variable(Cow<'a, str>),
}

impl<'a> Value<'a> {
    fn variable(variable: &'a Variable) -> Value<'a> {
        Value::Variable(Cow::Borrowed(&variable.text))
    }
}

impl<'a> Entry<'a> {
    /// An error about this value, without what was found.
    pub(super) fn refuse(&self, fact: impl fmt::Display) -> Error {
        match &self.value {
            Value::File(value) => self.source.refuse(value.span().start, format_args!("{}: {fact}", self.path)),
            Value::Variable(_) => refuse_variable(&self.path, fact),
        }
    }

    pub(super) fn expected(&self, expected: impl fmt::Display) -> Error {
        self.refuse(format_args!("expected {expected}, found {}", self.found()))
    }

    /// From where a relative path is taken: the file's folder; the current one for a variable.
    pub(super) fn folder(&self) -> PathBuf {
        match &self.value {
            Value::File(_) => self.source.folder(),
            Value::Variable(_) => std::env::current_dir().unwrap_or_default(),
        }
    }

    pub(super) fn text(&self) -> Result<String> {
        self.text_as("text", |text| Some(text.to_owned()))
    }

    /// Text that `read` understands.
    pub(super) fn text_as<T>(&self, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let text = match &self.value {
            Value::File(value) => match value.get_ref() {
                DeValue::String(text) => Some(text.as_ref()),
                _ => None,
            },
            Value::Variable(text) => Some(text.as_ref()),
        };
        text.and_then(read).ok_or_else(|| self.expected(expected))
    }

    pub(super) fn whole_number(&self, range: RangeInclusive<usize>) -> Result<usize> {
        let number = match &self.value {
            Value::File(value) => match value.get_ref() {
                DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
                _ => None,
            },
            Value::Variable(text) => text.parse().ok(),
        };
        let expected = || self.expected(format_args!("a whole number from {} to {}", range.start(), range.end()));
        number.filter(|number| range.contains(number)).ok_or_else(expected)
    }

    /// Whole or not, above zero and finite.
    pub(super) fn positive_number(&self) -> Result<f64> {
        let number = match &self.value {
            Value::File(value) => match value.get_ref() {
                DeValue::Integer(number) => number.as_str().parse().ok(),
                DeValue::Float(number) => number.as_str().parse().ok(),
                _ => None,
            },
            Value::Variable(text) => text.parse().ok(),
        };
        let is_fit = |number: &f64| number.is_finite() && *number > 0.0;
        number.filter(is_fit).ok_or_else(|| self.expected("a number above 0"))
    }

    /// A variable holds a list of texts as JSON has it.
    pub(super) fn list(&self, expected: &str) -> Result<Vec<Entry<'a>>> {
        let values: Vec<Value<'a>> = match &self.value {
            Value::File(value) => match value.get_ref() {
                DeValue::Array(values) => values.iter().map(Value::File).collect(),
                _ => return Err(self.expected(expected)),
            },
            Value::Variable(text) => {
                let texts: Vec<String> = serde_json::from_str(text).map_err(|_| self.expected(expected))?;
                texts.into_iter().map(|text| Value::Variable(Cow::Owned(text))).collect()
            }
        };
        let entry = |(index, value)| Entry { source: self.source, path: format!("{}[{index}]", self.path), value };
        Ok(values.into_iter().enumerate().map(entry).collect())
    }

    pub(super) fn section(&self) -> Result<Section<'a>> {
        match &self.value {
            Value::File(value) => match value.get_ref() {
                DeValue::Table(table) => Ok(Section {
                    source: self.source,
                    path: self.path.clone(),
                    prefix: None,
                    offset: value.span().start,
                    table: Some(table),
                }),
                _ => Err(self.expected("a table")),
            },
            Value::Variable(_) => {
                Err(self
                    .refuse(format_args!("expected a variable for each key, like {}", variable_of(&self.path, "KEY"))))
            }
        }
    }

    /// The value as it is written, if it fits into a sentence.
    fn found(&self) -> String {
        let fits = |text: &&str| text.len() <= 80;
        match &self.value {
            Value::File(value) => match value.get_ref() {
                DeValue::Table(_) => "a table".to_owned(),
                DeValue::Array(_) => "a list".to_owned(),
                _ => self.source.text.get(value.span()).filter(fits).unwrap_or("this").to_owned(),
            },
            Value::Variable(text) => {
                Some(text.as_ref()).filter(fits).map_or("this".to_owned(), |text| format!("{text:?}"))
            }
        }
    }
}
