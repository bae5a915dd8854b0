//! A TOML document with places: every refusal names the file, the line, the key path, what was expected and what was found.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, ErrorKind, Result};

/// The text being read, and what to call it.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    pub(super) fn refuse(&self, offset: usize, fact: impl fmt::Display) -> Error {
        let line = 1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        Error::new(ErrorKind::Validation, format!("{}:{line}: {fact}", self.path.display()))
    }
}

/// A table of the document.
pub(super) struct Section<'a> {
    source: &'a Source<'a>,
    /// Like `pools[0]`; empty for the document.
    path: String,
    offset: usize,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    pub(super) fn document(source: &'a Source<'a>, table: &'a Spanned<DeTable<'a>>) -> Section<'a> {
        Section { source, path: String::new(), offset: table.span().start, table: table.get_ref() }
    }

    /// Refuses the first key that is neither known nor planned; and one that is planned, since to ignore it would be
    /// to promise what is not kept.
    pub(super) fn allow(&self, known: &[&str], planned: &[&str]) -> Result<()> {
        let mut keys = self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())).collect::<Vec<_>>();
        keys.sort_by_key(|key| key.span().start);
        let Some(key) = keys.first() else { return Ok(()) };
        let name = key.get_ref().as_ref();
        let fact = match planned.contains(&name) {
            true => "not supported in this version; remove it".to_owned(),
            false => format!("unknown key; {}", advice(name, known)),
        };
        Err(self.source.refuse(key.span().start, format_args!("{}: {fact}", self.path_of(name))))
    }

    /// What a key is set to.
    pub(super) fn get(&self, key: &str) -> Option<Entry<'a>> {
        let value = self.table.get(key)?;
        Some(Entry { source: self.source, path: self.path_of(key), value })
    }

    /// Every key with its value, sorted.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Entry<'a>)> {
        self.table.iter().map(|(key, value)| {
            let key = key.get_ref().as_ref();
            (key, Entry { source: self.source, path: self.path_of(key), value })
        })
    }

    /// An error about the table as a whole, or about a key that it lacks.
    pub(super) fn refuse(&self, fact: impl fmt::Display) -> Error {
        self.source.refuse(self.offset, format_args!("{}: {fact}", self.path))
    }

    fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

fn advice(name: &str, known: &[&str]) -> String {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(name, candidate);
    match known.iter().min_by_key(distance) {
        Some(near) if distance(&near) <= near.len().div_ceil(3) => format!("did you mean `{near}`?"),
        _ => format!("expected one of {}", known.join(", ")),
    }
}

/// A value of the document.
pub(super) struct Entry<'a> {
    source: &'a Source<'a>,
    path: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Entry<'a> {
    /// An error about this value, without what was found.
    pub(super) fn refuse(&self, fact: impl fmt::Display) -> Error {
        self.source.refuse(self.value.span().start, format_args!("{}: {fact}", self.path))
    }

    pub(super) fn expected(&self, expected: impl fmt::Display) -> Error {
        self.refuse(format_args!("expected {expected}, found {}", self.found()))
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        self.text_as("text", Some)
    }

    /// Text that `read` understands.
    pub(super) fn text_as<T>(&self, expected: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Result<T> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            _ => None,
        };
        text.and_then(read).ok_or_else(|| self.expected(expected))
    }

    pub(super) fn whole_number(&self, range: RangeInclusive<usize>) -> Result<usize> {
        let number = match self.value.get_ref() {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let expected = || self.expected(format_args!("a whole number from {} to {}", range.start(), range.end()));
        number.filter(|number| range.contains(number)).ok_or_else(expected)
    }

    /// Whole or not, above zero and finite.
    pub(super) fn positive_number(&self) -> Result<f64> {
        let number = match self.value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let is_fit = |number: &f64| number.is_finite() && *number > 0.0;
        number.filter(is_fit).ok_or_else(|| self.expected("a number above 0"))
    }

    pub(super) fn list(&self, expected: &str) -> Result<Vec<Entry<'a>>> {
        let DeValue::Array(values) = self.value.get_ref() else { return Err(self.expected(expected)) };
        let entry = |(index, value)| Entry { source: self.source, path: format!("{}[{index}]", self.path), value };
        Ok(values.iter().enumerate().map(entry).collect())
    }

    pub(super) fn section(&self) -> Result<Section<'a>> {
        let DeValue::Table(table) = self.value.get_ref() else { return Err(self.expected("a table")) };
        Ok(Section { source: self.source, path: self.path.clone(), offset: self.value.span().start, table })
    }

    /// The value as it is written, if it fits into a sentence.
    fn found(&self) -> String {
        match self.value.get_ref() {
            DeValue::Table(_) => "a table".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            _ => self.source.text.get(self.value.span()).filter(|text| text.len() <= 80).unwrap_or("this").to_owned(),
        }
    }
}
