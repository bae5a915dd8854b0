//! Fields that hold the text of a JSON value, in messages that are read from documents which hold the value itself.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The value of a text; null if there is no text.
fn parsed<E: serde::ser::Error>(text: &Bytes) -> Result<Value, E> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(text).map_err(E::custom)
}

fn text(value: &Value) -> Bytes {
    value.to_string().into()
}

/// Present is what stands in the document, null too.
pub(crate) mod option {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer, Value, parsed, text};

    pub(crate) fn serialize<S: Serializer>(json: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        json.as_ref().map(parsed::<S::Error>).transpose()?.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        Ok(Some(text(&Value::deserialize(deserializer)?)))
    }
}

pub(crate) mod map {
    use std::collections::HashMap;

    use super::{Bytes, Deserialize, Deserializer, Serializer, Value, parsed, text};

    type Texts = HashMap<String, Bytes>;

    pub(crate) fn serialize<S: Serializer>(texts: &Texts, serializer: S) -> Result<S::Ok, S::Error> {
        let values: Result<Vec<_>, _> =
            texts.iter().map(|(name, json)| Ok((name, parsed::<S::Error>(json)?))).collect();
        serializer.collect_map(values?)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
        let values = HashMap::<String, Value>::deserialize(deserializer)?;
        Ok(values.into_iter().map(|(name, value)| (name, text(&value))).collect())
    }
}
