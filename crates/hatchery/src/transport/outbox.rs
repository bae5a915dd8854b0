//! Writing. A frame leaves in the thread that sends it, in one system call, unless the channel is full; what did not
//! fit waits in order for the flushing task. A descriptor goes with the first byte of its frame.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::Notify;

use crate::wire::Encoded;

/// At most this many pieces go into one write (the kernel's limit is 1024).
const PIECES: usize = 64;

/// A non-blocking descriptor that can be written from any thread.
pub(crate) trait Writable {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;
    /// With a descriptor, which has left if a single byte has.
    fn try_write_with(&self, pieces: &[IoSlice<'_>], descriptor: BorrowedFd<'_>) -> io::Result<usize>;
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Writable for pipe::Sender {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        pipe::Sender::try_write(self, bytes)
    }
    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        pipe::Sender::try_write_vectored(self, pieces)
    }
    fn try_write_with(&self, _pieces: &[IoSlice<'_>], _descriptor: BorrowedFd<'_>) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a pipe carries no descriptors"))
    }
    async fn writable(&self) -> io::Result<()> {
        pipe::Sender::writable(self).await
    }
}

impl Writable for UnixStream {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        UnixStream::try_write(self, bytes)
    }
    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        UnixStream::try_write_vectored(self, pieces)
    }
    fn try_write_with(&self, pieces: &[IoSlice<'_>], descriptor: BorrowedFd<'_>) -> io::Result<usize> {
        let descriptors = [descriptor];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut attached = SendAncillaryBuffer::new(&mut space);
        if !attached.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("no space to attach a descriptor"));
        }
        self.try_io(Interest::WRITABLE, || Ok(sendmsg(self, pieces, &mut attached, SendFlags::NOSIGNAL)?))
    }
    async fn writable(&self) -> io::Result<()> {
        UnixStream::writable(self).await
    }
}

/// The sending half of a channel. Frames leave in the order of `send`.
pub(crate) struct Outbox<W> {
    state: Mutex<State<W>>,
    more: Notify,
    flushed: Notify,
}

enum State<W> {
    /// `is_last`: takes no more, and closes once the backlog has left.
    Open {
        writer: Arc<W>,
        backlog: VecDeque<Piece>,
        is_last: bool,
    },
    Closed,
}

/// What is still to be written, and the descriptor that leaves with its first byte.
struct Piece {
    bytes: Bytes,
    descriptor: Option<Arc<OwnedFd>>,
}

/// A frame, of whose head so many bytes have left already.
fn pieces(frame: Encoded, written: usize) -> impl Iterator<Item = Piece> {
    let head = Piece { bytes: Bytes::from(frame.head).slice(written..), descriptor: frame.descriptor };
    std::iter::once(head).chain(frame.data.into_iter().map(|bytes| Piece { bytes, descriptor: None }))
}

