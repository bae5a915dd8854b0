//! One value in an `Any`, whose type URL does not say what its bytes are.

use bytes::{Bytes, BytesMut};
use prost::encoding;

use super::{Any, json};

/// The URL of what is mostly not a `StringValue`.
const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";

/// The URL of what is never a `Value`.
const VALUE: &str = "type.googleapis.com/google.protobuf.Value";

/// What stands in an `Any`.
#[derive(Debug, PartialEq)]
pub(super) enum Content {
    /// JSON text.
    Json(Bytes),
    /// Neither JSON nor text.
    Bytes(Bytes),
    /// What claims to be JSON, and is not.
    Broken,
}

/// As the host writes values: JSON text, which stands for itself.
pub(super) fn bare(json: Bytes) -> Any {
    Any { type_url: STRING.to_owned(), value: json }
}

/// As workers write values: texts are packed; what is no text is JSON. Lists and objects, which workers write as Python would print
/// them, keep their types here.
pub(super) fn by_type(json: Bytes) -> Any {
    match json.first() {
        Some(b'"') => match serde_json::from_slice::<String>(&json) {
            Ok(text) => Any { type_url: STRING.to_owned(), value: packed(text) },
            // A text that UTF-8 cannot say is JSON that a receiver may judge.
            Err(_) => bare(json),
        },
        Some(b'{' | b'[' | b'n') | None => bare(json),
        Some(_) => Any { type_url: VALUE.to_owned(), value: json },
    }
}

/// Reads a parameter, of either side's writing. A packed text of nine digits is JSON as well, spaces and a number: packed goes first.
pub(super) fn read_parameter(any: Any) -> Content {
    let Any { type_url, value } = any;
    if let Some(json) = numbers_as_text(&type_url, &value) {
        return Content::Json(json);
    }
    if name(&type_url) != name(STRING) {
        return json::strict(&value).map_or(Content::Broken, Content::Json);
    }
    match unpacked(&value) {
        Some(text) => Content::Json(json::string(&text)),
        None => json::strict(&value).map(Content::Json).unwrap_or_else(|| text_or_bytes(value)),
    }
}

/// Reads a result, which nobody packs: JSON goes first. What is empty or absent is null.
pub(super) fn read_result(any: &Any) -> Content {
    if any.value.is_empty() {
        return Content::Json(Bytes::from_static(b"null"));
    }
    if let Some(json) = numbers_as_text(&any.type_url, &any.value) {
        return Content::Json(json);
    }
    let packed =
        || unpacked(&any.value).filter(|_| name(&any.type_url) == name(STRING)).map(|text| json::string(&text));
    json::strict(&any.value).or_else(packed).map_or(Content::Broken, Content::Json)
}

/// A float that JSON does not have is a text in it, which is no text: null, as everywhere.
fn numbers_as_text(type_url: &str, value: &[u8]) -> Option<Bytes> {
    let is_special = matches!(value.trim_ascii(), br#""NaN""# | br#""Infinity""# | br#""-Infinity""#);
    (is_special && name(type_url) == "float").then_some(Bytes::from_static(b"null"))
}

/// Of a URL, what decides: the last word.
fn name(type_url: &str) -> &str {
    type_url.rsplit(['/', '.']).next().unwrap_or_default()
}

/// A `StringValue` on the wire. An empty one is nothing at all.
fn packed(text: String) -> Bytes {
    if text.is_empty() {
        return Bytes::new();
    }
    let mut bytes = BytesMut::with_capacity(encoding::string::encoded_len(1, &text));
    encoding::string::encode(1, &text, &mut bytes);
    bytes.freeze()
}

/// The text, if these bytes are a `StringValue` and nothing else.
fn unpacked(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some(String::new());
    }
    let mut rest = bytes.strip_prefix(b"\x0a")?;
    let length = encoding::decode_varint(&mut rest).ok()?;
    let is_whole = usize::try_from(length).ok()? == rest.len();
    std::str::from_utf8(rest).ok().filter(|_| is_whole).map(str::to_owned)
}

