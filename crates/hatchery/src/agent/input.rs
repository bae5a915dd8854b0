//! What a run reads: written without ever waiting for it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use bytes::{Buf, Bytes};
use tokio::net::unix::pipe::Sender;

use crate::error::{Error, ErrorKind, Result};

/// Bytes that may wait for a run which does not read. A turn that finds more waiting is refused.
const MOST_WAITING: usize = 8 << 20;

/// The writing end of a run's standard input, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct StandardInput {
    pipe: Option<Sender>,
    waiting: VecDeque<Bytes>,
    /// Closed when the last of what waits was written.
    ends: bool,
}

impl StandardInput {
    /// `None`: it reads nothing. Must be called within a runtime.
    pub(super) fn new(pipe: Option<OwnedFd>) -> io::Result<StandardInput> {
        let pipe = pipe.map(Sender::from_owned_fd).transpose()?;
        Ok(StandardInput { pipe, ..StandardInput::default() })
    }

    /// Whether something can still be said.
    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some() && !self.ends
    }

    /// To be written by [`StandardInput::flow`].
    ///
    /// # Errors
    /// `conflict` if its input is closed, `saturated` if it does not read what waits already.
    pub(super) fn put(&mut self, bytes: Bytes) -> Result<()> {
        if !self.is_open() {
            return Err(Error::new(ErrorKind::Conflict, "its standard input is closed"));
        }
        let waiting: usize = self.waiting.iter().map(Bytes::len).sum();
        if waiting + bytes.len() > MOST_WAITING && waiting > 0 {
            let message = format!("it does not read: {waiting} bytes wait for it already");
            return Err(Error::new(ErrorKind::Saturated, message));
        }
        self.waiting.push_back(bytes);
        Ok(())
    }

    /// Its end comes after what waits.
    pub(super) fn end(&mut self) {
        self.ends = true;
        self.close_if_done();
    }

    /// At once, and what waits is lost.
    pub(super) fn close(&mut self) {
        self.waiting.clear();
        self.end();
    }

    /// Whether [`StandardInput::flow`] has something to do.
    pub(super) fn has_work(&self) -> bool {
        self.pipe.is_some() && !self.waiting.is_empty()
    }

    /// Writes some of what waits. Cancel safe: nothing is written twice, and nothing is lost.
    ///
    /// # Errors
    /// That of the kernel: the run does not read any more. Its input is closed then.
    pub(super) async fn flow(&mut self) -> io::Result<()> {
        let (Some(pipe), Some(first)) = (&self.pipe, self.waiting.front_mut()) else { return Ok(()) };
        pipe.writable().await?;
        match pipe.try_write(first) {
            Ok(written) => first.advance(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                self.pipe = None;
                self.waiting.clear();
                return Err(error);
            }
        }
        while self.waiting.front().is_some_and(Bytes::is_empty) {
            self.waiting.pop_front();
        }
        self.close_if_done();
        Ok(())
    }

    fn close_if_done(&mut self) {
        if self.ends && self.waiting.is_empty() {
            self.pipe = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    fn pair() -> (StandardInput, std::fs::File) {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        (StandardInput::new(Some(writer)).unwrap(), reader.into())
    }

    #[tokio::test]
    async fn what_is_put_is_written_in_order_and_then_ended() {
        let (mut input, mut reader) = pair();
        input.put(Bytes::from_static(b"one\n")).unwrap();
        input.put(Bytes::from_static(b"two\n")).unwrap();
        input.end();
        assert!(!input.is_open());
        while input.has_work() {
            input.flow().await.unwrap();
        }
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
        assert_eq!(input.put(Bytes::from_static(b"three\n")).unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[tokio::test]
    async fn one_that_does_not_read_holds_up_nobody() {
        let (mut input, _reader) = pair();
        input.put(Bytes::from(vec![b'x'; MOST_WAITING])).unwrap();
        assert_eq!(input.put(Bytes::from_static(b"more")).unwrap_err().kind(), ErrorKind::Saturated);
        input.flow().await.unwrap();
        assert!(input.has_work());
        input.close();
        assert!(!input.has_work());
    }

    #[tokio::test]
    async fn one_that_has_closed_its_input_is_told_once() {
        let (mut input, reader) = pair();
        drop(reader);
        input.put(Bytes::from_static(b"x")).unwrap();
        assert_eq!(input.flow().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(!input.is_open());
        input.flow().await.unwrap();
    }
}
