//! The one who writes a run's log.

use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

use super::kept::Kept;
use super::record::{Positions, Record, number};
use super::ring::Remembered;
use super::source::{Batch, Source};
use super::splitter::Spoken;
use super::spool::{Spool, Use};
use super::watch::Watcher;
use super::{LONGEST_HERE, Log, Published, Shared};
use crate::agent::{AgentEvent, AgentRunId, Fidelity, Line, OutputLimits, Signal, Stream};

/// Gives numbers to what a run says, and keeps it. When it is dropped the log is closed.
#[derive(Debug)]
pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    limits: OutputLimits,
    keeper: Arc<Mutex<Keeper>>,
}

/// What has become of a batch.
#[derive(Debug)]
pub(crate) struct Written {
    /// The number of the last event there is now.
    pub(crate) last: u64,
    /// What went wrong on disk, at most once in a run: for a warning. The run itself is not harmed.
    pub(crate) trouble: Option<Trouble>,
}

/// What can go wrong on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The file system takes no holes, and the agent writes its file itself.
    #[error("the output of this run grows without a limit: its beginning cannot be given back: {0}")]
    Grows(io::Error),
    /// What cannot be kept within its limit, or written at all, is not kept.
    #[error("of the output of this run only the end is kept, in memory: {0}")]
    OnlyMemory(io::Error),
}

impl LogWriter {
    /// A new log in a folder that is made for it. Blocks for a moment.
    ///
    /// # Errors
    /// A file cannot be made, or there is one.
    pub(crate) fn create(folder: &Path, run: AgentRunId, limits: OutputLimits) -> io::Result<LogWriter> {
        let spool = Spool::open(folder, Use::Create)?;
        spool.write_kept(&Kept::ALL)?;
        Ok(LogWriter::over(spool, run, limits, Kept::ALL, (0, Positions::default())))
    }

    /// The log of a run that another supervisor has begun: goes on behind the last event that is there whole. Blocks.
    ///
    /// # Errors
    /// There is none in this folder, or it cannot be read.
    #[cfg_attr(not(test), expect(dead_code, reason = "for runs that outlive their supervisor"))]
    pub(crate) fn reopen(folder: &Path, run: AgentRunId, limits: OutputLimits) -> io::Result<LogWriter> {
        let spool = Spool::open(folder, Use::GoOn)?;
        let kept = spool.kept()?;
        let end = spool.last(&kept, Use::GoOn)?;
        Ok(LogWriter::over(spool, run, limits, kept, end))
    }

    #[cfg(test)]
    pub(super) fn forget_by(&mut self, forget: fn(&Spool, &Kept, &Kept) -> io::Result<()>) {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).forget = forget;
    }

    fn over(
        spool: Spool,
        run: AgentRunId,
        limits: OutputLimits,
        kept: Kept,
        (last, end): (u64, Positions),
    ) -> LogWriter {
        let published = Published { last, said: end.said, kept, spooled: true, closed: false };
        let shared = Arc::new(Shared::new(run, spool, limits.ring, published));
        let keeper = Keeper {
            shared: Arc::clone(&shared),
            cap: limits.spool,
            agent_writes: limits.fidelity == Fidelity::File,
            spooled: true,
            last,
            end,
            read: end.of,
            kept,
            records: Vec::new(),
            notes: Vec::new(),
            forget: Spool::forget,
        };
        LogWriter { shared, limits, keeper: Arc::new(Mutex::new(keeper)) }
    }

    /// For whoever reads.
    pub(crate) fn log(&self) -> Log {
        Log(Arc::clone(&self.shared))
    }

    /// What the agent is given as this stream, if it is to write the file itself.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn agents_end(&self, stream: Stream) -> io::Result<OwnedFd> {
        self.shared.spool.agents_end(stream)
    }

    /// Follows the file that the agent writes itself, from where the log ends.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn follow(&self, stream: Stream, watcher: &Watcher) -> io::Result<Source> {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let (base, end) = (keeper.kept.base[number(stream)], keeper.end.of[number(stream)]);
        let place = (base, end.max(base));
        Source::file(stream, self.limits.max_line, &self.shared.spool.path(stream), place, watcher)
    }

    /// Reads a pipe; what is read is written here.
    ///
    /// # Errors
    /// It is no pipe.
    pub(crate) fn drain(&self, stream: Stream, pipe: OwnedFd) -> io::Result<Source> {
        Source::pipe(stream, self.limits.max_line, pipe)
    }

    /// Writes what was read. When it returns its events can be read; whoever waits for them has been woken.
    ///
    /// Once it has begun it happens, even if nobody waits for it; but then the next call may come before it.
    pub(crate) async fn write(&mut self, batch: Batch, t_ms: u64) -> Written {
        let keeper = Arc::clone(&self.keeper);
        let write = move || keeper.lock().unwrap_or_else(PoisonError::into_inner).write(batch, t_ms);
        let written = tokio::task::spawn_blocking(write).await;
        // A runtime that ends writes no more.
        written.unwrap_or_else(|_| Written { last: self.log().last(), trouble: None })
    }

    /// Writes a line of our own.
    pub(crate) async fn note(&mut self, text: impl Into<Bytes>, signals: Vec<Signal>, t_ms: u64) -> Written {
        let mut batch = Batch::note(text.into());
        batch.lines[0].signals = signals;
        self.write(batch, t_ms).await
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.published.send_modify(|now| now.closed = true);
    }
}

