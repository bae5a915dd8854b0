//! A configuration in full as text: a file that says the same, or values for scripts. Secrets are left out.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::keys::{Fallback, HOST_TOOL, Key, POOL, TOP};
use super::kind::Kind;
use super::layer::{Layer, Setting};
use super::settings::{ElementSettings, Settings};
use super::value::{Value, quoted};
use crate::process::{is_secret_name, redacted_each, redacted_value};

/// How wide a setting may be before its origin is no longer lined up with the others.
const COLUMN: usize = 52;

impl Settings {
    /// As a file that says the same, also what nobody has said; with `origins`, behind each line where it comes from. What is
    /// not set stands in a comment, and so does a secret, without its value.
    pub fn to_toml(&self, origins: bool) -> String {
        let mut page = Page { text: String::new(), origins };
        page.keys(TOP, "", &self.top);
        for (list, keys, elements) in self.lists() {
            for element in elements {
                page.header(&format!("[[{list}]]"));
                page.element(keys, "", &element.layer);
            }
        }
        page.text
    }

    /// `[{key, value, origin, redacted?}]`; a key of a pool is `pools.NAME.key`.
    pub fn to_json(&self) -> serde_json::Value {
        let of_top = lines(TOP, "", &self.top);
        let of_lists = self.lists().into_iter().flat_map(|(list, keys, elements)| {
            elements.iter().flat_map(move |element| {
                let name = element.layer.text("name").unwrap_or(&element.path);
                lines(keys, "", &element.layer)
                    .into_iter()
                    .map(move |line| Line { path: format!("{list}.{name}.{}", line.path), ..line })
            })
        });
        of_top.into_iter().chain(of_lists).map(|line| line.json()).collect()
    }

    /// The lists of tables, each with the keys of its elements.
    fn lists(&self) -> [(&'static str, &'static [Key], &[ElementSettings]); 2] {
        [("pools", POOL, &self.pools), ("host_tools", HOST_TOOL, &self.host_tools)]
    }
}

/// One key, or one entry of a table of the user's.
struct Line<'a> {
    path: String,
    /// As TOML has the path.
    written: String,
    setting: Option<&'a Setting>,
    fallback: Fallback,
}

/// Every key below these, in their order.
fn lines<'a>(keys: &'static [Key], table: &str, layer: &'a Layer) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for key in keys {
        let path = if table.is_empty() { key.name.to_owned() } else { format!("{table}.{}", key.name) };
        match key.kind {
            Kind::Tables(..) => {}
            // Every pool has them in it.
            Kind::Table(_) if path == "pool_defaults" => {}
            Kind::Table(keys) => lines.extend(self::lines(keys, &path, layer)),
            Kind::Entries(..) => {
                lines.extend(layer.below(&path).map(|(name, setting)| Line {
                    path: format!("{path}.{name}"),
                    written: format!("{path}.{}", key_of(name)),
                    setting: Some(setting),
                    fallback: key.fallback,
                }));
            }
            _ => lines.push(Line { written: path.clone(), setting: layer.get(&path), fallback: key.fallback, path }),
        }
    }
    lines
}

/// Bare if it can be.
fn key_of(name: &str) -> Cow<'_, str> {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { name.into() } else { quoted(name).into() }
}

impl Line<'_> {
    /// The value without what must not be seen, and whether something was left out.
    fn shown(&self) -> Option<(Value, bool)> {
        let value = self.setting?.value.as_ref()?;
        let name = self.path.rsplit('.').next().unwrap_or_default();
        let hidden = hidden(name, value);
        Some(match hidden == *value {
            true => (hidden, false),
            false => (hidden, true),
        })
    }

    fn json(&self) -> serde_json::Value {
        let shown = self.shown();
        let value = shown.as_ref().map_or(serde_json::Value::Null, |(value, _)| value.json());
        let origin = self.setting.map_or(super::Origin::Default.json(), |setting| setting.origin.json());
        let mut json = serde_json::json!({ "key": self.path, "value": value, "origin": origin });
        if shown.is_some_and(|(_, redacted)| redacted) {
            json["redacted"] = true.into();
        }
        json
    }
}

/// A word of a list may be the value of the flag before it.
fn hidden(name: &str, value: &Value) -> Value {
    match value {
        Value::Text(_) if is_secret_name(name) => Value::Text("***".to_owned()),
        Value::Text(text) => Value::Text(redacted_value(text)),
        Value::List(values) if values.iter().any(|value| matches!(value, Value::Path(_))) => {
            Value::List(command(values))
        }
        Value::List(values) if name == "adapter_args" => Value::List(arguments(values)),
        other => other.clone(),
    }
}

fn command(values: &[Value]) -> Vec<Value> {
    let (program, args) = values.split_at(1);
    program.iter().cloned().chain(arguments(args)).collect()
}

fn arguments(values: &[Value]) -> Vec<Value> {
    let args = values.iter().map(|arg| if let Value::Text(text) = arg { text.as_str() } else { "" });
    redacted_each(args).into_iter().map(Value::Text).collect()
}

struct Page {
    text: String,
    origins: bool,
}

impl Page {
    /// Those of the document first, then its tables, each with its header: what comes after a header belongs to it.
    fn keys(&mut self, keys: &'static [Key], table: &str, layer: &Layer) {
        let (tables, plain): (Vec<_>, Vec<_>) = keys.iter().partition(|key| matches!(key.kind, Kind::Table(_)));
        for line in lines(keys, table, layer) {
            if plain.iter().any(|key| key.name == line.path) {
                self.line(&line, &line.written);
            }
        }
        for key in tables {
            let Kind::Table(keys) = key.kind else { continue };
            if key.name == "pool_defaults" {
                continue;
            }
            self.header(&format!("[{}]", key.name));
            for line in lines(keys, key.name, layer) {
                self.line(&line, &line.written[key.name.len() + 1..]);
            }
        }
    }

    fn element(&mut self, keys: &'static [Key], table: &str, layer: &Layer) {
        for line in lines(keys, table, layer) {
            self.line(&line, &line.written);
        }
    }

    fn header(&mut self, header: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _strings_do_not_fail = writeln!(self.text, "{gap}{header}");
    }

    fn line(&mut self, line: &Line<'_>, written: &str) {
        let (text, note) = match (line.shown(), line.setting) {
            (Some((value, redacted)), Some(setting)) => {
                // Read back, it would be taken for what it is not.
                let mark = if redacted { "# " } else { "" };
                let hidden = if redacted { ", hidden" } else { "" };
                (format!("{mark}{written} = {}", value.toml()), format!("{}{hidden}", setting.origin))
            }
            _ => (format!("# {written} is not set"), nothing(line.fallback).to_owned()),
        };
        let _strings_do_not_fail = match self.origins && !note.is_empty() {
            true => writeln!(self.text, "{text:COLUMN$} # {note}"),
            false => writeln!(self.text, "{text}"),
        };
    }
}

fn nothing(fallback: Fallback) -> &'static str {
    match fallback {
        Fallback::Nothing(what) => what,
        Fallback::WithThreads(_) => "only with profile = \"thread\"",
        Fallback::Bridged(_) => "only beside `script`",
        _ => "",
    }
}
