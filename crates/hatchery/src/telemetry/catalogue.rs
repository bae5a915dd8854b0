//! Every event that there is, as data: what it is called, what stands in it, and whether it happens in this version.

use std::sync::LazyLock;

use serde::Serialize;

use super::event::ROOMS;
use super::unspoken::UNSPOKEN;

/// A kind of event, as [`catalogue`] has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventKind {
    /// Like `worker.ready`.
    pub name: &'static str,
    /// What comes before the dot.
    pub room: &'static str,
    /// What happened. Of one that is `explained`, why there is no such event, or what it is called here.
    pub doc: &'static str,
    /// What stands in it, besides its name and its time. Empty unless it is `emitted`.
    pub fields: &'static [FieldKind],
    /// Whether it happens.
    pub standing: Standing,
}

/// A field of a kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldKind {
    /// Its key.
    pub name: &'static str,
    /// `string`, `integer`, `number`, `boolean`, `object`, `array of string`, `array of integer`.
    #[serde(rename = "type")]
    pub is: &'static str,
    /// `seconds` or `bytes`, if it is a time or a size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'static str>,
    /// Whether it may be absent.
    pub optional: bool,
    /// What it is.
    pub doc: &'static str,
}

/// Whether a kind of event happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// Yes.
    Emitted,
    /// Not in this version: what it is about is to come. The name is kept for it.
    Reserved,
    /// No: others have an event of this name. [`EventKind::doc`] says what to listen to instead, or why there is nothing.
    Explained,
}

/// Every kind of event, by name: those that happen, those that are to come, and what others call otherwise.
///
/// ```
/// let ready = hatchery::catalogue().iter().find(|kind| kind.name == "worker.ready").unwrap();
/// let took = ready.fields.iter().find(|field| field.name == "took_seconds").unwrap();
/// assert_eq!((took.is, took.unit), ("number", Some("seconds")));
/// ```
pub fn catalogue() -> &'static [EventKind] {
    static CATALOGUE: LazyLock<Vec<EventKind>> = LazyLock::new(|| {
        let mut kinds: Vec<EventKind> = ROOMS.iter().copied().flatten().chain(UNSPOKEN).copied().collect();
        kinds.sort_unstable_by_key(|kind| kind.name);
        kinds
    });
    &CATALOGUE
}

impl EventKind {
    pub(super) const fn emitted(name: &'static str, doc: &'static str, fields: &'static [FieldKind]) -> EventKind {
        EventKind { name, room: room(name), doc: doc.trim_ascii_start(), fields, standing: Standing::Emitted }
    }

    pub(super) const fn reserved(name: &'static str, doc: &'static str) -> EventKind {
        EventKind { name, room: room(name), doc, fields: &[], standing: Standing::Reserved }
    }

    pub(super) const fn explained(name: &'static str, doc: &'static str) -> EventKind {
        EventKind { name, room: room(name), doc, fields: &[], standing: Standing::Explained }
    }
}

const fn room(name: &'static str) -> &'static str {
    let bytes = name.as_bytes();
    let mut end = 0;
    while end < bytes.len() && bytes[end] != b'.' {
        end += 1;
    }
    name.split_at(end).0
}

/// What is measured in it, which its key ends with.
pub(super) const fn unit(key: &'static str) -> Option<&'static str> {
    match (ends_with(key, "seconds"), ends_with(key, "bytes")) {
        (true, _) => Some("seconds"),
        (_, true) => Some("bytes"),
        _ => None,
    }
}

const fn ends_with(text: &str, end: &str) -> bool {
    let (text, end) = (text.as_bytes(), end.as_bytes());
    if text.len() < end.len() {
        return false;
    }
    let mut at = 0;
    while at < end.len() {
        if text[text.len() - end.len() + at] != end[at] {
            return false;
        }
        at += 1;
    }
    true
}
