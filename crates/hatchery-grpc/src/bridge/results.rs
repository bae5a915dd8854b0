//! What a tool returned: a worker's, under a URL of Snakepit's own, and a host tool's, under that of `StringValue`. Both are bare JSON,
//! and both may be bytes instead, with JSON beside that says what they are.
//!
//! A worker makes a float of an integer and a text of None; nothing here guesses at what it was.

use bytes::Bytes;
use hatchery::{Binary, BinaryValue, Error, ErrorKind, Payload, Result};
use serde_json::{Map, Value, json};

use super::any::{self, Content};
use super::binary::{self, Member};
use super::{Any, proto};

/// A result as it travels: the fields of an [`ExecuteToolResponse`](proto::ExecuteToolResponse) that have something of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Returned {
    /// JSON: the value, or what the bytes are.
    pub result: Option<Any>,
    /// If not empty, the value.
    pub binary_result: Bytes,
}

/// What was read of a [`Returned`].
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The value. Numbers that JSON does not have are null.
    pub payload: Payload,
    /// What stands beside a value that is bytes; `None` beside any other, and if it says nothing or is no JSON.
    pub about: Option<Value>,
}

/// Of what is no JSON, so much is kept in the error.
const KEPT: usize = 4096;

/// Reads a result. Bytes are an array if what stands beside them is `{"dtype": "<f4", "shape": [2, 3]}` and fits them.
///
/// # Errors
/// `protocol`, not to be tried again, if it is no JSON: `details` has the `type_url`, the `length` in bytes, and its begin as `raw`
/// (`{"$bytes": …}`, 4096 bytes at most).
pub fn read(returned: Returned) -> Result<Received> {
    let Returned { result, binary_result } = returned;
    let any = result.unwrap_or_default();
    let content = any::read_result(&any);
    if !binary_result.is_empty() {
        return read_binary(binary_result, content);
    }
    match content {
        Content::Json(json) => {
            let payload = binary::alone(Member::Json(json)).map_err(|error| broken(&any, error.message()))?;
            Ok(Received { payload, about: None })
        }
        _ => Err(broken(&any, "expected JSON")),
    }
}

/// A result of a host tool. A worker sees `{}` where it is bytes, unless its client looks at `binary_result`.
///
/// # Errors
/// `validation` if bytes or an array lie inside another value, with the path in the message and in `details.path`.
pub fn write(payload: &Payload) -> Result<Returned> {
    let value = match binary::whole(payload, "result")? {
        Member::Json(json) => return Ok(Returned { result: Some(any::bare(json)), binary_result: Bytes::new() }),
        Member::Binary(value) => value,
    };
    let (data, words) = binary::described(&value)?;
    if data.is_empty() {
        // Empty bytes are no bytes; their JSON form is read as what it stands for.
        return Ok(Returned { result: Some(any::bare(payload.to_json_text()?.into())), binary_result: data });
    }
    let about: Map<String, Value> =
        words.into_iter().map(|(word, said)| (word.to_owned(), json_or_text(said))).collect();
    Ok(Returned { result: Some(any::bare(Value::Object(about).to_string().into())), binary_result: data })
}

fn read_binary(data: Bytes, content: Content) -> Result<Received> {
    let about = match content {
        Content::Json(json) => serde_json::from_slice::<Value>(&json).ok(),
        _ => None,
    };
    let words: Vec<(&str, String)> = about.iter().flat_map(words).collect();
    let said = |wanted| words.iter().find(|(word, _)| *word == wanted).map(|(_, said)| said.as_str());
    let is_pickled = about.as_ref().is_some_and(|about| about.get("binary_format").is_some());
    let value = if is_pickled { BinaryValue::Bytes(data) } else { binary::restored(data, said) };
    let about = about.filter(|about| !about.is_null() && about.as_object().is_none_or(|about| !about.is_empty()));
    Ok(Received { payload: binary::alone(Member::Binary(value))?, about })
}

fn words(about: &Value) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    binary::WORDS.iter().filter_map(|word| about.get(word).map(|value| (*word, text(value)))).collect()
}

/// A shape is JSON, and stands as such where there is a place for JSON.
fn json_or_text(said: String) -> Value {
    serde_json::from_str(&said).ok().filter(Value::is_array).unwrap_or(Value::String(said))
}

fn broken(any: &Any, found: &str) -> Error {
    let raw = Binary(any.value.slice(..any.value.len().min(KEPT)));
    Error::new(
        ErrorKind::Protocol,
        format!("read a result of type {:?}, {} bytes: {found}", any.type_url, any.value.len()),
    )
    .with_retryable(false)
    .with_details(json!({ "type_url": any.type_url, "length": any.value.len(), "raw": raw }))
}

