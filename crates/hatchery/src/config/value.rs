//! What a key is set to, once it is known to be what the key wants.

use std::path::PathBuf;
use std::time::Duration;

use super::{format_duration, format_size};
use crate::app::App;
use crate::pyenv::PythonApp;

/// A value of a configuration; its paths are absolute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Flag(bool),
    Whole(u64),
    Number(f64),
    Text(String),
    /// Or the name of a program to look for.
    Path(PathBuf),
    App(PythonApp),
    Duration(Duration),
    Size(u64),
    /// `"infinity"`, for whatever has no limit.
    Infinity,
    List(Vec<Value>),
    /// Of the user's, as it stands there.
    Table(toml::Table),
}

impl Value {
    /// As a configuration file has it, on one line.
    pub(super) fn toml(&self) -> String {
        match self {
            Value::Flag(flag) => flag.to_string(),
            Value::Whole(number) => number.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => quoted(text),
            Value::Path(path) => quoted(&path.to_string_lossy()),
            Value::App(app) => quoted(&app.describe()),
            Value::Duration(duration) => quoted(&format_duration(*duration)),
            Value::Size(bytes) => quoted(&format_size(*bytes)),
            Value::Infinity => quoted("infinity"),
            Value::Table(table) => toml::Value::Table(table.clone()).to_string(),
            Value::List(values) => {
                format!("[{}]", values.iter().map(Value::toml).collect::<Vec<_>>().join(", "))
            }
        }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        match self {
            Value::Flag(flag) => (*flag).into(),
            Value::Whole(number) => (*number).into(),
            Value::Number(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
            Value::Path(path) => path.to_string_lossy().into(),
            Value::App(app) => app.describe().into(),
            Value::Duration(duration) => format_duration(*duration).into(),
            Value::Size(bytes) => format_size(*bytes).into(),
            Value::Infinity => "infinity".into(),
            Value::List(values) => values.iter().map(Value::json).collect(),
            Value::Table(table) => serde_json::to_value(table).unwrap_or_default(),
        }
    }
}

/// A basic string of TOML. It is one of JSON's, but for the one control character that JSON leaves as it is.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_back_from_one_line(text in "(.|[\x00-\x1f\x7f\"\\\\]){0,20}") {
            let line = format!("key = {}", quoted(&text));
            prop_assert_eq!(line.lines().count(), 1);
            let table: toml::Table = line.parse().unwrap();
            prop_assert_eq!(table["key"].as_str(), Some(text.as_str()));
        }
    }
}
