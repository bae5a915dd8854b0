//! Binary values: there is a place for them where they are a whole parameter, a whole result or a whole chunk, and nowhere below.
//!
//! Bytes travel as they are. So do the bytes of an array (C order, little-endian) and of an Arrow stream, with words beside that say
//! what they are: `dtype` (NumPy's, like `<f4`) and `shape` (JSON, like `[2,3]`), or `kind`, `arrow`.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};

use bytes::Bytes;
use hatchery::{Array, BinaryValue, Error, ErrorKind, Payload, PayloadParts, Result};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a carrier has a place for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Member {
    /// JSON text, without binary values.
    Json(Bytes),
    Binary(BinaryValue),
}

/// The words for what bytes are.
pub(super) type Words = BTreeMap<&'static str, String>;

const DTYPE: &str = "dtype";
const SHAPE: &str = "shape";
const KIND: &str = "kind";
const ARROW: &str = "arrow";

/// The words that there are.
pub(super) const WORDS: [&str; 3] = [DTYPE, SHAPE, KIND];

/// The members of an object, such as the arguments of a call.
///
/// # Errors
/// `validation` if it is no object, or a binary value is below a member, with its path.
pub(super) fn members(payload: &Payload) -> Result<BTreeMap<String, Member>> {
    let parts = payload.to_parts()?;
    let members: HashMap<String, &RawValue> = serde_json::from_slice(&parts.json)
        .map_err(|why| invalid(format!("arguments for a Snakepit worker: expected a JSON object: {why}")))?;
    let split = |(name, raw): (String, &RawValue)| Ok((name.clone(), member(&parts, raw, &name)?));
    members.into_iter().map(split).collect()
}

/// A payload that is one value. `what` it is begins the path.
///
/// # Errors
/// `validation` if a binary value is below it, with its path.
pub(super) fn whole(payload: &Payload, what: &str) -> Result<Member> {
    let parts = payload.to_parts()?;
    let raw: &RawValue = serde_json::from_slice(&parts.json).map_err(|why| invalid(format!("{what}: {why}")))?;
    member(&parts, raw, what)
}

/// The object of these members.
pub(super) fn object(members: BTreeMap<String, Member>) -> Result<Payload> {
    let (mut json, mark, mut values) = (Vec::from(*b"{"), mark(), Vec::new());
    for (name, member) in members {
        if json.len() > 1 {
            json.push(b',');
        }
        json.extend_from_slice(&super::json::string(&name));
        json.push(b':');
        match member {
            Member::Json(text) => json.extend_from_slice(&text),
            Member::Binary(value) => {
                json.extend_from_slice(reference(&mark, values.len()).as_bytes());
                values.push(value);
            }
        }
    }
    json.push(b'}');
    Payload::from_parts(PayloadParts { json: json.into(), mark, values })
}

/// The payload that is this one value.
pub(super) fn alone(member: Member) -> Result<Payload> {
    let mark = mark();
    let parts = match member {
        Member::Json(json) => PayloadParts { json, ..PayloadParts::default() },
        Member::Binary(value) => PayloadParts { json: reference(&mark, 0).into(), mark, values: vec![value] },
    };
    Payload::from_parts(parts)
}

/// The bytes of a value, and the words for what they are.
pub(super) fn described(value: &BinaryValue) -> Result<(Bytes, Words)> {
    match value {
        BinaryValue::Bytes(data) => Ok((data.clone(), Words::new())),
        BinaryValue::Arrow(data) => Ok((data.clone(), Words::from([(KIND, ARROW.to_owned())]))),
        BinaryValue::Array(array) => {
            let shape = Value::from(array.shape().to_vec()).to_string();
            let words = Words::from([(DTYPE, array.dtype().to_owned()), (SHAPE, shape)]);
            Ok((array.data().clone(), words))
        }
        _ => Err(invalid("a kind of binary value that Snakepit has no words for".to_owned())),
    }
}

/// The value of bytes with such words: bytes, if the words are none of ours or do not fit.
pub(super) fn restored<'w>(data: Bytes, word: impl Fn(&'static str) -> Option<&'w str>) -> BinaryValue {
    if word(KIND) == Some(ARROW) {
        return BinaryValue::Arrow(data);
    }
    let shape = word(SHAPE).and_then(|shape| serde_json::from_str::<Vec<usize>>(shape).ok());
    let array = word(DTYPE).zip(shape).and_then(|(dtype, shape)| Array::new(dtype, shape, data.clone()).ok());
    array.map_or(BinaryValue::Bytes(data), BinaryValue::Array)
}

