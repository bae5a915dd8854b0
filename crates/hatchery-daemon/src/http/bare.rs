//! A result that is nothing but bytes, as those bytes.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hatchery::{BinaryValue, Payload};

use super::{accept, npy};

pub(super) const OCTETS: &str = "application/octet-stream";
pub(super) const NPY: &str = "application/x-npy";

/// The answer, if the client asks for bytes and the result is a single binary value of such a kind. Any other result is JSON,
/// which its answer says: the call was made, and to hide what came of it helps nobody.
pub(super) fn answer(result: &Payload, headers: &HeaderMap) -> Option<Response> {
    // `*/*` names nothing: the usual answer is JSON.
    let [octets, npy] = [OCTETS, NPY].map(|media_type| accept::names(headers, header::ACCEPT, media_type));
    if !octets && !npy {
        return None;
    }
    let (media_type, bytes) = match only_value(result)? {
        BinaryValue::Bytes(bytes) | BinaryValue::Arrow(bytes) if octets => (OCTETS, bytes),
        BinaryValue::Array(array) if npy => (NPY, npy::write(&array).into()),
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
