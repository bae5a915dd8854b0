//! A stream as server-sent events: `chunk` with the chunk, then `end` with an empty object or `error` with `{"error": ...}`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use hatchery::{Payload, PayloadStream, Result};

use crate::failure;

/// The answer whose body asks for a chunk when the client has taken those before it. Dropping the body cancels the call.
pub(crate) fn answer(first: Option<Payload>, chunks: PayloadStream) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(Events { first, chunks: Some(chunks) })).into_response()
}

struct Events {
    /// It was waited for before there was an answer. Absent later, and for a stream without chunks, which then ends.
    first: Option<Payload>,
    /// `None` once the last event is out.
    chunks: Option<PayloadStream>,
}

impl Stream for Events {
    type Item = Result<String, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let events = self.get_mut();
        let Some(chunks) = &mut events.chunks else { return Poll::Ready(None) };
        let chunk = match events.first.take() {
            Some(first) => Some(Ok(first)),
            None => ready!(Pin::new(chunks).poll_next(context)),
        };
        let (event, is_last) = told(chunk);
        if is_last {
            events.chunks = None;
        }
        Poll::Ready(Some(Ok(event)))
    }
}

/// The event, and whether it is the last.
fn told(chunk: Option<Result<Payload>>) -> (String, bool) {
    match chunk.map(|chunk| chunk?.to_json_text()) {
        Some(Ok(text)) => (event("chunk", &text), false),
        Some(Err(error)) => (event("error", &failure::body(&error)), true),
        None => (event("end", "{}"), true),
    }
}

/// A line end within the text begins another line of data; between the tokens of JSON it means nothing.
pub(crate) fn event(name: &str, json: &str) -> String {
    let data: String = json.split(['\r', '\n']).map(|line| format!("data: {line}\n")).collect();
    format!("event: {name}\n{data}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_name_and_lines_of_data() {
        assert_eq!(event("chunk", "3"), "event: chunk\ndata: 3\n\n");
        assert_eq!(event("chunk", "[1,\r\n2]"), "event: chunk\ndata: [1,\ndata: \ndata: 2]\n\n");
    }

    #[test]
    fn the_last_event_is_an_end_or_an_error() {
        let error = hatchery::Error::new(hatchery::ErrorKind::Remote, "no");
        let (text, is_last) = told(Some(Err(error)));
        assert_eq!(
            text,
            "event: error\ndata: {\"error\":{\"kind\":\"remote\",\"message\":\"no\",\"retryable\":false}}\n\n"
        );
        assert!(is_last);
        assert_eq!(told(None), ("event: end\ndata: {}\n\n".into(), true));
    }
}
