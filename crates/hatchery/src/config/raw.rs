//! What stands behind a key: a piece of TOML, or the text of a variable, of which the key knows what it should be.

use std::borrow::Cow;

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

/// A value as it is written.
pub(super) enum Raw<'a> {
    /// With the text of the whole file.
    File(&'a Spanned<DeValue<'a>>, &'a str),
    Variable(Cow<'a, str>),
}

/// As long as it still fits into a sentence.
const LONGEST_FOUND: usize = 80;

impl Raw<'_> {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Raw::File(value, _) => match value.get_ref() {
                DeValue::String(text) => Some(text.as_ref()),
                _ => None,
            },
            Raw::Variable(text) => Some(text.as_ref()),
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self {
            Raw::File(value, _) => match value.get_ref() {
                DeValue::Boolean(flag) => Some(*flag),
                _ => None,
            },
            Raw::Variable(text) => text.parse().ok(),
        }
    }

    pub(super) fn whole(&self) -> Option<u64> {
        match self {
            Raw::File(value, _) => match value.get_ref() {
                DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
                _ => None,
            },
            Raw::Variable(text) => text.parse().ok(),
        }
    }

    /// Whole or not, and finite.
    pub(super) fn number(&self) -> Option<f64> {
        let number: Option<f64> = match self {
            Raw::File(value, _) => match value.get_ref() {
                DeValue::Integer(number) => number.as_str().parse().ok(),
                DeValue::Float(number) => number.as_str().parse().ok(),
                _ => None,
            },
            Raw::Variable(text) => text.parse().ok(),
        };
        number.filter(|number| number.is_finite())
    }

    /// A table with whatever is in it; no variable holds one.
    pub(super) fn table(&self) -> Option<toml::Table> {
        match self {
            Raw::File(value, _) => toml::Table::deserialize(toml::de::ValueDeserializer::from((*value).clone())).ok(),
            Raw::Variable(_) => None,
        }
    }

    /// A variable holds a list as JSON has it.
    pub(super) fn list(&self) -> Option<Vec<Raw<'_>>> {
        match self {
            Raw::File(value, whole) => match value.get_ref() {
                DeValue::Array(values) => Some(values.iter().map(|value| Raw::File(value, whole)).collect()),
                _ => None,
            },
            Raw::Variable(text) => {
                let values: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
                values.into_iter().map(|value| Some(Raw::Variable(Cow::Owned(scalar(value)?)))).collect()
            }
        }
    }

    /// The value as it is written, if it fits into a sentence.
    pub(super) fn found(&self) -> String {
        let fits = |text: &&str| text.len() <= LONGEST_FOUND;
        match self {
            Raw::File(value, whole) => match value.get_ref() {
                DeValue::Table(_) => "a table".to_owned(),
                DeValue::Array(_) => "a list".to_owned(),
                _ => whole.get(value.span()).filter(fits).unwrap_or("this").to_owned(),
            },
            Raw::Variable(text) => {
                Some(text.as_ref()).filter(fits).map_or("this".to_owned(), |text| format!("{text:?}"))
            }
        }
    }
}

fn scalar(value: serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