impl From<proto::ExecuteToolResponse> for Returned {
    fn from(response: proto::ExecuteToolResponse) -> Returned {
        Returned { result: response.result, binary_result: response.binary_result }
    }
}

impl From<proto::ExecuteElixirToolResponse> for Returned {
    fn from(response: proto::ExecuteElixirToolResponse) -> Returned {
        Returned { result: response.result, binary_result: response.binary_result }
    }
}

#[cfg(test)]
mod tests {
    use hatchery::Array;
    use proptest::prelude::*;

    use super::*;

    fn returned(kind: &str, json: &'static [u8], binary: &'static [u8]) -> Returned {
        let any = Any { type_url: format!("type.googleapis.com/snakepit.{kind}"), value: Bytes::from_static(json) };
        Returned { result: Some(any), binary_result: Bytes::from_static(binary) }
    }

    fn text(returned: Returned) -> String {
        read(returned).unwrap().payload.to_json_text().unwrap()
    }

    #[test]
    fn what_workers_return_is_read() {
        for (kind, json, expected) in [
            ("string", &br#""None""#[..], r#""None""#),
            ("float", b"5.0", "5.0"),
            ("float", b"1.5e-7", "1.5e-7"),
            ("float", br#""NaN""#, "null"),
            ("boolean", b"true", "true"),
            ("list", b"[1, 2]", "[1, 2]"),
            (
                "map",
                br#"{"n": 123456789012345678901234567890, "x": NaN}"#,
                r#"{"n": 123456789012345678901234567890, "x": null}"#,
            ),
            ("integer", b"7", "7"),
            ("null", b"null", "null"),
            ("string", b"", "null"),
        ] {
            assert_eq!(text(returned(kind, json, b"")), expected);
        }
        assert_eq!(text(Returned::default()), "null");
    }

    #[test]
    fn what_is_no_json_is_kept_in_the_error() {
        let error = read(returned("map", b"{\xff", b"")).unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Protocol, false));
        let details = error.details().unwrap();
        assert_eq!((&details["raw"], &details["length"]), (&json!({"$bytes": "e/8="}), &json!(2)));
        let wrong_form = read(returned("map", br#"{"$bytes": 5}"#, b"")).unwrap_err();
        assert_eq!(wrong_form.kind(), ErrorKind::Protocol, "{wrong_form}");
    }

    #[test]
    fn bytes_are_bytes_and_what_is_said_of_them_stands_beside() {
        let pickle = br#"{"shape": [2], "dtype": "<f4", "binary_format": "pickle"}"#;
        for (json, about) in [(&b"{}"[..], None), (b"", None), (b"?", None), (b"[1]", Some(json!([1])))] {
            let received = read(returned("map", json, b"hi")).unwrap();
            assert_eq!((received.payload.to_json().unwrap(), received.about), (json!({"$bytes": "aGk="}), about));
        }
        let received = read(returned("tensor.binary", pickle, &[0; 8])).unwrap();
        assert!(received.payload.decode::<Binary>().is_ok() && received.about.unwrap()["dtype"] == "<f4");
        let array = read(returned("map", br#"{"dtype": "<f4", "shape": [2]}"#, &[0; 8])).unwrap().payload;
        assert_eq!(array.decode::<Array>().unwrap().shape(), [2]);
    }

    #[test]
    fn a_host_s_result_is_what_was_returned() {
        let array = Array::from_slice(&[2], &[1u8, 2]).unwrap();
        let empty = Array::from_slice::<u8>(&[0], &[]).unwrap();
        for payload in [
            Payload::encode(&array),
            Payload::encode(&empty),
            Payload::encode(&Binary(Bytes::from_static(b"hi"))),
            Payload::encode(&Binary::default()),
            Payload::encode(&json!({"a": [1, null, "x"]})),
        ] {
            let payload = payload.unwrap();
            let received = read(write(&payload).unwrap()).unwrap();
            assert_eq!(received.payload.to_json().unwrap(), payload.to_json().unwrap());
        }
        let opaque = write(&Payload::encode(&Binary(Bytes::from_static(b"hi"))).unwrap()).unwrap();
        assert_eq!(opaque.result.unwrap().value, "{}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_result_or_an_error(url: String, json: Vec<u8>, binary: Vec<u8>) {
            let result = Some(Any { type_url: url, value: json.into() });
            match read(Returned { result, binary_result: binary.into() }) {
                Ok(received) => drop(write(&received.payload).unwrap()),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Protocol),
            }
        }
    }
}