fn member(parts: &PayloadParts, raw: &RawValue, path: &str) -> Result<Member> {
    let text = raw.get();
    // An escaped mark is a mark.
    if parts.values.is_empty() || !(text.contains(&parts.mark) || text.contains('\\')) {
        return Ok(Member::Json(parts.json.slice_ref(text.as_bytes())));
    }
    let value: Value = serde_json::from_str(text).map_err(|why| invalid(format!("{path}: {why}")))?;
    if let Some(index) = referred(&value, &parts.mark) {
        let found = usize::try_from(index).ok().and_then(|index| parts.values.get(index));
        return found.cloned().map(Member::Binary).ok_or_else(|| invalid(format!("{path}: no attachment {index}")));
    }
    match below(&value, &parts.mark) {
        Some(rest) => Err(misplaced(&format!("{path}{rest}"))),
        None => Ok(Member::Json(parts.json.slice_ref(text.as_bytes()))),
    }
}

/// What a reference refers to.
fn referred(value: &Value, mark: &str) -> Option<u64> {
    value.as_object().filter(|object| object.len() == 1)?.get(mark)?.as_u64()
}

/// The path of the first reference in a value.
fn below(value: &Value, mark: &str) -> Option<String> {
    if referred(value, mark).is_some() {
        return Some(String::new());
    }
    match value {
        Value::Object(object) => {
            object.iter().find_map(|(name, value)| below(value, mark).map(|rest| format!(".{name}{rest}")))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, value)| below(value, mark).map(|rest| format!("[{index}]{rest}"))),
        _ => None,
    }
}

/// Nobody knows it before, so nothing in what was received is taken for a reference.
fn mark() -> String {
    format!("$bridge:{:016x}", RandomState::new().build_hasher().finish())
}

fn reference(mark: &str, index: usize) -> String {
    format!("{{\"{mark}\":{index}}}")
}

fn misplaced(path: &str) -> Error {
    let found = "bytes or an array inside another value, which Snakepit has no place for";
    invalid(format!("`{path}`: {found}; pass them as a value of their own"))
        .with_details(serde_json::json!({ "path": path }))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_lies_deeper_is_named_by_its_path() {
        let bytes = json!({"$bytes": "AA=="});
        for (value, path) in [
            (json!({"a": {"b": [1, bytes]}}), "a.b[1]"),
            (json!({"ok": bytes, "list": [bytes]}), "list[0]"),
            (json!({"x\"y": {"\\": bytes}}), "x\"y.\\"),
        ] {
            let error = members(&Payload::from_json(value).unwrap()).unwrap_err();
            assert_eq!(
                (error.kind(), error.details()),
                (ErrorKind::Validation, Some(&json!({"path": path}))),
                "{error}"
            );
            assert!(error.message().contains(&format!("`{path}`")), "{error}");
        }
        let error = whole(&Payload::from_json(json!([bytes])).unwrap(), "result").unwrap_err();
        assert!(error.message().starts_with("`result[0]`"), "{error}");
    }

    #[test]
    fn members_are_slices_of_the_text_and_keep_their_letters() {
        let text = r#" {"n" : 123456789012345678901234567890 , "u\u006e":  [1 ,2], "n": 1.50} "#;
        let members = members(&Payload::from_json_text(text).unwrap()).unwrap();
        let expected = BTreeMap::from([("n", "1.50"), ("un", "[1 ,2]")]);
        let expected = expected.into_iter().map(|(name, text)| (name.to_owned(), Member::Json(text.into()))).collect();
        assert_eq!(members, expected);
    }

    #[test]
    fn words_that_do_not_fit_leave_bytes_bytes() {
        let words = |dtype: &'static str, shape: &'static str| {
            restored(Bytes::from_static(&[0; 8]), |word| {
                (word != KIND).then_some(if word == DTYPE { dtype } else { shape })
            })
        };
        assert!(matches!(words("<f4", "[2]"), BinaryValue::Array(_)));
        for (dtype, shape) in [("float32", "[2]"), ("<f4", "[3]"), ("<f4", "2"), ("<f4", "[-2]"), ("|O", "[1]")] {
            assert!(matches!(words(dtype, shape), BinaryValue::Bytes(_)), "{dtype} {shape}");
        }
    }

    #[test]
    fn arguments_that_are_no_object_are_refused() {
        let error = members(&Payload::from_json(json!([1])).unwrap()).unwrap_err();
        assert!(error.message().contains("expected a JSON object"), "{error}");
    }
}
