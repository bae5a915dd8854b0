//! What a tool is, as data: the form of READY's `tools` on the wire and of every list of tools that people see.

use std::pin::Pin;

use futures_core::Stream;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::value::Payload;

/// What a tool that answers with a stream gives, item by item: after an error, nothing more. Dropped, it is stopped.
pub type ToolItems = Pin<Box<dyn Stream<Item = Result<Payload>> + Send>>;

/// One function that can be called by name, in a worker or in the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// The name to call it by: unique in its app, not empty, at most 256 bytes.
    pub name: String,
    /// What its author says about it; empty if nothing.
    #[serde(default)]
    pub doc: String,
    /// Whether it answers with a stream of items rather than with one value.
    #[serde(default)]
    pub streaming: bool,
    /// What it takes, in the order in which it is declared.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Whether it runs on the main thread of its worker, one such call at a time, where others run in threads.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub thread_sensitive: bool,
}

impl ToolSpec {
    /// A unary tool of this name, without documentation and parameters.
    pub fn new(name: impl Into<String>) -> ToolSpec {
        ToolSpec {
            name: name.into(),
            doc: String::new(),
            streaming: false,
            parameters: Vec::new(),
            thread_sensitive: false,
        }
    }
}

impl From<&str> for ToolSpec {
    fn from(name: &str) -> ToolSpec {
        ToolSpec::new(name)
    }
}

/// One parameter of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// The key in the arguments.
    pub name: String,
    /// The declared type in the spelling of the tool's language, like `list[str] | None`; empty if none is declared.
    #[serde(default, rename = "type")]
    pub type_name: String,
    /// Whether a call without it is refused.
    #[serde(default)]
    pub required: bool,
    /// What it is if the call leaves it out. `None` if there is no default, or one that JSON cannot say;
    /// `Some(Value::Null)` if the default is null.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// `"default": null` is a default, the key's absence is none; serde's own reading would take both for `None`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_of_null_is_not_the_absence_of_a_default() {
        let with: Parameter = serde_json::from_str(r#"{"name":"top","type":"int","default":null}"#).unwrap();
        let without: Parameter = serde_json::from_str(r#"{"name":"top","type":"int"}"#).unwrap();
        assert_eq!((with.default, without.default), (Some(Value::Null), None));
    }

    #[test]
    fn a_name_is_all_that_a_worker_must_say_of_a_tool() {
        let spec: ToolSpec = serde_json::from_str(r#"{"name":"ping"}"#).unwrap();
        assert_eq!(spec, ToolSpec::new("ping"));
    }
}
