//! A payload in parts, for carriers that have a place for binary values beside JSON.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::attachment::Attachment;
use super::serde_forms::{ARRAY, BYTES, on_device};
use super::{Array, Attachments, Payload, invalid, json, misread};
use crate::error::{Error, ErrorKind, Result};

/// What a [`Payload`] is made of. Nothing in it is encoded, and taking a payload apart copies nothing.
///
/// ```
/// use hatchery::{BinaryValue, Payload, PayloadParts};
///
/// let parts = PayloadParts {
///     json: r#"{"picture": {"$here": 0}}"#.into(),
///     mark: "$here".into(),
///     values: vec![BinaryValue::Bytes(b"\x89PNG"[..].into())],
/// };
/// assert_eq!(Payload::from_parts(parts)?.to_json_text()?, r#"{"picture": {"$bytes":"iVBORw=="}}"#);
/// # Ok::<(), hatchery::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PayloadParts {
    /// JSON text. Where a binary value stands in it, there is an object with exactly one key, the mark, whose value is an index
    /// into `values`.
    pub json: Bytes,
    /// The mark. Its sender chooses one that no key of its data is like. Empty if there are no values.
    pub mark: String,
    /// The binary values. Each is referred to at least once.
    pub values: Vec<BinaryValue>,
}

/// A binary value of a payload.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BinaryValue {
    /// Bytes without a shape.
    Bytes(Bytes),
    /// An array of numbers.
    Array(Array),
    /// An Arrow IPC stream.
    Arrow(Bytes),
}

impl Payload {
    /// Puts a payload together. JSON forms (`{"$bytes": …}`, `{"$array": …}`) in the text become binary values too.
    ///
    /// # Errors
    /// `validation` if the text is not JSON, if it refers to a value that is not there or does not refer to one that is, or if
    /// such a form is not well made.
    pub fn from_parts(parts: PayloadParts) -> Result<Payload> {
        let PayloadParts { json, mark, values } = parts;
        let raw = serde_json::from_slice::<&RawValue>(&json).map_err(|error| invalid(format!("read JSON: {error}")))?;
        if values.is_empty() && !json::has_forms(raw.get()) {
            let text = json.slice_ref(raw.get().as_bytes());
            return Ok(Payload { json: text, attachments: Attachments::default() });
        }
        check_mark(&mark, values.len())?;
        let mut items: Vec<Attachment> = values.into_iter().map(Attachment::from).collect();
        // Without values there is nothing to refer to, whatever the mark.
        let text = match items.is_empty() {
            true => json::lift(raw.get().to_owned(), &mut items)?,
            false => json::adopt(raw.get(), &mark, &mut items)?,
        };
        Ok(Payload { json: text.into(), attachments: Attachments::ours(items) })
    }

    /// Takes it apart.
    ///
    /// # Errors
    /// `protocol` if a worker sent something that is not JSON; `validation` if a value lies on a device, where no other program
    /// reaches it.
    pub fn to_parts(&self) -> Result<PayloadParts> {
        let _checked: &RawValue = serde_json::from_slice(&self.json).map_err(|error| misread(&error, "JSON"))?;
        let values = self.attachments.items().iter().map(BinaryValue::of).collect::<Result<_>>()?;
        Ok(PayloadParts { json: self.json.clone(), mark: self.attachments.mark().to_owned(), values })
    }
}

impl BinaryValue {
    fn of(item: &Attachment) -> Result<BinaryValue> {
        match item {
            Attachment::Bytes(data) => Ok(BinaryValue::Bytes(data.clone())),
            Attachment::Array(array) => Ok(BinaryValue::Array(array.clone())),
            Attachment::Arrow(data) => Ok(BinaryValue::Arrow(data.clone())),
            Attachment::Device(array) => Err(Error::new(ErrorKind::Validation, on_device(array))),
        }
    }
}

impl From<BinaryValue> for Attachment {
    fn from(value: BinaryValue) -> Attachment {
        match value {
            BinaryValue::Bytes(data) => Attachment::Bytes(data),
            BinaryValue::Array(array) => Attachment::Array(array),
            BinaryValue::Arrow(data) => Attachment::Arrow(data),
        }
    }
}

/// A mark that is the key of a form would make each form a reference.
fn check_mark(mark: &str, values: usize) -> Result<()> {
    match mark {
        "" if values > 0 => Err(invalid(format!("{values} attachments, and no mark that refers to them"))),
        BYTES | ARRAY => Err(invalid(format!("the mark {mark}: it has a meaning of its own; choose another"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(json: &str, mark: &str, values: &[&'static str]) -> PayloadParts {
        let values = values.iter().map(|text| BinaryValue::Bytes(Bytes::from_static(text.as_bytes()))).collect();
        PayloadParts { json: Bytes::copy_from_slice(json.as_bytes()), mark: mark.into(), values }
    }

    #[test]
    fn what_is_put_together_comes_apart_the_same_under_another_mark() {
        let image = Array::from_slice(&[2], &[1u16, 2]).unwrap();
        let values = vec![BinaryValue::Array(image), BinaryValue::Arrow("a".into()), BinaryValue::Bytes("b".into())];
        let sent = PayloadParts { json: r#"[{"m":2},{"m":0},{"m":1},{"m":2}]"#.into(), mark: "m".into(), values };
        let came = Payload::from_parts(sent.clone()).unwrap().to_parts().unwrap();
        assert_eq!(came.values, sent.values);
        let text = String::from_utf8(came.json.to_vec()).unwrap();
        assert_eq!(text.replace(&came.mark, "m"), sent.json);
    }

    #[test]
    fn text_without_values_is_kept_as_it_is_and_not_copied() {
        let sent = parts(" {\"n\": 123456789012345678901234567890} ", "", &[]);
        let payload = Payload::from_parts(sent.clone()).unwrap();
        assert_eq!(payload.json().as_ptr(), sent.json[1..].as_ptr());
        assert_eq!(payload.to_json_text().unwrap(), r#"{"n": 123456789012345678901234567890}"#);
    }

    #[test]
    fn forms_and_references_may_stand_in_one_text() {
        let payload = Payload::from_parts(parts(r#"[{"$bytes": "AA=="}, {"m": 0}]"#, "m", &["b"])).unwrap();
        assert_eq!(payload.to_json_text().unwrap(), r#"[{"$bytes":"AA=="}, {"$bytes":"Yg=="}]"#);
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        for (json, mark, said) in [
            ("{", "m", "read JSON"),
            (r#"{"m":1}"#, "m", "expected the number of one of the 1 attachments, from 0, found 1"),
            (r#"{"m":-1}"#, "m", "found -1"),
            (r#"{"m":"0"}"#, "m", "found \"0\""),
            (r#"{"m":0,"n":0}"#, "m", "no object {\"m\": 0} in the JSON refers to it"),
            (r#"{"":0}"#, "", "no mark that refers to them"),
            (r#"{"$bytes":0}"#, "$bytes", "choose another"),
        ] {
            let error = Payload::from_parts(parts(json, mark, &["b"])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Validation, "{json}");
            assert!(error.message().contains(said), "{error}");
        }
    }
}
