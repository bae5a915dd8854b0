//! Where lines come from: a pipe, or a file that the agent itself writes.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};
use tokio::net::unix::pipe::Receiver;

use super::splitter::{Splitter, Spoken};
use super::watch::{Watch, Watcher};
use crate::agent::Stream;

/// What is read at once, at most.
const READ_SIZE: usize = 128 * 1024;
/// What a pipe is to hold: some agents lose what does not fit when they exit.
const PIPE_SIZE: usize = 1024 * 1024;

/// One stream of an agent, from its beginning to its end. A reader that comes late loses nothing but, from a pipe, what
/// the agent itself gave up.
#[derive(Debug)]
pub(crate) struct Source {
    stream: Stream,
    splitter: Splitter,
    feed: Feed,
    /// The place in the stream of the next byte that is read.
    at: u64,
    over: bool,
}

/// What was read at once, and the lines that ended in it.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) stream: Stream,
    /// In their order. Whoever understands them fills in their signals before they are written.
    pub(crate) lines: Vec<Spoken>,
    /// As it came, and where that begins.
    pub(super) bytes: Bytes,
    pub(super) at: u64,
    /// The agent has written it to its file itself, whose beginning is this place of the stream.
    pub(super) file: Option<u64>,
}

#[derive(Debug)]
enum Feed {
    Pipe(Pipe),
    File(Followed),
}

#[derive(Debug)]
struct Pipe {
    receiver: Receiver,
    /// After the agent's end: how much there can be of it.
    left: Option<usize>,
}

#[derive(Debug)]
struct Followed {
    file: Arc<File>,
    /// The place of its first byte in the stream.
    base: u64,
    /// In the file, of the next byte.
    position: u64,
    watch: Watch,
    /// After the agent's end: how long the file was then.
    until: Option<u64>,
}

enum Piece {
    Bytes(Bytes),
    /// The file is shorter than what was read of it: somebody has emptied it, and it begins anew.
    Anew,
    End,
}

impl Source {
    /// The read end of a pipe.
    ///
    /// # Errors
    /// It is no pipe, or this is no runtime.
    pub(crate) fn pipe(stream: Stream, max_line: usize, pipe: OwnedFd) -> io::Result<Source> {
        // Who has many pipes may not make them larger. A smaller one does, mostly.
        let _as_it_is = fcntl_setpipe_size(&pipe, PIPE_SIZE);
        let feed = Feed::Pipe(Pipe { receiver: Receiver::from_owned_fd(pipe)?, left: None });
        Ok(Source { stream, splitter: Splitter::new(max_line, 0), feed, at: 0, over: false })
    }

    /// A file that grows. `place`: where its first byte lies in the stream, and the first one that is read.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn file(
        stream: Stream,
        max_line: usize,
        path: &Path,
        place: (u64, u64),
        watcher: &Watcher,
    ) -> io::Result<Source> {
        Source::watched(stream, max_line, path, place, watcher.watch(path))
    }

    pub(super) fn watched(
        stream: Stream,
        max_line: usize,
        path: &Path,
        (base, at): (u64, u64),
        watch: Watch,
    ) -> io::Result<Source> {
        let file = Arc::new(File::open(path)?);
        let feed = Feed::File(Followed { file, base, position: at.saturating_sub(base), watch, until: None });
        Ok(Source { stream, splitter: Splitter::new(max_line, at), feed, at, over: false })
    }

    /// Why this file is only looked at now and then, if it is.
    pub(crate) fn unwatched(&self) -> Option<&io::Error> {
        match &self.feed {
            Feed::File(Followed { watch: Watch::Looked(why), .. }) => Some(why),
            _ => None,
        }
    }

    /// The next bytes, and the lines that end in them; there may be none. `None`: the stream is over. Cancel safe.
    ///
    /// # Errors
    /// It cannot be read. What was read before is not lost: [`Source::give_up`] has its tail.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Batch>> {
        if self.over {
            return Ok(None);
        }
        let piece = match &mut self.feed {
            Feed::Pipe(pipe) => pipe.read().await?,
            Feed::File(file) => file.read().await?,
        };
        match piece {
            Piece::Bytes(bytes) => Ok(Some(self.cut(bytes))),
            Piece::Anew => Ok(Some(self.begin_anew())),
            Piece::End => Ok(self.give_up()),
        }
    }

    /// The agent has exited: from now on there is only what it has left. Somebody else may still hold the other end.
    ///
    /// # Errors
    /// The kernel does not say how much that is.
    pub(crate) fn exited(&mut self) -> io::Result<()> {
        match &mut self.feed {
            Feed::Pipe(pipe) => pipe.left = Some(fcntl_getpipe_size(&pipe.receiver)?),
            Feed::File(file) => file.until = Some(file.file.metadata()?.len()),
        }
        Ok(())
    }

    /// Nothing more is read: gives the line that has not ended, if there is one.
    pub(crate) fn give_up(&mut self) -> Option<Batch> {
        self.over = true;
        self.splitter.finish().map(|tail| self.batch(Bytes::new(), vec![tail]))
    }

    fn cut(&mut self, bytes: Bytes) -> Batch {
        let mut lines = Vec::new();
        self.splitter.push(&bytes, &mut lines);
        let batch = self.batch(bytes, lines);
        self.at += batch.bytes.len() as u64;
        batch
    }

    fn begin_anew(&mut self) -> Batch {
        let tail = self.splitter.finish();
        if let Feed::File(file) = &mut self.feed {
            (file.base, file.position) = (self.at, 0);
        }
        self.batch(Bytes::new(), tail.into_iter().collect())
    }

    fn batch(&self, bytes: Bytes, lines: Vec<Spoken>) -> Batch {
        let file = match &self.feed {
            Feed::Pipe(_) => None,
            Feed::File(file) => Some(file.base),
        };
        Batch { stream: self.stream, lines, bytes, at: self.at, file }
    }
}

