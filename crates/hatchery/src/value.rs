//! Values on their way to and from workers: JSON text that is passed on unread where it can be, and binary values beside
//! it.

mod array;
mod arrow;
mod attachment;
mod handle;
mod json;
mod marker;
mod parts;
#[cfg(feature = "ndarray")]
mod ndarray;
mod serde_forms;
mod splice;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind, Result};

pub use array::{Array, Binary, Element, Number};
pub use arrow::ArrowStream;
#[cfg(test)]
pub(crate) use attachment::DeviceArray;
pub(crate) use attachment::{Attachment, Attachments, Laid, ON_DEVICE, Place, Places, Shelf, TableError};
pub use handle::Handle;
pub use marker::{UnserializableInfo, is_unserializable, unserializable_info};
pub use parts::{BinaryValue, PayloadParts};

/// The arguments or the result of a call: JSON, and the binary values that it refers to.
///
/// A result is kept as the bytes that the worker sent until somebody asks what is in it.
///
/// ```
/// use hatchery::{Array, Payload};
/// use serde_json::json;
///
/// let image = Array::from_slice(&[2], &[1u8, 2])?;
/// let payload = Payload::encode(&json!({ "image": image, "name": "a" }))?;
/// assert_eq!(payload.to_json()?["image"]["$array"]["dtype"], "|u1");
/// # Ok::<(), hatchery::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Payload {
    json: Bytes,
    attachments: Attachments,
}

impl Payload {
    /// Takes a value apart. [`Array`] and [`Binary`] anywhere inside become attachments, uncopied; so do the JSON forms
    /// `{"$bytes": …}` and `{"$array": …}` that they have elsewhere, such as in `json!({ "image": array })`.
    ///
    /// # Errors
    /// `validation`, if the value cannot be JSON (a map whose keys are not text), or such a form is not well made.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload> {
        let (text, mut items) = serde_forms::collecting(|| serde_json::to_string(value));
        let text = text.map_err(|error| invalid(format!("turn a value into JSON: {error}")))?;
        let text = json::lift(text, &mut items)?;
        Ok(Payload { json: text.into(), attachments: Attachments::ours(items) })
    }

    /// Like [`Payload::encode`], for a value that is JSON already.
    ///
    /// # Errors
    /// `validation`, if a `{"$bytes": …}` or `{"$array": …}` in it is not well made.
    pub fn from_json(value: serde_json::Value) -> Result<Payload> {
        Payload::encode(&value)
    }

    /// Like [`Payload::from_json`], for JSON text. It is checked and passed on as it is: big integers, the order of
    /// keys, and spaces are kept.
    ///
    /// # Errors
    /// `validation`, if it is not JSON, or a `{"$bytes": …}` or `{"$array": …}` in it is not well made.
    pub fn from_json_text(text: &str) -> Result<Payload> {
        let text = serde_json::from_str::<&RawValue>(text).map_err(|error| invalid(format!("read JSON: {error}")))?;
        let mut items = Vec::new();
        let text = json::lift(text.get().to_owned(), &mut items)?;
        Ok(Payload { json: text.into(), attachments: Attachments::ours(items) })
    }

    /// JSON's null.
    pub(crate) fn null() -> Payload {
        Payload { json: Bytes::from_static(b"null"), attachments: Attachments::default() }
    }

    /// What came from a worker, unread.
    pub(crate) fn received(json: Bytes, attachments: Attachments) -> Payload {
        Payload { json, attachments }
    }

    /// Puts the value together as a Rust type. Binary values become [`Array`] and [`Binary`] where the type has them,
    /// sharing the memory that was received, and their JSON forms where it has a [`serde_json::Value`].
    ///
    /// # Errors
    /// `validation`, if the value does not fit the type; `protocol`, if it is not JSON at all.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        let value = if self.attachments.is_empty() {
            serde_json::from_slice(&self.json)
        } else {
            serde_forms::drawing_from(&self.attachments, || splice::from_slice(&self.json, &self.attachments))
        };
        value.map_err(|error| misread(&error, std::any::type_name::<T>()))
    }

    /// The value as JSON. Binary values are in their JSON forms.
    ///
    /// # Errors
    /// `protocol`, if the worker sent something that is not JSON.
    pub fn to_json(&self) -> Result<serde_json::Value> {
        self.decode()
    }

    /// The value as JSON text: what was sent, letter for letter, except that binary values are in their JSON forms. So
    /// big integers and the order of keys are kept, which [`Payload::to_json`] may not.
    ///
    /// # Errors
    /// `protocol`, if the worker sent something that is not JSON.
    pub fn to_json_text(&self) -> Result<String> {
        let raw: &RawValue = serde_json::from_slice(&self.json).map_err(|error| misread(&error, "JSON"))?;
        if self.attachments.is_empty() { Ok(raw.get().to_owned()) } else { json::expand(raw.get(), &self.attachments) }
    }

    /// Whether the value is an object, as the arguments of a call must be.
    pub fn is_object(&self) -> bool {
        self.json.trim_ascii_start().starts_with(b"{")
    }

    /// The JSON text as serde knows it, marks and all. `None` if it is not JSON.
    pub(crate) fn as_raw(&self) -> Option<&RawValue> {
        serde_json::from_slice(&self.json).ok()
    }

    /// The JSON, in which marks stand for the attachments.
    pub(crate) fn json(&self) -> &Bytes {
        &self.json
    }

    /// Its bytes, those of its values included.
    pub(crate) fn weight(&self) -> u64 {
        let values = self.attachments.items().iter().map(|value| value.data().len() as u64);
        self.json.len() as u64 + values.sum::<u64>()
    }

    pub(crate) fn attachments(&self) -> &Attachments {
        &self.attachments
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let begin = &self.json[..self.json.len().min(200)];
        f.debug_struct("Payload")
            .field("json", &String::from_utf8_lossy(begin))
            .field("bytes", &self.json.len())
            .field("attachments", &self.attachments.items().len())
            .finish()
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}

/// JSON of another shape is the asker's mistake; what is no JSON is the worker's.
fn misread(error: &serde_json::Error, wanted: &str) -> Error {
    let kind = if error.is_data() { ErrorKind::Validation } else { ErrorKind::Protocol };
    Error::new(kind, format!("read a value as {wanted}: {error}")).with_retryable(false)
}

#[cfg(test)]
mod tests;
