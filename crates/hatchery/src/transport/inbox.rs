//! Reading. One read takes what is there; the decoder cuts it into frames.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::BufMut;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use crate::value::Shelf;
use crate::wire::{Decoder, Frame, FrameError};

/// A non-blocking descriptor that can be read.
pub(crate) trait Readable: AsFd {
    /// How many bytes the channel can hold.
    fn capacity(&self) -> usize;
    /// Waits until something can be read, and reads it; 0 at the end of file. Cancel safe.
    fn read(&mut self, buffer: &mut (impl BufMut + Send)) -> impl Future<Output = io::Result<usize>> + Send;
}

/// What a pipe or a socket may hold if the kernel does not say: the default of a socket.
const CAPACITY: usize = 208 << 10;

/// How much [`read_now`] asks for.
const PIECE: usize = 16 << 10;

impl Readable for pipe::Receiver {
    fn capacity(&self) -> usize {
        rustix::pipe::fcntl_getpipe_size(self).unwrap_or(CAPACITY)
    }

    /// A read that brings less than there was room for has emptied the pipe, which tokio knows: no second read finds that out.
    async fn read(&mut self, buffer: &mut (impl BufMut + Send)) -> io::Result<usize> {
        self.read_buf(buffer).await
    }
}

/// Shared with who writes to it.
impl Readable for Arc<UnixStream> {
    fn capacity(&self) -> usize {
        CAPACITY
    }

    async fn read(&mut self, buffer: &mut (impl BufMut + Send)) -> io::Result<usize> {
        loop {
            self.readable().await?;
            match self.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// Reads what is there. Asks the kernel and not tokio, which has not heard of what came since it last looked.
fn read_now(from: &impl AsFd, buffer: &mut impl BufMut) -> io::Result<usize> {
    let mut bytes = [0; PIECE];
    let most = PIECE.min(buffer.remaining_mut());
    let n = rustix::io::read(from, &mut bytes[..most])?;
    buffer.put_slice(&bytes[..n]);
    Ok(n)
}

/// The receiving half of a channel.
pub(crate) struct Inbox<R> {
    reader: R,
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
    pub(crate) fn new(reader: R, decoder: Decoder) -> Inbox<R> {
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
            if let Some(frame) = self.decoder.next()? {
                return Ok(Some(frame));
            }
            let read = self.reader.read(&mut self.decoder.spare()).await;
            if let Received::End = self.received(read) {
                return Ok(None);
            }
        }
    }

    /// The next frame of those that were read already.
    pub(crate) fn at_hand(&mut self) -> Result<Option<Frame>, FrameError> {
        self.decoder.next()
    }

    /// The next frame if it is here already; reads at most once.
    pub(crate) fn look(&mut self) -> Result<Received, FrameError> {
        if let Some(frame) = self.decoder.next()? {
            return Ok(Received::Frame(frame));
        }
        if self.left == Some(0) {
            return Ok(Received::End);
        }
        let read = read_now(&self.reader, &mut self.decoder.spare());
        Ok(self.received(read))
    }

    fn received(&mut self, read: io::Result<usize>) -> Received {
        match read {
            Ok(0) => Received::End,
            Ok(n) => {
                self.left = self.left.map(|left| left.saturating_sub(n));
                Received::More
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Empty,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Received::More,
            // A socket whose peer died with unread bytes says "connection reset": the end all the same.
            Err(_) => Received::End,
        }
    }

    /// The peer is gone: what it wrote is in the channel, and what comes beyond that is from somebody else, who may
    /// never stop.
    pub(crate) fn read_no_more_than_is_there(&mut self) {
        self.left = Some(self.reader.capacity());
    }
}