impl Pipe {
    async fn read(&mut self) -> io::Result<Piece> {
        loop {
            if let Some(left) = &mut self.left {
                return read_what_is_left(&self.receiver, left);
            }
            self.receiver.readable().await?;
            match read_into(READ_SIZE, |buffer| self.receiver.try_read(buffer)) {
                Ok(Piece::Bytes(bytes)) => return Ok(Piece::Bytes(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }
}

/// No more than the pipe can hold: what comes beyond that, the agent cannot have written.
fn read_what_is_left(pipe: &Receiver, left: &mut usize) -> io::Result<Piece> {
    match read_into(READ_SIZE.min(*left), |buffer| Ok(rustix::io::read(pipe, buffer)?)) {
        Ok(Piece::Bytes(bytes)) => {
            *left -= bytes.len();
            Ok(Piece::Bytes(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Piece::End),
        other => other,
    }
}

impl Followed {
    async fn read(&mut self) -> io::Result<Piece> {
        loop {
            let left = self.until.map_or(u64::MAX, |until| until.saturating_sub(self.position));
            let piece = self.read_at_once(usize::try_from(left).unwrap_or(usize::MAX).min(READ_SIZE)).await?;
            if let Piece::Bytes(bytes) = &piece {
                self.position += bytes.len() as u64;
                return Ok(piece);
            }
            if self.file.metadata()?.len() < self.position {
                return Ok(Piece::Anew);
            }
            if self.until.is_some() {
                return Ok(Piece::End);
            }
            self.watch.grown().await;
        }
    }

    /// What was just written is in memory, and reading it keeps nobody waiting. What is not is read elsewhere.
    async fn read_at_once(&self, size: usize) -> io::Result<Piece> {
        let here = read_into(size, |buffer| {
            let mut buffer = [io::IoSliceMut::new(buffer)];
            Ok(preadv2(&self.file, &mut buffer, self.position, ReadWriteFlags::NOWAIT)?)
        });
        match here.as_ref().map_err(Errno::from_io_error) {
            Err(Some(Errno::AGAIN | Errno::OPNOTSUPP)) => self.read_elsewhere(size).await,
            _ => here,
        }
    }

    async fn read_elsewhere(&self, size: usize) -> io::Result<Piece> {
        let (file, position) = (Arc::clone(&self.file), self.position);
        let read = move || read_into(size, |buffer| Ok(rustix::io::pread(&file, buffer, position)?));
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}

/// Into a buffer that all sources of a thread share: most of them are silent. Nothing read is the end.
fn read_into(size: usize, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<Piece> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        let length = read(&mut buffer[..size.min(READ_SIZE)])?;
        Ok(if length == 0 { Piece::End } else { Piece::Bytes(Bytes::copy_from_slice(&buffer[..length])) })
    })
}

impl Batch {
    /// So many bytes were read.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// A line of our own.
    pub(super) fn note(text: Bytes) -> Batch {
        let line = Spoken { at: 0, length: text.len() as u64, end: 1, text: Some(text), signals: Vec::new() };
        Batch { stream: Stream::Host, lines: vec![line], bytes: Bytes::new(), at: 0, file: None }
    }
}
