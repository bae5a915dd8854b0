//! Arguments as `multipart/form-data`: one part `args` with JSON, and a part for each binary argument, by its name.

use axum::body::Body;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::header;
use bytes::Bytes;
use hatchery::{BinaryValue, Payload, Result};
use serde_json::value::RawValue;

use super::{invalid, npy, quoted, with_values};
use crate::http::bare::NPY;

/// More binary arguments than any tool has.
const MOST_PARTS: usize = 256;

/// What has come so far.
#[derive(Default)]
struct Arguments {
    /// `args`: a JSON object.
    object: Option<String>,
    /// Parts that are JSON values themselves.
    texts: Vec<(String, String)>,
    values: Vec<(String, BinaryValue)>,
}

/// Reads a body that is here. `said` is its content type, with the boundary.
pub(super) async fn read(said: &str, body: Bytes) -> Result<Payload> {
    let mut request = Request::builder().header(header::CONTENT_TYPE, said).body(Body::from(body)).map_err(wrong)?;
    // It was held to its limit when it was read.
    DefaultBodyLimit::disable().apply(&mut request);
    let mut parts = Multipart::from_request(request, &()).await.map_err(wrong)?;
    let mut arguments = Arguments::default();
    while let Some(part) = parts.next_field().await.map_err(misread)? {
        arguments.take(part).await?;
    }
    arguments.payload()
}

impl Arguments {
    async fn take(&mut self, part: Field<'_>) -> Result<()> {
        let name = part.name().unwrap_or_default().to_owned();
        let media_type = part.content_type().unwrap_or_default().to_ascii_lowercase();
        let bytes = part.bytes().await.map_err(misread)?;
        self.place(name, media_type.split(';').next().unwrap_or_default().trim(), bytes)
    }

    fn place(&mut self, name: String, media_type: &str, bytes: Bytes) -> Result<()> {
        if name.is_empty() {
            return Err(invalid("multipart/form-data: a part without a name"));
        }
        let count = self.texts.len() + self.values.len();
        if count == MOST_PARTS {
            return Err(invalid(format!("multipart/form-data: more than {MOST_PARTS} parts")));
        }
        if self.has(&name) {
            return Err(invalid(format!("multipart/form-data: two parts are called {name:?}")));
        }
        match (name.as_str(), media_type) {
            ("args", _) => self.object = Some(text(&name, &bytes)?),
            (_, "application/json") => self.texts.push((name.clone(), text(&name, &bytes)?)),
            (_, NPY) => self.values.push((name, BinaryValue::Array(npy::read(&bytes)?))),
            _ => self.values.push((name, BinaryValue::Bytes(bytes))),
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        let is_text = self.texts.iter().any(|(other, _)| other == name);
        is_text || self.values.iter().any(|(other, _)| other == name) || (name == "args" && self.object.is_some())
    }

    fn payload(self) -> Result<Payload> {
        let object = self.object.unwrap_or_else(|| "{}".to_owned());
        let keys: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(&object)
            .map_err(|why| invalid(format!("multipart/form-data: args: expected a JSON object: {why}")))?;
        let names = self.texts.iter().map(|(name, _)| name).chain(self.values.iter().map(|(name, _)| name));
        if let Some(twice) = names.into_iter().find(|&name| keys.contains_key(name)) {
            return Err(invalid(format!("multipart/form-data: {twice:?} is a key of args and a part of its own")));
        }
        with_values(&with_texts(&object, &self.texts), self.values)
    }
}

fn with_texts(object: &str, texts: &[(String, String)]) -> String {
    let open = object.trim_ascii().strip_suffix('}').unwrap_or(object);
    let entries = texts.iter().map(|(name, text)| format!("{}:{text}", quoted(name))).collect::<Vec<_>>().join(",");
    let comma = if entries.is_empty() || open.trim_ascii() == "{" { "" } else { "," };
    format!("{open}{comma}{entries}}}")
}

/// Of a part that is JSON.
fn text(name: &str, bytes: &[u8]) -> Result<String> {
    let failed = |why: String| invalid(format!("multipart/form-data: {name}: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|why| failed(format!("not UTF-8: {why}")))?;
    let value: &RawValue = serde_json::from_str(text).map_err(|why| failed(format!("read JSON: {why}")))?;
    Ok(value.get().to_owned())
}

fn misread(why: MultipartError) -> hatchery::Error {
    wrong(why.body_text())
}

fn wrong(why: impl std::fmt::Display) -> hatchery::Error {
    invalid(format!("multipart/form-data: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts with a name, a content type and what is in them.
    async fn given(parts: &[(&str, &str, &str)]) -> Result<String> {
        let part = |(name, media_type, text): &(&str, &str, &str)| {
            let media_type =
                if media_type.is_empty() { String::new() } else { format!("Content-Type: {media_type}\r\n") };
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{media_type}\r\n{text}\r\n")
        };
        let body = parts.iter().map(part).collect::<String>() + "--b--\r\n";
        read("multipart/form-data; boundary=b", body.into()).await?.to_json_text()
    }

    #[tokio::test]
    async fn parts_are_arguments_by_their_names() {
        let text = given(&[
            ("data", "application/octet-stream", "a"),
            ("args", "", "{\"n\": 1.50}"),
            ("options", "application/json", "[1]"),
            ("picture", "image/png", "b"),
        ]);
        let expected = r#"{"n": 1.50,"options":[1],"data":{"$bytes":"YQ=="},"picture":{"$bytes":"Yg=="}}"#;
        assert_eq!(text.await.unwrap(), expected);
        assert_eq!(given(&[("data", "", "a")]).await.unwrap(), r#"{"data":{"$bytes":"YQ=="}}"#);
        assert_eq!(given(&[("o", "application/json; charset=utf-8", "1")]).await.unwrap(), r#"{"o":1}"#);
    }

    #[tokio::test]
    async fn what_is_said_twice_or_wrongly_is_refused() {
        for (parts, said) in [
            (&[("a", "", "1"), ("a", "", "2")][..], "two parts are called \"a\""),
            (&[("args", "", "{}"), ("args", "", "{}")], "two parts are called \"args\""),
            (&[("args", "", "{\"a\": 1}"), ("a", "", "2")], "\"a\" is a key of args and a part of its own"),
            (&[("args", "", "[1]")], "expected a JSON object"),
            (&[("args", "", "{")], "args: read JSON"),
            (&[("o", "application/json", "{")], "o: read JSON"),
            (&[("x", "application/x-npy", "no")], "numpy.save"),
            (&[("", "", "1")], "without a name"),
        ] {
            let error = given(parts).await.unwrap_err();
            assert!(error.message().contains(said), "{parts:?}: {error}");
        }
        for (said, body) in [
            ("multipart/form-data", "--b--"),
            ("multipart/form-data; boundary=b", "no"),
            ("multipart/form-data; boundary=b", "--b\r\n"),
        ] {
            let error = read(said, Bytes::from_static(body.as_bytes())).await.unwrap_err();
            assert!(error.message().starts_with("multipart/form-data: "), "{error}");
        }
        let many: Vec<String> = (0..=MOST_PARTS).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &str, &str)> = many.iter().map(|name| (name.as_str(), "", "1")).collect();
        assert!(given(&many).await.unwrap_err().message().contains("more than 256 parts"));
    }
}
