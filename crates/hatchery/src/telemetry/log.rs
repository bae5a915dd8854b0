//! Events as log lines: whatever is emitted goes to `tracing` too, as a sentence with the event's fields, whether or not somebody
//! subscribes to events. A line that no subscriber wants costs a look at a level; nothing is formatted for it.
//!
//! The target of a line is its category: `hatchery::pool`, `::worker`, `::call`, … What workers write is `hatchery::worker::output`.

mod site;
mod words;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;
use tracing_core::Level as Weight;
use tracing_core::field::{Value as Recorded, display};

use super::event::{Event, Level};
use super::field::FieldValue;
use super::kinds::Kind;
use super::shape::{Shape, names};
use crate::id::WorkerId;
use crate::process;
use crate::value::Payload;
use site::Site;

/// Tells whoever listens to logs.
pub(super) fn speak(event: &Event) {
    words::tell(event, &mut |level, sentence| {
        if let Some(site) = Site::heard(event.kind(), level) {
            write(site, event, sentence);
        }
    });
}

/// Whether an event of this kind that is told at this level is worth making for the sake of logs.
pub(super) fn is_heard(kind: Kind, level: Level) -> bool {
    Site::heard(kind, weight(level)).is_some()
}

/// Whether the event matters no more than that.
pub(super) fn is_told_at_most(event: &Event, level: Level) -> bool {
    let mut is_at_most = true;
    words::tell(event, &mut |told, _| is_at_most = told >= weight(level));
    is_at_most
}

/// As `tracing` has it.
fn weight(level: Level) -> Weight {
    match level {
        Level::Debug => Weight::DEBUG,
        Level::Info => Weight::INFO,
        Level::Warning => Weight::WARN,
        Level::Error => Weight::ERROR,
    }
}

/// A call is made. What it is given is nobody's business; what that looks like may explain what becomes of it.
pub(crate) fn called(pool: &str, tool: &str, correlation_id: &str, arguments: &Payload) {
    let shape = || Shape::of_json(arguments.json()).map(|shape| shape.to_string()).unwrap_or_default();
    tracing::debug!(target: "hatchery::call", pool, tool, correlation_id, arguments = shape(), "{tool} is called");
}

/// A process is about to be started. Of its command line secrets are hidden, of its environment the names are told.
pub(crate) fn starting(worker: &WorkerId, command: &[Cow<'_, str>], environment: &[Cow<'_, str>]) {
    let command = || process::redacted(command.iter().map(AsRef::as_ref));
    let environment = || names(environment);
    tracing::debug!(
        target: "hatchery::worker",
        worker = worker.as_str(),
        command = command(),
        environment = environment(),
        "{worker} is about to be started"
    );
}

fn write(site: &'static Site, event: &Event, sentence: fmt::Arguments<'_>) {
    let mut fields: Vec<Option<Box<dyn Recorded>>> = Vec::new();
    event.visit(&mut |key, value| {
        if key != site::MESSAGE {
            fields.push(recorded(value));
        }
    });
    let mut values: Vec<Option<&dyn Recorded>> = vec![Some(&sentence)];
    values.extend(fields.iter().map(Option::as_deref));
    site.write(&values);
}

/// A field as `tracing` takes it. Of what a tool says in maps of its own, only the shape.
fn recorded(value: &dyn FieldValue) -> Option<Box<dyn Recorded>> {
    if let Some(text) = value.text() {
        return Some(Box::new(text.to_owned()));
    }
    Some(match value.json() {
        Value::Null => return None,
        Value::Bool(flag) => Box::new(flag),
        Value::String(text) => Box::new(text),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Box::new(number),
            (_, Some(number)) => Box::new(number),
            _ => Box::new(number.as_f64().unwrap_or_default()),
        },
        object @ Value::Object(_) => Box::new(display(Shape::of(&object)).to_string()),
        list @ Value::Array(_) => Box::new(list.to_string()),
    })
}