/// The channel is closed, by us or because nobody reads it any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl<W: Writable> Outbox<W> {
    pub(crate) fn new(writer: Arc<W>) -> Outbox<W> {
        let state = State::Open { writer, backlog: VecDeque::new(), is_last: false };
        Outbox { state: Mutex::new(state), more: Notify::new(), flushed: Notify::new() }
    }

    /// Sends, or queues what the channel does not take now. Never waits.
    pub(crate) fn send(&self, frame: Encoded) -> Result<(), Closed> {
        let mut state = self.lock();
        let State::Open { writer, backlog, is_last: false } = &mut *state else { return Err(Closed) };
        let was_flushed = backlog.is_empty();
        // Nearly every frame is one piece that fits, and is kept nowhere. An error is found again by the next write.
        let is_alone = was_flushed && frame.data.is_empty() && frame.descriptor.is_none();
        let written = if is_alone { writer.try_write(&frame.head).unwrap_or(0) } else { 0 };
        if is_alone && written == frame.head.len() {
            return Ok(());
        }
        backlog.extend(pieces(frame, written));
        if was_flushed {
            match write_some(&**writer, backlog) {
                Ok(()) if backlog.is_empty() => {}
                Ok(()) => self.more.notify_one(),
                Err(_) => {
                    *state = State::Closed;
                    return Err(Closed);
                }
            }
        }
        Ok(())
    }

    /// Sends together with what else is sent in the next moments. For one who is busy anyway: he is woken less often.
    pub(crate) fn send_soon(&self, frame: Encoded) -> Result<(), Closed> {
        let mut state = self.lock();
        let State::Open { backlog, is_last: false, .. } = &mut *state else { return Err(Closed) };
        let is_first = backlog.is_empty();
        backlog.extend(pieces(frame, 0));
        if is_first {
            self.more.notify_one();
        }
        Ok(())
    }

    /// Closes our end now; what has not left yet is dropped, and the peer reads end of file.
    pub(crate) fn close(&self) {
        *self.lock() = State::Closed;
        self.more.notify_one();
        self.flushed.notify_waiters();
    }

    /// Takes no more; what was taken still leaves, and then the peer reads end of file.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        match &mut *state {
            State::Open { backlog, is_last, .. } if !backlog.is_empty() => *is_last = true,
            _ => {
                *state = State::Closed;
                self.more.notify_one();
            }
        }
    }

    /// Waits until everything that was sent has left, or never will.
    pub(crate) async fn flushed(&self) {
        loop {
            let flushed = self.flushed.notified();
            if !matches!(&*self.lock(), State::Open { backlog, .. } if !backlog.is_empty()) {
                return;
            }
            flushed.await;
        }
    }

    /// Writes what `send` had to leave, until the channel is closed. One task per outbox runs it.
    pub(crate) async fn flush(&self) {
        loop {
            let writer = match &*self.lock() {
                State::Open { backlog, .. } if backlog.is_empty() => None,
                State::Open { writer, .. } => Some(Arc::clone(writer)),
                State::Closed => return,
            };
            match writer {
                None => {
                    self.more.notified().await;
                    // Whoever else has something to send now does so first.
                    tokio::task::yield_now().await;
                }
                Some(writer) => {
                    let is_writable = writer.writable().await;
                    self.write_backlog(is_writable);
                }
            }
        }
    }

    fn write_backlog(&self, is_writable: io::Result<()>) {
        let mut state = self.lock();
        let State::Open { writer, backlog, is_last } = &mut *state else { return };
        let is_broken = is_writable.and_then(|()| write_some(&**writer, backlog)).is_err();
        if is_broken || (*is_last && backlog.is_empty()) {
            *state = State::Closed;
        } else if !backlog.is_empty() {
            return;
        }
        self.flushed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        // A panic inside these short sections cannot leave a half-made state that matters: the bytes are either in
        // the backlog or written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes until the backlog is empty or the channel is full.
fn write_some(writer: &impl Writable, backlog: &mut VecDeque<Piece>) -> io::Result<()> {
    while let Some(first) = backlog.front() {
        let mut pieces = [IoSlice::new(&first.bytes); PIECES];
        let mut n = 1;
        // A descriptor begins a write of its own.
        for piece in backlog.iter().take(PIECES).skip(1).take_while(|piece| piece.descriptor.is_none()) {
            pieces[n] = IoSlice::new(&piece.bytes);
            n += 1;
        }
        let written = match &first.descriptor {
            None => writer.try_write_vectored(&pieces[..n]),
            Some(descriptor) => writer.try_write_with(&pieces[..n], descriptor.as_fd()),
        };
        match written {
            Ok(written) => advance(backlog, written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn advance(backlog: &mut VecDeque<Piece>, mut written: usize) {
    if written > 0
        && let Some(first) = backlog.front_mut()
    {
        first.descriptor = None;
    }
    while let Some(first) = backlog.front_mut() {
        if written < first.bytes.len() {
            first.bytes.advance(written);
            return;
        }
        written -= first.bytes.len();
        backlog.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    fn pair() -> (Arc<Outbox<pipe::Sender>>, OwnedFd) {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        (Arc::new(Outbox::new(Arc::new(pipe::Sender::from_owned_fd(write).unwrap()))), read)
    }

    fn frame(byte: u8, length: usize) -> Encoded {
        let data = vec![Bytes::from(vec![byte; length]), Bytes::new()];
        Encoded { head: vec![byte; 10], data, descriptor: None }
    }

    #[tokio::test]
    async fn frames_leave_whole_and_in_order_through_a_pipe_that_is_often_full() {
        let (outbox, read) = pair();
        let flusher = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.flush().await }
        });
        let reader = tokio::task::spawn_blocking(move || {
            let mut got = Vec::new();
            io::Read::read_to_end(&mut std::fs::File::from(read), &mut got).unwrap();
            got
        });
        let sizes = [0, 5, 70_000, 1, 300_000, 64, 0];
        let mut expected = Vec::new();
        for (n, size) in sizes.into_iter().enumerate() {
            outbox.send(frame(n as u8, size)).unwrap();
            expected.extend(vec![n as u8; size + 10]);
        }
        while matches!(&*outbox.lock(), State::Open { backlog, .. } if !backlog.is_empty()) {
            tokio::task::yield_now().await;
        }
        outbox.close();
        flusher.await.unwrap();
        assert!(reader.await.unwrap() == expected);
    }

    #[tokio::test]
    async fn a_channel_that_nobody_reads_is_closed_and_says_so() {
        let (outbox, read) = pair();
        drop(read);
        let flush = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.flush().await }
        });
        while outbox.send(frame(0, 1)).is_ok() {
            tokio::task::yield_now().await;
        }
        flush.abort();
        assert_eq!(outbox.send(frame(0, 1)), Err(Closed));
    }

    #[tokio::test]
    async fn closing_ends_the_flushing_task() {
        let (outbox, _read) = pair();
        let flush = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.flush().await }
        });
        outbox.close();
        flush.await.unwrap();
    }
}
