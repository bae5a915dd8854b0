//! Reads the body of a request, within bounds of size and time.

use std::time::Duration;

use axum::body::Body;
use bytes::Buf;
use hatchery::{Error, ErrorKind, Payload, Result};
use http_body_util::BodyExt;

use crate::bounded::TooLarge;

/// What the JSON of a call may weigh on the wire, too.
const LARGEST: usize = 64 << 20;

/// How long a client may take to send it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The whole body of a call, whatever it is.
pub(crate) async fn read(body: Body) -> Result<bytes::Bytes> {
    Ok(whole(body, LARGEST, PATIENCE).await?.into())
}

/// The arguments of a call: one JSON object. No body is no arguments.
pub(crate) async fn arguments(body: Body) -> Result<Payload> {
    let text = whole(body, LARGEST, PATIENCE).await?;
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

pub(crate) async fn whole(body: Body, largest: usize, patience: Duration) -> Result<Vec<u8>> {
    let late = |_| Error::new(ErrorKind::Deadline, format!("the body of the request was not here after {patience:?}"));
    tokio::time::timeout(patience, collected(body, largest)).await.map_err(late)?
}

/// Too large a body is read to its end, and dropped: a client that is still sending could not read our answer.
async fn collected(mut body: Body, largest: usize) -> Result<Vec<u8>> {
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
    match TooLarge::of(why) {
        Some(too_large) => Error::new(ErrorKind::Limit, too_large.to_string()),
        None => invalid(format!("read the body of the request: {why}")),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_too_large_is_a_limit_and_what_fits_is_not() {
        let read = async |bytes: usize| whole(Body::from(vec![b'x'; bytes]), 1 << 20, PATIENCE).await;
        assert_eq!(read(1 << 20).await.unwrap().len(), 1 << 20);
        let error = read((1 << 20) + 1).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Limit, "the body of the request: more than 1 MiB"));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = Body::new(http_body_util::StreamBody::new(Never));
        let error = whole(never, 1, Duration::ZERO).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
    }

    struct Never;

    impl futures_core::Stream for Never {
        type Item = Result<hyper::body::Frame<bytes::Bytes>, std::convert::Infallible>;

        fn poll_next(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Pending
        }
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
