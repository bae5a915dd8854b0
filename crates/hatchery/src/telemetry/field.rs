//! What may stand in an event: ids, numbers, short words. Each knows its JSON form.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Level, LogSource, RecycleReason};
use crate::fault::{CrashClass, Device};
use crate::id::WorkerId;

/// What a type of field is in JSON.
pub(super) trait FieldType {
    /// In words that JSON Schema uses too.
    const IS: &'static str;
    /// Whether it may be absent.
    const IS_OPTIONAL: bool = false;
}

/// A field of an event that has happened.
pub(super) trait FieldValue {
    /// Null: it is absent.
    fn json(&self) -> Value;

    /// If it is text.
    fn text(&self) -> Option<&str> {
        None
    }
}

impl<T: FieldType> FieldType for Option<T> {
    const IS: &'static str = T::IS;
    const IS_OPTIONAL: bool = true;
}

impl<T: FieldValue> FieldValue for Option<T> {
    fn json(&self) -> Value {
        self.as_ref().map_or(Value::Null, FieldValue::json)
    }

    fn text(&self) -> Option<&str> {
        self.as_ref().and_then(FieldValue::text)
    }
}

/// Of those whose JSON form is that of serde.
macro_rules! plain {
    ($( $Type:ty = $is:literal ),* $(,)?) => { $(
        impl FieldType for $Type {
            const IS: &'static str = $is;
        }

        impl FieldValue for $Type {
            fn json(&self) -> Value {
                serde_json::to_value(self).unwrap_or_default()
            }
        }
    )* };
}

plain! {
    bool = "boolean",
    f64 = "number",
    i32 = "integer",
    u32 = "integer",
    u64 = "integer",
    usize = "integer",
    Vec<u32> = "array of integer",
    Vec<u64> = "array of integer",
    Vec<String> = "array of string",
    Map<String, Value> = "object",
    CrashClass = "string",
    Level = "string",
    LogSource = "string",
    RecycleReason = "string",
}

/// Of those that are text.
macro_rules! text {
    ($( $Type:ty, $as_text:expr );* $(;)?) => { $(
        impl FieldType for $Type {
            const IS: &'static str = "string";
        }

        impl FieldValue for $Type {
            fn json(&self) -> Value {
                self.text().unwrap_or_default().into()
            }

            fn text(&self) -> Option<&str> {
                let as_text: for<'a> fn(&'a $Type) -> &'a str = $as_text;
                Some(as_text(self))
            }
        }
    )* };
}

text! {
    &'static str, |text| text;
    String, String::as_str;
    WorkerId, WorkerId::as_str;
}

impl FieldType for Device {
    const IS: &'static str = "string";
}

impl FieldValue for Device {
    fn json(&self) -> Value {
        self.to_string().into()
    }
}

impl FieldType for Duration {
    const IS: &'static str = "number";
}

/// In seconds.
impl FieldValue for Duration {
    fn json(&self) -> Value {
        self.as_secs_f64().into()
    }
}