/// What the writer does on a thread that may wait for a disk.
#[derive(Debug)]
struct Keeper {
    shared: Arc<Shared>,
    /// `None`: there is none, or it cannot be kept.
    cap: Option<u64>,
    agent_writes: bool,
    spooled: bool,
    last: u64,
    /// Where everything ends that has a number.
    end: Positions,
    /// Where everything ends that was read.
    read: [u64; 3],
    kept: Kept,
    /// What is written next: used again, so that lines need no memory of their own.
    records: Vec<u8>,
    notes: Vec<u8>,
    forget: fn(&Spool, &Kept, &Kept) -> io::Result<()>,
}

impl Keeper {
    fn write(&mut self, batch: Batch, t_ms: u64) -> Written {
        let (from, before) = (self.last + 1, self.end);
        let records: Vec<Record> = batch.lines.iter().map(|line| self.number(line, batch.stream, t_ms)).collect();
        if batch.stream != Stream::Host {
            self.read[number(batch.stream)] = batch.at + batch.bytes.len() as u64;
        }
        self.read[number(Stream::Host)] = self.end.of[number(Stream::Host)];
        let trouble = if self.spooled { self.keep(&batch, from, &before) } else { self.keep_nothing() };
        self.records.clear();
        self.notes.clear();
        self.remember(batch, from, &records);
        self.publish();
        Written { last: self.last, trouble }
    }

    /// The next event.
    fn number(&mut self, line: &Spoken, stream: Stream, t_ms: u64) -> Record {
        match (stream, &line.text) {
            (Stream::Host, Some(text)) => {
                self.notes.extend_from_slice(text);
                self.notes.push(b'\n');
            }
            _ => self.end.of[number(stream)] = line.at,
        }
        let signals = write_signals(&line.signals, &mut self.notes);
        let record = Record { at: self.end, length: line.length, t_ms, signals, stream, end: line.end };
        self.last += 1;
        self.end = record.after();
        record.encode(self.last, &mut self.records);
        record
    }

    fn keep(&mut self, batch: &Batch, from: u64, before: &Positions) -> Option<Trouble> {
        if let Err(error) = self.spool(batch, from, before) {
            return Some(self.only_memory(error));
        }
        match self.make_room() {
            Ok(()) => None,
            Err(error) if self.agent_writes => {
                self.cap = None;
                Some(Trouble::Grows(error))
            }
            Err(error) => Some(self.only_memory(error)),
        }
    }

    fn spool(&mut self, batch: &Batch, from: u64, before: &Positions) -> io::Result<()> {
        let spool = &self.shared.spool;
        match batch.file {
            None => spool.write(batch.stream, batch.at, &batch.bytes)?,
            Some(base) if base != self.kept.base[number(batch.stream)] => self.emptied(batch.stream, base, from)?,
            Some(_) => {}
        }
        let spool = &self.shared.spool;
        spool.write(Stream::Host, before.of[number(Stream::Host)], &self.notes)?;
        // Last, for what is in the index is there.
        spool.write_records(from, &self.records)
    }

