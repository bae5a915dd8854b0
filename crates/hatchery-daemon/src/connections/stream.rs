//! A connection's bytes, however they travel, and whether its client takes them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::patience::Patience;

/// A connection's bytes.
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Stream {
    fn inner(&mut self) -> Pin<&mut (dyn Bytes + Send)> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream) as Pin<&mut (dyn Bytes + Send)>,
            Stream::Tls(stream) => Pin::new(stream.as_mut()) as Pin<&mut (dyn Bytes + Send)>,
            Stream::Unix(stream) => Pin::new(stream) as Pin<&mut (dyn Bytes + Send)>,
        }
    }
}

/// What can be read and written.
trait Bytes: AsyncRead + AsyncWrite {}
impl<S: AsyncRead + AsyncWrite> Bytes for S {}

/// A stream whose writes are watched: that the client takes something is all that is asked of it.
pub(super) struct Watched {
    stream: Stream,
    patience: Arc<Patience>,
}

impl Watched {
    pub(super) fn new(stream: Stream, patience: Arc<Patience>) -> Watched {
        Watched { stream, patience }
    }

    fn write<T>(
        &mut self,
        write: impl FnOnce(Pin<&mut (dyn Bytes + Send)>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let written = write(self.stream.inner());
        self.patience.writes(written.is_pending());
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.inner().poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(|stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(|stream| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write(|stream| stream.poll_shutdown(context))
    }
}
