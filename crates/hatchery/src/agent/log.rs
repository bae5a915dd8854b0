//! What a run has said: numbered events over a spool, for whoever asks.
//!
//! ```text
//!  pipe ─┐                      ┌─► spool (files, capped)
//!        ├─► Source ─► LogWriter┤                          ◄── AgentEvents: a number, and what it reads from there
//!  file ─┘    lines    numbers  └─► ring  (memory, capped)
//! ```
//!
//! One task owns the writer. Readers are pulled by whoever reads: nobody is pushed anything, so nobody can be slow for others.

mod kept;
mod reader;
mod record;
mod ring;
mod source;
mod splitter;
mod spool;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch as published;

pub use reader::AgentEvents;
pub(crate) use source::{Batch, Source};
pub(crate) use splitter::Spoken;
pub(crate) use watch::Watcher;
pub(crate) use writer::{LogWriter, Written};

use super::{AgentRunId, Stream};
use kept::Kept;
use ring::Ring;
use spool::{Spool, Use};

/// A line longer than this is handed out by reference.
const LONGEST_HERE: u64 = 64 * 1024;

/// The log of one run, to be read by as many as like.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Shared>);

/// What the writer and the readers have in common.
#[derive(Debug)]
struct Shared {
    run: AgentRunId,
    spool: Arc<Spool>,
    ring: Mutex<Ring>,
    published: published::Sender<Published>,
}

/// How far the log is. What it says is there can be read.
#[derive(Clone, Copy, Debug)]
struct Published {
    /// The number of the last event; nought if there is none.
    last: u64,
    /// Bytes of all lines until then.
    said: u64,
    kept: Kept,
    /// There is a spool, from `kept.first` on.
    spooled: bool,
    closed: bool,
}

impl Log {
    /// A log that nobody writes any more. Blocks.
    ///
    /// # Errors
    /// There is none in this folder, or it cannot be read.
    pub(crate) fn open(folder: &Path, run: AgentRunId) -> io::Result<Log> {
        let spool = Spool::open(folder, Use::Read)?;
        let kept = spool.kept()?;
        let (last, end) = spool.last(&kept, Use::Read)?;
        let published = Published { last, said: end.said, kept, spooled: true, closed: true };
        Ok(Log(Arc::new(Shared::new(run, spool, 0, published))))
    }

    /// The number of the last event that can be read; nought if there is none.
    pub(crate) fn last(&self) -> u64 {
        self.0.published().last
    }

    /// The events from this number on, and those that come. Nought is the first there was.
    pub(crate) fn from(&self, seq: u64) -> AgentEvents {
        AgentEvents::new(Arc::clone(&self.0), seq.max(1))
    }

    /// So much of a stream's bytes, from this place on: of a line that was handed out by reference, or a piece of it.
    /// `None` if the spool does not have them all, any more.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub(crate) async fn bytes(&self, stream: Stream, offset: u64, length: usize) -> io::Result<Option<Bytes>> {
        let shared = Arc::clone(&self.0);
        let read = move || shared.bytes(stream, offset, length);
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}

impl Shared {
    fn new(run: AgentRunId, spool: Spool, ring: usize, published: Published) -> Shared {
        let published = published::Sender::new(published);
        Shared { run, spool: Arc::new(spool), ring: Mutex::new(Ring::new(ring)), published }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self) -> Published {
        *self.published.borrow()
    }

    fn bytes(&self, stream: Stream, offset: u64, length: usize) -> io::Result<Option<Bytes>> {
        reader::while_nothing_is_forgotten(
            || self.published(),
            |now| {
                let is_kept = now.spooled && now.kept.at[record::number(stream)] <= offset;
                let end = offset.saturating_add(length as u64);
                if !is_kept || end > self.spool.end(stream, &now.kept)? {
                    return Ok(None);
                }
                let bytes = self.spool.bytes(stream, offset, length, &now.kept)?;
                Ok(Some(bytes).filter(|bytes| bytes.len() == length))
            },
        )
    }
}
