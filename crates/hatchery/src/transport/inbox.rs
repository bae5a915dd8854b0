//! Reading. One read takes what is there; the decoder cuts it into frames.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::BufMut;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use crate::wire::{Decoder, Frame, FrameError};

/// A non-blocking descriptor that can be read.
pub(crate) trait Readable {
    fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize>;
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Readable for pipe::Receiver {
    fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        pipe::Receiver::try_read_buf(self, buffer)
    }
    async fn readable(&self) -> io::Result<()> {
        pipe::Receiver::readable(self).await
    }
}

impl Readable for UnixStream {
    fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        UnixStream::try_read_buf(self, buffer)
    }
    async fn readable(&self) -> io::Result<()> {
        UnixStream::readable(self).await
    }
}

/// The receiving half of a channel.
pub(crate) struct Inbox<R> {
    reader: Arc<R>,
    decoder: Decoder,
}

/// What a look at the channel found.
pub(crate) enum Received {
    Frame(Frame),
    /// Nothing more for now.
    Empty,
    /// Nobody can write to it any more.
    End,
}

impl<R: Readable> Inbox<R> {
    pub(crate) fn new(reader: Arc<R>, decoder: Decoder) -> Inbox<R> {
        Inbox { reader, decoder }
    }

    /// The next frame, or `None` at the end of file. Cancel safe: what was read stays in the decoder.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            match self.look()? {
                Received::Frame(frame) => return Ok(Some(frame)),
                Received::End => return Ok(None),
                // An error of the readiness itself is found again, and named, by the read.
                Received::Empty => drop(self.reader.readable().await),
            }
        }
    }

    /// The next frame if it is here already.
    pub(crate) fn look(&mut self) -> Result<Received, FrameError> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                return Ok(Received::Frame(frame));
            }
            match self.reader.try_read_buf(&mut self.decoder.spare()) {
                Ok(0) => return Ok(Received::End),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::Empty),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A socket whose peer died with unread bytes says "connection reset": the end all the same.
                Err(_) => return Ok(Received::End),
            }
        }
    }
}
