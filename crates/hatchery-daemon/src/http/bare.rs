//! A result that is nothing but bytes, as those bytes.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hatchery::{BinaryValue, Payload};

use super::npy;

pub(super) const OCTETS: &str = "application/octet-stream";
pub(super) const NPY: &str = "application/x-npy";

/// The answer, if the client asks for bytes and the result is a single binary value of such a kind. Any other result is JSON,
/// which its answer says: the call was made, and to hide what came of it helps nobody.
pub(super) fn answer(result: &Payload, headers: &HeaderMap) -> Option<Response> {
    let accepted = Accepted::of(headers);
    if !accepted.octets && !accepted.npy {
        return None;
    }
    let (media_type, bytes) = match only_value(result)? {
        BinaryValue::Bytes(bytes) | BinaryValue::Arrow(bytes) if accepted.octets => (OCTETS, bytes),
        BinaryValue::Array(array) if accepted.npy => (NPY, npy::write(&array).into()),
        _ => return None,
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        // Whatever a tool returns, no browser is to take it for a page.
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Some((headers, bytes).into_response())
}

/// The value that the result is, if it is nothing else.
fn only_value(result: &Payload) -> Option<BinaryValue> {
    let mut parts = result.to_parts().ok()?;
    let reference: std::collections::BTreeMap<String, u64> = serde_json::from_slice(&parts.json).ok()?;
    let is_bare = reference.len() == 1 && reference.get(&parts.mark) == Some(&0) && parts.values.len() == 1;
    parts.values.pop().filter(|_| is_bare)
}

/// What the client names. `*/*` names nothing: the usual answer is JSON.
#[derive(Debug, PartialEq, Eq)]
struct Accepted {
    octets: bool,
    npy: bool,
}

impl Accepted {
    fn of(headers: &HeaderMap) -> Accepted {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let ranges: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
        let named = |wanted: &str| ranges.iter().any(|range| is_wanted(range, wanted));
        Accepted { octets: named(OCTETS), npy: named(NPY) }
    }
}

/// `;q=0` is a refusal (RFC 9110, 12.4.2).
fn is_wanted(range: &str, wanted: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
    let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse().ok());
    is_it && weight.unwrap_or(1.0) > 0.0
}

#[cfg(test)]
mod tests {
    use hatchery::{Array, Binary};
    use serde_json::json;

    use super::*;

    fn asked(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))])
    }

    #[test]
    fn bytes_are_bare_for_who_asks_for_them() {
        let bytes = Payload::encode(&Binary(b"\x00\xff"[..].into())).unwrap();
        let array = Payload::encode(&Array::from_slice(&[1], &[1u8]).unwrap()).unwrap();
        let both = "application/json;q=0.1, Application/Octet-Stream , application/x-npy";
        let is =
            |result: &Payload, accept| answer(result, &asked(accept)).map(|it| it.headers()["content-type"].clone());
        assert_eq!(is(&bytes, both).unwrap(), OCTETS);
        assert_eq!(is(&array, both).unwrap(), NPY);
        assert_eq!(is(&array, OCTETS), None, "which would say nothing of its shape");
        for accept in ["*/*", "application/json", "application/octet-stream;q=0", ""] {
            assert_eq!(is(&bytes, accept), None, "{accept}");
        }
    }

    #[test]
    fn what_is_more_than_bytes_is_json() {
        let bytes = Binary(b"a"[..].into());
        for value in [json!({ "data": bytes }), json!([bytes]), json!("a"), json!({}), json!({ "a": 0 })] {
            let result = Payload::encode(&value).unwrap();
            assert!(answer(&result, &asked(OCTETS)).is_none(), "{value}");
        }
    }
}
