//! The body of a request, up to what a client may send. A larger one is read to its end, and dropped: a client that is still
//! sending could not read our answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// A body, and how much of it there may be.
pub(crate) struct Bounded {
    body: Body,
    limit: u64,
    length: u64,
}

/// There was more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body of the request: more than {}", hatchery::format_size(*.0))]
pub(crate) struct TooLarge(u64);

impl Bounded {
    pub(crate) fn new(body: Body, limit: u64) -> Bounded {
        Bounded { body, limit, length: 0 }
    }
}

impl TooLarge {
    /// Whether reading a body has failed for that reason.
    pub(crate) fn of(why: &axum::Error) -> Option<TooLarge> {
        let first: &(dyn std::error::Error + 'static) = why;
        let mut causes = std::iter::successors(Some(first), |why| why.source());
        causes.find_map(|why| why.downcast_ref().copied())
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let bounded = self.get_mut();
        loop {
            let frame = ready!(Pin::new(&mut bounded.body).poll_frame(context));
            let Some(Ok(frame)) = frame else {
                let is_over = frame.is_none() && bounded.length > bounded.limit;
                // Told once.
                bounded.length = 0;
                return Poll::Ready(if is_over { Some(Err(axum::Error::new(TooLarge(bounded.limit)))) } else { frame });
            };
            bounded.length += frame.data_ref().map_or(0, |data| data.len() as u64);
            if bounded.length <= bounded.limit {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.length <= self.limit && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn read(bytes: usize) -> Result<usize, Option<TooLarge>> {
        let body = Body::new(Bounded::new(Body::from(vec![b'x'; bytes]), 1024));
        body.collect().await.map(|read| read.to_bytes().len()).map_err(|why| TooLarge::of(&why))
    }

    #[tokio::test]
    async fn what_is_too_large_is_told_at_its_end() {
        assert_eq!(read(1024).await, Ok(1024));
        assert_eq!(read(0).await, Ok(0));
        let why = read(1025).await.unwrap_err().unwrap();
        assert_eq!(why.to_string(), "the body of the request: more than 1KiB");
    }
}