fn text_or_bytes(value: Bytes) -> Content {
    match std::str::from_utf8(&value) {
        Ok(text) => Content::Json(json::string(text)),
        Err(_) => Content::Bytes(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holding(type_url: &str, value: &[u8]) -> Any {
        Any { type_url: type_url.to_owned(), value: Bytes::copy_from_slice(value) }
    }

    fn json(content: Content) -> String {
        match content {
            Content::Json(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => format!("{other:?}"),
        }
    }

    /// Lines of the specification that were seen on the wire.
    #[test]
    fn parameters_are_read_as_workers_and_hosts_write_them() {
        for (url, bytes, expected) in [
            (STRING, &b"\x0a\x03abc"[..], r#""abc""#),
            (STRING, b"\x0a\x08{'a': 1}", r#""{'a': 1}""#),
            (STRING, b"\x0a\x04None", r#""None""#),
            (STRING, b"", r#""""#),
            // A text of nine digits, whose length is a tab.
            (STRING, b"\x0a\x09123456789", r#""123456789""#),
            (STRING, b"\x0a\x09 123456789", "123456789"),
            (STRING, b"\x0a\x0a[1,2,3,4]", "[1,2,3,4]"),
            (STRING, br#"{"a":1}"#, r#"{"a":1}"#),
            (STRING, b"NaN", "null"),
            (STRING, b"{'a': 1}", r#""{'a': 1}""#),
            (STRING, b"\xff", r#"Bytes(b"\xff")"#),
            (VALUE, b"3", "3"),
            (VALUE, b"1.5", "1.5"),
            (VALUE, b"true", "true"),
            (VALUE, b"Infinity", "null"),
            (VALUE, b"{", "Broken"),
            ("", b"[1]", "[1]"),
        ] {
            assert_eq!(json(read_parameter(holding(url, bytes))), expected, "{bytes:?}");
        }
    }

    #[test]
    fn results_are_read_as_workers_and_hosts_write_them() {
        let worker = |kind: &str| format!("type.googleapis.com/snakepit.{kind}");
        for (url, bytes, expected) in [
            (worker("string"), &br#""None""#[..], r#""None""#),
            (worker("string"), br#""NaN""#, r#""NaN""#),
            (worker("float"), b"5.0", "5.0"),
            (worker("float"), br#""NaN""#, "null"),
            (worker("float"), br#" "-Infinity""#, "null"),
            (worker("list"), b"[NaN]", "[null]"),
            (worker("null"), b"", "null"),
            (worker("map"), b"{", "Broken"),
            (worker("map"), b"\x0a\x01a", "Broken"),
            (STRING.into(), b"{}", "{}"),
            (STRING.into(), b"\x0a\x09123456789", "123456789"),
            (STRING.into(), b"\x0a\x01a", r#""a""#),
            (STRING.into(), b"#Reference<0.1>", "Broken"),
        ] {
            assert_eq!(json(read_result(&holding(&url, bytes))), expected, "{bytes:?}");
        }
    }

    #[test]
    fn values_are_written_as_workers_do_but_lists_and_objects_stay_themselves() {
        assert_eq!(by_type("\"abc\"".into()), holding(STRING, b"\x0a\x03abc"));
        assert_eq!(by_type("\"\"".into()), holding(STRING, b""));
        assert_eq!(by_type("1.5".into()), holding(VALUE, b"1.5"));
        assert_eq!(by_type("true".into()), holding(VALUE, b"true"));
        assert_eq!(by_type("[1]".into()), holding(STRING, b"[1]"));
        assert_eq!(by_type("null".into()), holding(STRING, b"null"));
    }

    proptest! {
        #[test]
        fn a_text_of_a_worker_is_that_text_whatever_it_is(text in any::<String>()) {
            let written = holding(STRING, &packed(text.clone()));
            prop_assert_eq!(read_parameter(written), Content::Json(json::string(&text)));
        }

        #[test]
        fn digits_of_any_length_stay_text(text in "[0-9]{1,300}") {
            prop_assert_eq!(read_parameter(by_type(json::string(&text))), Content::Json(json::string(&text)));
        }

        #[test]
        fn bare_json_of_a_host_is_never_taken_for_packed(text in r#"(true|null|-?[1-9][0-9]{0,30}|"[a-z]{0,20}"|\[\]|\{\})"#) {
            let json = Bytes::from(text.into_bytes());
            prop_assert_eq!(read_parameter(bare(json.clone())), Content::Json(json));
        }

        #[test]
        fn any_bytes_are_read_somehow(url in "(.*StringValue|.*Value|snakepit.float|.*)", bytes: Vec<u8>) {
            let any = holding(&url, &bytes);
            let _some = (read_result(&any), read_parameter(any));
        }
    }
}