    /// Somebody has emptied the file of this stream: what was said before is gone.
    fn emptied(&mut self, stream: Stream, base: u64, from: u64) -> io::Result<()> {
        self.kept.first = from;
        self.kept.base[number(stream)] = base;
        self.kept.at[number(stream)] = base;
        self.shared.published.send_modify(|now| now.kept = self.kept);
        self.shared.spool.write_kept(&self.kept)
    }

    fn make_room(&mut self) -> io::Result<()> {
        let Some(cap) = self.cap else { return Ok(()) };
        let spool = &self.shared.spool;
        let place = |seq| {
            let record = spool.record(seq)?;
            record.map(|record| record.at).ok_or_else(|| io::Error::other("the index has lost an event"))
        };
        let Some(kept) = self.kept.within(cap, self.last, self.read, place)? else { return Ok(()) };
        let before = mem::replace(&mut self.kept, kept);
        // Said first, to those who read now and to those who come later: nobody takes a hole for what was said.
        self.shared.published.send_modify(|now| now.kept = kept);
        spool.write_kept(&kept)?;
        (self.forget)(spool, &before, &kept)
    }

    fn only_memory(&mut self, why: io::Error) -> Trouble {
        self.spooled = false;
        self.shared.published.send_modify(|now| now.spooled = false);
        if !self.agent_writes {
            // What is left there is harmless, and there is nobody to tell twice.
            let _as_it_is = self.shared.spool.empty();
        }
        Trouble::OnlyMemory(why)
    }

    /// Whoever writes a file itself goes on to do so.
    fn keep_nothing(&mut self) -> Option<Trouble> {
        if self.agent_writes && self.cap.is_some() {
            let kept = Kept { at: self.read, ..self.kept };
            // It has been told that something is wrong here.
            let _as_it_is = (self.forget)(&self.shared.spool, &self.kept, &kept);
            self.kept = kept;
        }
        None
    }

    /// Copies the lines: a slice would keep all that was read with it, of which they may be the smallest part.
    fn remember(&self, batch: Batch, from: u64, records: &[Record]) {
        let mut texts = BytesMut::with_capacity(batch.lines.iter().filter_map(here).map(|text| text.len()).sum());
        let mut ring = self.shared.ring();
        for ((line, record), seq) in batch.lines.into_iter().zip(records).zip(from..) {
            let line_here = here(&line).map(|text| {
                texts.extend_from_slice(text);
                texts.split().freeze()
            });
            let cost =
                mem::size_of::<Remembered>() + line_here.as_ref().map_or(0, Bytes::len) + record.signals as usize;
            let event = event(self.shared.run, seq, record, line_here, line.signals);
            ring.push(Remembered { event, record: *record, cost });
        }
    }

    fn publish(&self) {
        self.shared.published.send_modify(|now| (now.last, now.said) = (self.last, self.end.said));
    }
}

/// The bytes of a line that is handed out with its event.
fn here(line: &Spoken) -> Option<&Bytes> {
    line.text.as_ref().filter(|_| line.length <= LONGEST_HERE)
}

/// `line`: its bytes, if they are not too many.
pub(super) fn event(
    run: AgentRunId,
    seq: u64,
    record: &Record,
    line: Option<Bytes>,
    signals: Vec<Signal>,
) -> AgentEvent {
    let line = match line {
        Some(text) if record.end == 0 => Line::Partial(text),
        Some(text) => Line::Here(text),
        None => Line::Spooled { offset: record.line_at(), length: record.length },
    };
    AgentEvent { run, seq, t_ms: record.t_ms, stream: record.stream, signals, line }
}

/// How many bytes that was.
fn write_signals(signals: &[Signal], to: &mut Vec<u8>) -> u32 {
    let begin = to.len();
    if !signals.is_empty() && serde_json::to_writer(&mut *to, signals).is_ok() {
        to.push(b'\n');
    }
    u32::try_from(to.len() - begin).unwrap_or(u32::MAX)
}
