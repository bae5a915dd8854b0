//! Reading. One read takes what is there; the decoder cuts it into frames.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::BufMut;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use crate::value::Shelf;
use crate::wire::{Decoder, Frame, FrameError};

/// A non-blocking descriptor that can be read.
pub(crate) trait Readable {
    /// How many bytes the channel can hold.
    fn capacity(&self) -> usize;
    fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize>;
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

/// What a pipe or a socket may hold if the kernel does not say: the default of a socket.
const CAPACITY: usize = 208 << 10;

impl Readable for pipe::Receiver {
    fn capacity(&self) -> usize {
        rustix::pipe::fcntl_getpipe_size(self).unwrap_or(CAPACITY)
    }
    fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        pipe::Receiver::try_read_buf(self, buffer)
    }
    async fn readable(&self) -> io::Result<()> {
        pipe::Receiver::readable(self).await
    }
}

impl Readable for UnixStream {
    fn capacity(&self) -> usize {
        CAPACITY
    }
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
    /// How many bytes may still be read, if that is limited.
    left: Option<usize>,
}

/// What a look at the channel found.
pub(crate) enum Received {
    Frame(Frame),
    /// Bytes came: look again.
    More,
    /// Nothing more for now.
    Empty,
    /// Nobody can write to it any more.
    End,
}

impl<R: Readable> Inbox<R> {
    pub(crate) fn new(reader: Arc<R>, decoder: Decoder) -> Inbox<R> {
        Inbox { reader, decoder, left: None }
    }

    /// Where frames find what they say lies in shared memory.
    pub(crate) fn look_up_in(&mut self, shelf: Arc<dyn Shelf>) {
        self.decoder.look_up_in(shelf);
    }

    /// The next frame, or `None` at the end of file. Cancel safe: what was read stays in the decoder.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            // A peer that writes as fast as we read would else keep this thread from everything else.
            tokio::task::coop::consume_budget().await;
            match self.look()? {
                Received::Frame(frame) => return Ok(Some(frame)),
                Received::More => {}
                Received::End => return Ok(None),
                // An error of the readiness itself is found again, and named, by the read.
                Received::Empty => drop(self.reader.readable().await),
            }
        }
    }

    /// The next frame if it is here already; reads at most once.
    pub(crate) fn look(&mut self) -> Result<Received, FrameError> {
        if let Some(frame) = self.decoder.next()? {
            return Ok(Received::Frame(frame));
        }
        if self.left == Some(0) {
            return Ok(Received::End);
        }
        match self.reader.try_read_buf(&mut self.decoder.spare()) {
            Ok(0) => Ok(Received::End),
            Ok(n) => {
                self.left = self.left.map(|left| left.saturating_sub(n));
                Ok(Received::More)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::Empty),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Received::More),
            // A socket whose peer died with unread bytes says "connection reset": the end all the same.
            Err(_) => Ok(Received::End),
        }
    }

    /// The peer is gone: what it wrote is in the channel, and what comes beyond that is from somebody else, who may
    /// never stop.
    pub(crate) fn read_no_more_than_is_there(&mut self) {
        self.left = Some(self.reader.capacity());
    }
}
