//! Reads the body of a request whole. How long that may take, and how large any body may be, it is held to before
//! (`bounded.rs`).

use axum::body::Body;
use bytes::Buf;
use hatchery::{Error, ErrorKind, Payload, Result};
use http_body_util::BodyExt;

use crate::bounded::Beyond;

/// What the JSON of a call may weigh on the wire, too.
const LARGEST: usize = 64 << 20;

/// The whole body of a call, whatever it is.
pub(crate) async fn read(body: Body) -> Result<bytes::Bytes> {
    Ok(whole(body, LARGEST).await?.into())
}

/// The arguments of a call: one JSON object. No body is no arguments.
pub(crate) async fn arguments(body: Body) -> Result<Payload> {
    let text = whole(body, LARGEST).await?;
    let text = String::from_utf8(text).map_err(|why| invalid(format!("arguments: not UTF-8: {why}")))?;
    if text.trim_ascii().is_empty() {
        return Payload::from_json_text("{}");
    }
    let arguments = Payload::from_json_text(&text)?;
    if !arguments.is_object() {
        return Err(invalid(
            "arguments: expected a JSON object of arguments by name, like {\"text\": \"a b a\"}".into(),
        ));
    }
    Ok(arguments)
}

/// Too large a body is read to its end, and dropped: a client that is still sending could not read our answer.
pub(crate) async fn whole(mut body: Body, largest: usize) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| unread(&why))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.remaining();
        if length <= largest {
            text.extend_from_slice(&data);
        } else {
            text = Vec::new();
        }
    }
    if length > largest {
        return Err(Error::new(ErrorKind::Limit, format!("the body of the request: more than {} MiB", largest >> 20)));
    }
    Ok(text)
}

fn unread(why: &axum::Error) -> Error {
    Beyond::of(why).unwrap_or_else(|| invalid(format!("read the body of the request: {why}")))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_too_large_is_a_limit_and_what_fits_is_not() {
        let read = async |bytes: usize| whole(Body::from(vec![b'x'; bytes]), 1 << 20).await;
        assert_eq!(read(1 << 20).await.unwrap().len(), 1 << 20);
        let error = read((1 << 20) + 1).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Limit, "the body of the request: more than 1 MiB"));
    }

    #[tokio::test]
    async fn arguments_are_an_object_or_nothing() {
        assert_eq!(arguments(Body::empty()).await.unwrap().to_json_text().unwrap(), "{}");
        assert_eq!(arguments(Body::from(r#"{"b":1e400}"#)).await.unwrap().to_json_text().unwrap(), r#"{"b":1e400}"#);
        for wrong in ["[1]", "{", "{} {}", "null", "\u{0}"] {
            assert_eq!(arguments(Body::from(wrong)).await.unwrap_err().kind(), ErrorKind::Validation, "{wrong}");
        }
        assert_eq!(arguments(Body::from(&b"\xff"[..])).await.unwrap_err().kind(), ErrorKind::Validation);
    }
}
