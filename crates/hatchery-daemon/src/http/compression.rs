//! Answers that are long and text are compressed for clients that ask for it, with gzip, which every client knows. To a client
//! that refuses everything else, an answer as it is says more than none: the call was made.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::bare::{NPY, OCTETS};

/// A shorter one would hardly get shorter.
const LEAST: u64 = 1024;

/// The answer to a client that asks for gzip.
pub(super) fn compressed(answer: Response) -> Response {
    if !is_worthwhile(&answer) {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    Response::from_parts(head, Body::new(Gzip::new(body)))
}

/// Not events, as each is to leave at once; not binary values, which are dense already.
fn is_worthwhile(answer: &Response) -> bool {
    let media_type = answer.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_other = |other: &str| !media_type.starts_with(other.as_bytes());
    is_long(answer) && ["text/event-stream", OCTETS, NPY].into_iter().all(is_other)
}

fn is_long(answer: &Response) -> bool {
    let said = answer.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    said.or_else(|| answer.body().size_hint().exact()).is_none_or(|length| length >= LEAST)
}

/// A body, compressed as it comes.
struct Gzip {
    body: Body,
    /// `None` once the last of it is out.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Gzip {
    fn new(body: Body) -> Gzip {
        Gzip { body, encoder: Some(GzEncoder::new(Vec::new(), Compression::default())) }
    }

    /// What is ready of it once this much more is known; `None`: the body is at its end.
    fn take(&mut self, more: Option<&[u8]>) -> io::Result<Bytes> {
        match (&mut self.encoder, more) {
            (Some(encoder), Some(data)) => {
                encoder.write_all(data)?;
                Ok(std::mem::take(encoder.get_mut()).into())
            }
            (encoder, _) => encoder.take().map_or(Ok(Bytes::new()), |encoder| Ok(encoder.finish()?.into())),
        }
    }
}

impl HttpBody for Gzip {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.encoder.is_some() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()?;
            let data = frame.map(|frame| frame.into_data().unwrap_or_default());
            let ready = self.take(data.as_deref()).map_err(axum::Error::new)?;
            if !ready.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(ready))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Read;

    use axum::response::IntoResponse;
    use flate2::read::GzDecoder;
    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;

    async fn unpacked(answer: Response) -> String {
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(!answer.headers().contains_key(header::CONTENT_LENGTH));
        let packed = answer.into_body().collect().await.unwrap().to_bytes();
        let mut text = String::new();
        GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        text
    }

    #[tokio::test]
    async fn a_body_is_what_it_was_however_it_comes() {
        let text: String = (0..50_000).map(|number| number.to_string()).collect();
        assert_eq!(unpacked(compressed(text.clone().into_response())).await, text);
        let pieces: Vec<_> =
            text.as_bytes().chunks(1000).map(Bytes::copy_from_slice).map(Ok::<_, Infallible>).collect();
        let streamed = Response::new(Body::from_stream(stream::iter(pieces)));
        assert_eq!(unpacked(compressed(streamed)).await, text);
    }

    #[test]
    fn what_is_short_or_dense_or_events_is_left_as_it_is() {
        let long = "a".repeat(1024);
        let as_kind = |kind: &'static str| ([(header::CONTENT_TYPE, kind)], long.clone()).into_response();
        let is_packed = |answer| compressed(answer).headers().contains_key(header::CONTENT_ENCODING);
        assert!(is_packed(as_kind("application/json")));
        assert!(!is_packed("a".repeat(1023).into_response()));
        for kind in ["text/event-stream", OCTETS, NPY] {
            assert!(!is_packed(as_kind(kind)), "{kind}");
        }
    }
}
