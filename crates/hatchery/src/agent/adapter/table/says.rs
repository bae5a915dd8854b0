//! How something is said to an agent.

use bytes::Bytes;
use serde_json::Value;

use super::super::place::Place;
use super::super::words::Words;
use super::rule::as_text;
use crate::error::Result;

/// What is written for a turn, an interrupt and an answer, where the agent understands it.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Says {
    pub(in super::super) turn: Option<Message>,
    pub(in super::super) interrupt: Option<Message>,
    pub(in super::super) allow: Option<Message>,
    pub(in super::super) deny: Option<Message>,
}

/// A line with gaps.
#[derive(Clone, Debug)]
pub(in super::super) enum Message {
    /// Written as it is.
    Text(Words),
    /// Written as JSON on one line; a text in it that is a gap as a whole, like `"{text}"`, is a value.
    Json(Value),
}

impl Says {
    pub(super) fn read(place: &Place<'_>) -> Result<Says> {
        let keys = place.keys(&["turn", "interrupt", "allow", "deny"])?;
        let message = |key, gaps| keys.read(key, |place| Message::read(place, gaps));
        Ok(Says {
            turn: message("turn", &["text"])?,
            interrupt: message("interrupt", &["request"])?,
            allow: message("allow", &["request", "input"])?,
            deny: message("deny", &["request", "message"])?,
        })
    }
}

impl Message {
    fn read(place: &Place<'_>, gaps: &[&str]) -> Result<Message> {
        let of: Vec<String> = gaps.iter().map(|gap| format!("{{{gap}}}")).collect();
        let expected = format!("a text or a table, in which {} may stand", of.join(" and "));
        match place.value() {
            toml::Value::Table(table) => {
                let json = json(&toml::Value::Table(table.clone())).ok_or_else(|| place.expected(&expected))?;
                match unknown_gap(&json, gaps) {
                    None => Ok(Message::Json(json)),
                    Some(gap) => Err(place.refuse(format!("expected {expected}, found {gap}"))),
                }
            }
            _ => Words::read(place, &expected, |gap| gaps.contains(&gap)).map(Message::Text),
        }
    }

    /// The line, with its end.
    pub(in super::super) fn line(&self, value: impl Fn(&str) -> Value) -> Bytes {
        let mut line = match self {
            Message::Text(words) => {
                words.fill(|gap| Some(as_text(&value(gap)).unwrap_or_default())).unwrap_or_default()
            }
            Message::Json(json) => filled(json, &value).to_string(),
        };
        line.push('\n');
        line.into()
    }
}

/// The gap that a text is as a whole.
fn gap(text: &str) -> Option<&str> {
    text.strip_prefix('{')?.strip_suffix('}')
}

fn filled(json: &Value, value: &impl Fn(&str) -> Value) -> Value {
    match json {
        Value::String(text) => gap(text).map_or_else(|| json.clone(), value),
        Value::Array(list) => list.iter().map(|element| filled(element, value)).collect(),
        Value::Object(members) => members.iter().map(|(key, member)| (key.clone(), filled(member, value))).collect(),
        _ => json.clone(),
    }
}

fn unknown_gap<'v>(json: &'v Value, known: &[&str]) -> Option<&'v str> {
    match json {
        Value::String(text) => gap(text).filter(|gap| !known.contains(gap)).map(|_| text.as_str()),
        Value::Array(list) => list.iter().find_map(|element| unknown_gap(element, known)),
        Value::Object(members) => members.values().find_map(|member| unknown_gap(member, known)),
        _ => None,
    }
}

/// `None` for what JSON does not have: dates, and numbers that are none.
fn json(toml: &toml::Value) -> Option<Value> {
    Some(match toml {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(_) => return None,
        toml::Value::Array(list) => list.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        toml::Value::Table(table) => {
            let member = |(key, value): (&String, &toml::Value)| Some((key.clone(), json(value)?));
            Value::Object(table.iter().map(member).collect::<Option<_>>()?)
        }
    })
}
