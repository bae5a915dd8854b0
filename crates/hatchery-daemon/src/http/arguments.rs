//! The arguments of a call, in the forms that they may have: a JSON object, parts of which one may be JSON, or bare bytes.

mod parts;

use std::hash::{BuildHasher, RandomState};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use hatchery::{BinaryValue, Error, ErrorKind, Payload, PayloadParts, Result};

use super::bare::{NPY, OCTETS};
use super::npy;
use crate::body;

/// Reads them, by what the request says that its body is. A body that says nothing of itself, or something that we do not know,
/// is JSON: `curl -d` calls it a form. `parameters` are those of the tool, if there is such a tool.
pub(super) async fn arguments(
    headers: &HeaderMap,
    body: Body,
    parameters: impl FnOnce() -> Result<Option<Vec<String>>>,
) -> Result<Payload> {
    let said = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str).transpose();
    let said = said.map_err(|_| invalid("content-type: expected ASCII"))?.unwrap_or_default();
    let media_type = said.split(';').next().unwrap_or_default().trim();
    let is = |other: &str| media_type.eq_ignore_ascii_case(other);
    match () {
        () if is("multipart/form-data") => parts::read(said, body::read(body).await?).await,
        () if is(OCTETS) => only(parameters()?, BinaryValue::Bytes(body::read(body).await?)),
        () if is(NPY) => only(parameters()?, BinaryValue::Array(npy::read(&body::read(body).await?)?)),
        () => body::arguments(body).await,
    }
}

/// A value that is the only argument. Of a tool that is not there, the pool says so itself.
fn only(parameters: Option<Vec<String>>, value: BinaryValue) -> Result<Payload> {
    let parameters = parameters.unwrap_or_default();
    match &parameters[..] {
        [] => Payload::from_json_text("{}"),
        [name] => with_values("{}", vec![(name.clone(), value)]),
        several => Err(invalid(format!(
            "a body that is one value is for a tool with one parameter; this one has {}: {}. Use multipart/form-data",
            several.len(),
            several.join(", ")
        ))),
    }
}

/// Adds values to a JSON object, by name. The rest of the text stays as it is.
fn with_values(object: &str, values: Vec<(String, BinaryValue)>) -> Result<Payload> {
    if values.is_empty() {
        return Payload::from_json_text(object);
    }
    // Nobody who writes the object can know it.
    let random = || format!("$part{:016x}", RandomState::new().hash_one(()));
    let mark = std::iter::repeat_with(random).find(|mark| !object.contains(mark.as_str())).unwrap_or_default();
    let references =
        values.iter().enumerate().map(|(index, (name, _))| format!("{}:{{\"{mark}\":{index}}}", quoted(name)));
    let references = references.collect::<Vec<_>>().join(",");
    let open = object.trim_ascii_end().strip_suffix('}').unwrap_or(object);
    let comma = if open.trim_ascii_start().trim_ascii_end() == "{" || references.is_empty() { "" } else { "," };
    let json = Bytes::from(format!("{open}{comma}{references}}}"));
    Payload::from_parts(PayloadParts { json, mark, values: values.into_iter().map(|(_, value)| value).collect() })
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Validation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> BinaryValue {
        BinaryValue::Bytes(Bytes::from_static(text.as_bytes()))
    }

    async fn given(media_type: &'static str, body: &'static str, parameters: &[&str]) -> Result<String> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        let parameters = parameters.iter().map(|&name| name.to_owned()).collect();
        arguments(&headers, Body::from(body), || Ok(Some(parameters))).await?.to_json_text()
    }

    #[test]
    fn values_are_added_and_the_rest_stays_as_it_is() {
        let added =
            |object: &str| with_values(object, vec![("a\"".into(), bytes("a"))]).unwrap().to_json_text().unwrap();
        assert_eq!(added(" { } "), "{ \"a\\\"\":{\"$bytes\":\"YQ==\"}}");
        assert_eq!(
            added("{\"n\": 1.50, \"$part0\": 1}"),
            "{\"n\": 1.50, \"$part0\": 1,\"a\\\"\":{\"$bytes\":\"YQ==\"}}"
        );
        assert_eq!(with_values("{\"n\":1}", vec![]).unwrap().to_json_text().unwrap(), "{\"n\":1}");
    }

    #[tokio::test]
    async fn a_body_of_bytes_is_the_only_argument() {
        assert_eq!(given(OCTETS, "a", &["data"]).await.unwrap(), "{\"data\":{\"$bytes\":\"YQ==\"}}");
        let error = given("application/octet-stream; x=y", "a", &["data", "n"]).await.unwrap_err();
        assert!(error.message().contains("this one has 2: data, n."), "{error}");
        assert!(given(NPY, "a", &["data"]).await.unwrap_err().message().starts_with("application/x-npy: "));
    }

    #[tokio::test]
    async fn whatever_else_a_body_says_of_itself_it_is_json() {
        for media_type in ["application/json", "application/x-www-form-urlencoded", "text/plain", "", ";;"] {
            assert_eq!(given(media_type, "{\"n\": 1}", &[]).await.unwrap(), "{\"n\": 1}", "{media_type}");
        }
    }
}
