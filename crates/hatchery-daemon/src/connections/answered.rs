//! The body of an answer on its way to the client: watched, so that it is known whether it is taken; in pieces, so that it
//! cannot leave that watch; and no longer than its client may have it.
//!
//! HTTP/2 hands over to the connection whatever it was given, as soon as the client has made room for one byte of it. An answer
//! that was given as a whole would lie there for as long as its client answers pings: nobody waits for it any more, and it is
//! counted as nobody's. The next piece goes only when there is room for all before it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::http::response::Parts;
use axum::http::{HeaderMap, Version, header};
use bytes::Bytes;
use hatchery::Error;
use hatchery_grpc::status;
use http_body::{Frame, SizeHint};
use tonic::Status;

use super::patience::Answer;
use crate::access::{Share, Standing};
use crate::counters::Content;
use crate::{event_stream, failure};

/// What one answer can have on the connection beyond what its client makes room for. HTTP/2 cuts what it sends into frames of
/// this size anyway.
const PIECE: usize = 16 << 10;

/// What an answer is held to.
pub(super) struct Held {
    /// That the client takes it.
    pub(super) answer: Answer,
    /// That the client is one who may have it; `None`: anybody may.
    pub(super) standing: Option<Standing>,
    /// Its share of the daemon, to the end of the answer.
    #[expect(dead_code, reason = "it is held, and given back with the answer")]
    pub(super) share: Option<Share>,
}

/// How a client is told that its answer is at an end before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    /// By the status in the trailers.
    Grpc,
    /// By an event.
    Event,
    /// By nothing more: what it has may be half of it.
    Cut,
}

/// An answer on its way.
pub(super) struct Answered {
    body: Content,
    /// What the connection was not yet given of the last frame.
    rest: Bytes,
    /// What it is given at once, at most.
    piece: usize,
    held: Held,
    parting: Parting,
}

impl Answered {
    pub(super) fn new(head: &Parts, body: Content, version: Version, held: Held) -> Answered {
        // HTTP/1.1 has one answer at a time, and that waits for the socket.
        let piece = if version == Version::HTTP_2 { PIECE } else { usize::MAX };
        Answered { body, rest: Bytes::new(), piece, held, parting: Parting::of(&head.headers) }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(self.poll_body(context)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(why)) => return Poll::Ready(Some(Err(why))),
                None => return Poll::Ready(None),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(self.piece));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(error) = self.held.standing.as_mut().and_then(Standing::lost) {
            return Poll::Ready(Some(self.part(&error)));
        }
        let frame = Pin::new(&mut self.body).poll_frame(context).map_err(axum::Error::new);
        match &mut self.held.standing {
            Some(standing) if frame.is_pending() => {
                let error = ready!(standing.poll_lost(context));
                Poll::Ready(Some(self.part(&error)))
            }
            _ => frame,
        }
    }

    /// Ends it here. What it waits for, a call or events, is given up.
    fn part(&mut self, error: &Error) -> Result<Frame<Bytes>, axum::Error> {
        (self.body, self.held.standing) = (Content::Left(Body::empty()), None);
        match self.parting {
            Parting::Grpc => Ok(Frame::trailers(trailers(&status::of(error)))),
            Parting::Event => Ok(Frame::data(event_stream::event("error", &failure::body(error)).into())),
            Parting::Cut => Err(axum::Error::new(error.clone())),
        }
    }
}

impl Parting {
    fn of(headers: &HeaderMap) -> Parting {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match () {
            () if kind.starts_with("application/grpc") => Parting::Grpc,
            () if kind.starts_with("text/event-stream") => Parting::Event,
            () => Parting::Cut,
        }
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.held.answer.is_asked();
        let frame = self.poll_piece(context);
        if let Poll::Ready(Some(Ok(_))) = &frame {
            self.held.answer.is_given();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper().and_then(|upper| upper.checked_add(rest)) {
            hint.set_upper(upper);
        }
        hint
    }
}

/// The status at the end of an answer whose head is out.
fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // What cannot be written in a header is left out, and a client takes its absence for an error, too.
    let _written = status.add_header(&mut trailers);
    trailers
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::response::Response;
    use http_body_util::BodyExt;

    use super::super::patience::Patience;
    use super::*;

    #[tokio::test]
    async fn an_answer_goes_in_pieces_and_is_what_it_was() {
        let text: Vec<u8> = (0..=255).cycle().take(2 * PIECE + 1).collect();
        let held = Held { answer: Arc::new(Patience::new()).answer(), standing: None, share: None };
        let (head, body) = Response::new(Body::from(text.clone())).into_parts();
        let mut answered = Answered::new(&head, Content::Left(body), Version::HTTP_2, held);
        let (mut pieces, mut left) = (Vec::new(), text.len());
        while left > 0 {
            assert!(!answered.is_end_stream() && answered.size_hint().exact() == Some(left as u64));
            let piece = answered.frame().await.unwrap().unwrap().into_data().unwrap();
            left -= piece.len();
            pieces.push(piece);
        }
        assert!(answered.is_end_stream() && answered.size_hint().exact() == Some(0));
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE, PIECE, 1]);
        assert_eq!(pieces.concat(), text);
    }
}
