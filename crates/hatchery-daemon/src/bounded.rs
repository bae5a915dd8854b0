//! The body of a request, within bounds of size and time. A larger one is read to its end, and dropped: a client that is still
//! sending could not read our answer. One that does not come is not waited for, whoever reads it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use hatchery::{Error, ErrorKind};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// So many bytes; `None` is any number.
    pub(crate) size: Option<u64>,
    /// The whole of it within this time.
    pub(crate) time: Duration,
}

/// A body, and how much of it there may be.
pub(crate) struct Bounded<B> {
    body: B,
    bounds: Bounds,
    length: u64,
    due: Instant,
    /// Most bodies are here before anybody waits for them.
    late: Option<Pin<Box<Sleep>>>,
    told: fn(Error) -> axum::Error,
}

/// The client has not kept to them.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.message())]
pub(crate) struct Beyond(Error);

impl<B> Bounded<B> {
    /// `told` is how a reader is told that they were not kept to.
    pub(crate) fn new(body: B, bounds: Bounds, told: fn(Error) -> axum::Error) -> Bounded<B> {
        let due = Instant::now() + bounds.time;
        Bounded { body, bounds, length: 0, due, late: None, told }
    }

    fn is_too_large(&self) -> bool {
        self.bounds.size.is_some_and(|size| self.length > size)
    }

    fn too_large(&self) -> axum::Error {
        let size = hatchery::format_size(self.bounds.size.unwrap_or_default());
        (self.told)(Error::new(ErrorKind::Limit, format!("the body of the request: more than {size}")))
    }

    /// Nothing of it is here: has it taken too long?
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<axum::Error> {
        let late = self.late.get_or_insert_with(|| Box::pin(sleep_until(self.due)));
        let is_over = late.as_mut().poll(context).is_ready() || Instant::now() >= self.due;
        if !is_over {
            return Poll::Pending;
        }
        let time = hatchery::format_duration(self.bounds.time);
        let found = format!("the body of the request was not here after {time}");
        Poll::Ready((self.told)(Error::new(ErrorKind::Deadline, found)))
    }
}

impl Beyond {
    pub(crate) fn told(error: Error) -> axum::Error {
        axum::Error::new(Beyond(error))
    }

    /// Whether reading a body has failed for that reason.
    pub(crate) fn of(why: &axum::Error) -> Option<Error> {
        let first: &(dyn std::error::Error + 'static) = why;
        let mut causes = std::iter::successors(Some(first), |why| why.source());
        causes.find_map(|why| why.downcast_ref().map(|Beyond(error)| error.clone()))
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Bounded<B> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let bounded = self.get_mut();
        loop {
            let frame = match Pin::new(&mut bounded.body).poll_frame(context) {
                Poll::Pending => return bounded.poll_late(context).map(|late| Some(Err(late))),
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(why))) => return Poll::Ready(Some(Err(axum::Error::new(why)))),
                Poll::Ready(None) => {
                    let told = bounded.is_too_large().then(|| Err(bounded.too_large()));
                    // Told once.
                    bounded.length = 0;
                    return Poll::Ready(told);
                }
            };
            bounded.length += frame.data_ref().map_or(0, |data| data.len() as u64);
            if !bounded.is_too_large() {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.is_too_large() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    const BOUNDS: Bounds = Bounds { size: Some(1024), time: Duration::from_secs(60) };

    async fn read(body: impl Body<Data = Bytes, Error: Into<BoxError>> + Unpin) -> Result<usize, Error> {
        let body = Bounded::new(body, BOUNDS, Beyond::told);
        body.collect().await.map(|read| read.to_bytes().len()).map_err(|why| Beyond::of(&why).unwrap())
    }

    async fn of_size(bytes: usize) -> Result<usize, Error> {
        read(Full::new(Bytes::from(vec![b'x'; bytes]))).await
    }

    #[tokio::test]
    async fn what_is_too_large_is_told_at_its_end() {
        assert_eq!(of_size(1024).await.unwrap(), 1024);
        assert_eq!(of_size(0).await.unwrap(), 0);
        let why = of_size(1025).await.unwrap_err();
        assert_eq!((why.kind(), why.message()), (ErrorKind::Limit, "the body of the request: more than 1KiB"));
    }

    /// A byte every 20 s: each comes soon enough for who looks at each alone.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up_however_little_comes_of_it() {
        let begun = Instant::now();
        let drops = stream::repeat(()).then(async |()| {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")))
        });
        let why = read(StreamBody::new(Box::pin(drops))).await.unwrap_err();
        assert_eq!((why.kind(), why.message()), (ErrorKind::Deadline, "the body of the request was not here after 1m"));
        assert_eq!(begun.elapsed(), BOUNDS.time);
    }
}
