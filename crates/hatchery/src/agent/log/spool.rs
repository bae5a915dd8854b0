//! What a run has said, on disk: where it lies, and how one event of it is found.
//!
//! | file | what | by whom |
//! |---|---|---|
//! | `output`, `errors` | the bytes of the two streams, as they came | the agent (which appends to the file), or us (from a pipe) |
//! | `notes` | lines of our own, and the signals of all events, as JSON | us |
//! | `index` | a header page, then a [`Record`] for each event: the one with number n is the nth | us |
//!
//! Everything only grows at its end, and loses its beginning by a hole: offsets stay what they are.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use rustix::fs::{FallocateFlags, fallocate};

use super::kept::Kept;
use super::record::{self, Positions, Record};
use crate::agent::Stream;

/// The records begin behind a page, which is never punched.
const HEADER: u64 = 4096;
const PAGE: u64 = 4096;

/// The files of one run's folder.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    /// In the order of [`record::number`].
    streams: [File; 3],
    index: File,
}

/// What a folder is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A new run.
    Create,
    /// A run that somebody else has written.
    GoOn,
    /// To look at what was.
    Read,
}

impl Spool {
    /// For us alone, and not for what we start.
    pub(crate) fn open(folder: &Path, how: Use) -> io::Result<Spool> {
        if how == Use::Create {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = |name| {
            let mut options = OpenOptions::new();
            options.read(true).write(how != Use::Read).create_new(how == Use::Create).mode(0o600);
            options.open(folder.join(name))
        };
        let streams = [file(name(Stream::Stdout))?, file(name(Stream::Stderr))?, file(name(Stream::Host))?];
        Ok(Spool { folder: folder.to_owned(), streams, index: file("index")? })
    }

    /// Where a stream lies.
    pub(crate) fn path(&self, stream: Stream) -> PathBuf {
        self.folder.join(name(stream))
    }

    /// What an agent is given, that writes this file itself.
    pub(crate) fn agents_end(&self, stream: Stream) -> io::Result<OwnedFd> {
        Ok(OpenOptions::new().append(true).open(self.path(stream))?.into())
    }

    pub(crate) fn file(&self, stream: Stream) -> &File {
        &self.streams[record::number(stream)]
    }

    /// The last event that is there whole, and where everything stands behind it: its line and its signals were written
    /// before its record. What is torn behind that is cut off if it is to go on.
    pub(crate) fn last(&self, kept: &Kept, how: Use) -> io::Result<(u64, Positions)> {
        let mut seq = self.index.metadata()?.len().saturating_sub(HEADER) / record::SIZE as u64;
        while seq >= kept.indexed && seq > 0 {
            if let Some(record) = self.record(seq)? {
                self.cut_behind(seq, how)?;
                return Ok((seq, record.after()));
            }
            seq -= 1;
        }
        self.cut_behind(0, how)?;
        Ok((0, Positions::default()))
    }

    fn cut_behind(&self, seq: u64, how: Use) -> io::Result<()> {
        if how == Use::GoOn { self.index.set_len(record_at(seq + 1)) } else { Ok(()) }
    }

    /// The event of this number, if it is there whole.
    pub(crate) fn record(&self, seq: u64) -> io::Result<Option<Record>> {
        let mut bytes = [0; record::SIZE];
        match self.index.read_exact_at(&mut bytes, record_at(seq)) {
            Ok(()) => Ok(Record::decode(seq, &bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// So many events from this one on: less, if there are less.
    pub(crate) fn records(&self, from: u64, count: usize) -> io::Result<Vec<Record>> {
        let bytes = read_up_to(&self.index, record_at(from), count * record::SIZE)?;
        let one = |(bytes, seq): (&[u8], u64)| Record::decode(seq, bytes);
        Ok(bytes.chunks_exact(record::SIZE).zip(from..).map_while(one).collect())
    }

    /// These bytes of a stream: less, if there are less.
    pub(crate) fn bytes(&self, stream: Stream, at: u64, length: usize, kept: &Kept) -> io::Result<Bytes> {
        let base = kept.base[record::number(stream)];
        let in_file = at.checked_sub(base).ok_or(io::ErrorKind::UnexpectedEof)?;
        read_up_to(self.file(stream), in_file, length)
    }

    /// Where a stream ends.
    pub(crate) fn end(&self, stream: Stream, kept: &Kept) -> io::Result<u64> {
        Ok(kept.base[record::number(stream)] + self.file(stream).metadata()?.len())
    }

    /// Writes these bytes of a stream.
    pub(crate) fn write(&self, stream: Stream, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(stream).write_all_at(bytes, at)
    }

    /// Writes these records, of which this is the first: from now on they can be found.
    pub(crate) fn write_records(&self, from: u64, records: &[u8]) -> io::Result<()> {
        self.index.write_all_at(records, record_at(from))
    }

    pub(crate) fn kept(&self) -> io::Result<Kept> {
        Ok(Kept::decode(&read_up_to(&self.index, 0, HEADER as usize)?))
    }

    /// It is said what is kept before the rest is forgotten: who comes later reads no hole.
    pub(crate) fn write_kept(&self, kept: &Kept) -> io::Result<()> {
        self.index.write_all_at(&kept.encode(), 0)
    }

    /// Gives back the pages of what is forgotten from now on.
    pub(crate) fn forget(&self, before: &Kept, now: &Kept) -> io::Result<()> {
        for number in 0..3 {
            let base = now.base[number];
            let from = before.at[number].saturating_sub(base);
            punch(&self.streams[number], from, now.at[number].saturating_sub(base))?;
        }
        punch(&self.index, record_at(before.indexed), record_at(now.indexed))
    }

    /// Gives back everything.
    pub(crate) fn empty(&self) -> io::Result<()> {
        self.streams.iter().chain([&self.index]).try_for_each(|file| file.set_len(0))
    }
}

fn name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "output",
        Stream::Stderr => "errors",
        Stream::Host => "notes",
    }
}

fn record_at(seq: u64) -> u64 {
    HEADER + seq.saturating_sub(1) * record::SIZE as u64
}

/// Whole pages: one that is needed in part stays until the next time.
fn punch(file: &File, from: u64, to: u64) -> io::Result<()> {
    let (from, to) = (from / PAGE * PAGE, to / PAGE * PAGE);
    if to > from {
        fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, to - from)?;
    }
    Ok(())
}

fn read_up_to(file: &File, mut at: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(length);
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], at) {
            Ok(0) => break,
            Ok(n) => (filled, at) = (filled + n, at + n as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes.freeze())
}
