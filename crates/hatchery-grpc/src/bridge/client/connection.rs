use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hatchery::{Error, ErrorKind, Result};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Body as HttpBody, Service};
use tonic::{Code, Status};

use crate::bridge::HEADER_LIMIT;

/// One connection of HTTP/2, made as this contract needs it. Cheap to clone; it closes when the last clone is gone and nothing is open.
#[derive(Clone, Debug)]
pub struct Connection(SendRequest<Body>);

/// The body of an answer. What fails in it is a status, whatever tonic was built with.
#[derive(Debug)]
pub struct AnswerBody(Incoming);

impl Connection {
    /// Speaks HTTP/2 on a stream. A `TcpStream` needs `TCP_NODELAY`: without it a call to a Python worker took 49 ms, with it
    /// less than one. Headers and trailers of answers may be [`HEADER_LIMIT`] long. What is returned beside the
    /// connection has to be polled, or spawned, for anything to happen; it resolves when the connection is over.
    ///
    /// # Errors
    /// `unavailable` if the stream is closed.
    pub async fn handshake<S>(stream: S) -> Result<(Connection, impl Future<Output = Result<()>> + Send)>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.max_header_list_size(HEADER_LIMIT);
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(|why| broken(&why))?;
        Ok((Connection(sender), async move { driver.await.map_err(|why| broken(&why)) }))
    }

    /// Whether it takes no more requests.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// A connection that somebody else made. Its headers are as long as that one lets them be: by default 16 KiB, and errors of streams are
/// longer.
impl From<SendRequest<Body>> for Connection {
    fn from(sender: SendRequest<Body>) -> Connection {
        Connection(sender)
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<AnswerBody>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Status>> + Send>>;

    /// Always: a connection that is over says so to the request, as what is said here has no code.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.send_request(request);
        Box::pin(async move { answer.await.map(|answer| answer.map(AnswerBody)).map_err(|why| status(&why)) })
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.0).poll_frame(context).map_err(|why| status(&why))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn broken(why: &hyper::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("speak HTTP/2: {}", told(why)))
}

/// A stream that was reset says nothing about its connection; everything else does.
fn status(why: &hyper::Error) -> Status {
    let reset = why.source().and_then(|source| source.downcast_ref::<h2::Error>()).filter(|h2| h2.is_reset());
    let code = match reset.and_then(h2::Error::reason) {
        None | Some(h2::Reason::REFUSED_STREAM) => Code::Unavailable,
        Some(h2::Reason::CANCEL) => Code::Cancelled,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Code::ResourceExhausted,
        Some(_) => Code::Internal,
    };
    let mut status = Status::new(code, told(why));
    if reset.and_then(h2::Error::reason) == Some(h2::Reason::REFUSED_STREAM) {
        status.set_source(Arc::new(Refused));
    }
    status
}

/// The peer has not looked at the request: it may be sent again, whatever it asks for.
#[derive(Debug)]
pub(crate) struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the peer refuses the stream")
    }
}

impl std::error::Error for Refused {}

/// With its causes: hyper's own words are few.
fn told(why: &hyper::Error) -> String {
    let causes = std::iter::successors(why.source(), |cause| (*cause).source());
    causes.fold(why.to_string(), |told, cause| format!("{told}: {cause}"))
}
