//! Whoever reads a run's log.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::record::{Record, number};
use super::writer::event;
use super::{LONGEST_HERE, Published, Shared};
use crate::agent::{AgentEvent, Gap, Heard, Signal, Stream};
use crate::error::{Error, ErrorKind, Result};

/// So many events are fetched at once, at most,
const AT_ONCE: usize = 256;
/// and no more once they have so many bytes.
const BYTES_AT_ONCE: u64 = 256 * 1024;

/// What a run says, from a number on. It is fetched as it is asked for: a reader that does not ask costs nothing, loses
/// what the run's log forgets meanwhile, and is told how much that was.
#[derive(Debug)]
pub struct AgentEvents {
    shared: Arc<Shared>,
    published: watch::Receiver<Published>,
    /// The next one to be fetched.
    next: u64,
    /// How much was said before that, if it is known.
    said: Option<u64>,
    /// What is missing before what is fetched next: told once it has an end.
    gap: Option<Gap>,
    fetched: VecDeque<AgentEvent>,
}

/// What is there at some number.
enum Found {
    /// Events in a row, and how much was said until their end.
    Events(Vec<AgentEvent>, u64),
    /// Nothing before this number. How much was said before the one that was asked for, if it is known, and before this.
    Nothing { until: u64, said: (Option<u64>, u64) },
}

impl AgentEvents {
    pub(super) fn new(shared: Arc<Shared>, next: u64) -> AgentEvents {
        let published = shared.published.subscribe();
        let said = (next == 1).then_some(0);
        AgentEvents { shared, published, next, said, gap: None, fetched: VecDeque::new() }
    }

    /// The next event, or how many of them are not there any more. Waits for what is not said yet. `None`: the run is over.
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let now = *self.published.borrow_and_update();
            let is_at_end = self.next > now.last;
            if !self.fetched.is_empty() || is_at_end {
                if let Some(heard) = self.take_fetched() {
                    return Some(heard);
                }
                if now.closed || self.published.changed().await.is_err() {
                    return None;
                }
                continue;
            }
            let found = match self.look_in_ring() {
                Some(found) => found,
                None => self.look_on_disk().await,
            };
            self.take(found);
        }
    }

    /// So many bytes of a line that an event names by its place ([`Line::Spooled`](crate::agent::Line::Spooled)), from there on.
    ///
    /// # Errors
    /// `not_found` if the spool has forgotten them, or cannot be read.
    pub async fn bytes(&self, stream: Stream, offset: u64, length: usize) -> Result<Bytes> {
        let shared = Arc::clone(&self.shared);
        let read = tokio::task::spawn_blocking(move || shared.bytes(stream, offset, length)).await;
        let gone =
            |why: &str| Error::new(ErrorKind::NotFound, format!("agent run {}: that line {why}", self.shared.run));
        match read.map_err(io::Error::other).flatten() {
            Ok(bytes) => bytes.ok_or_else(|| gone("is not there any more")),
            Err(error) => Err(gone(&format!("cannot be read: {error}"))),
        }
    }

    fn take_fetched(&mut self) -> Option<Heard> {
        let gap = self.gap.take().map(Heard::Gap);
        gap.or_else(|| self.fetched.pop_front().map(Heard::Event))
    }

    fn take(&mut self, found: Found) {
        match found {
            Found::Events(events, said) => {
                self.next += events.len() as u64;
                self.said = Some(said);
                self.fetched.extend(events);
            }
            Found::Nothing { until, said: (before, said) } => {
                let bytes = self.said.or(before).map(|before| said.saturating_sub(before));
                let gap = Gap { from: self.next, events: until - self.next, bytes };
                self.gap = Some(self.gap.map_or(gap, |begun| longer(begun, gap)));
                (self.next, self.said) = (until, Some(said));
            }
        }
    }

    fn look_in_ring(&self) -> Option<Found> {
        let ring = self.shared.ring();
        let mut bytes = 0;
        let mut said = 0;
        let few_enough = ring.from(self.next)?.take(AT_ONCE).take_while(|remembered| {
            let fits = bytes < BYTES_AT_ONCE;
            bytes += remembered.cost as u64;
            fits
        });
        let events = few_enough.inspect(|remembered| said = remembered.record.after().said);
        let events: Vec<AgentEvent> = events.map(|remembered| remembered.event.clone()).collect();
        (!events.is_empty()).then_some(Found::Events(events, said))
    }

    async fn look_on_disk(&self) -> Found {
        let (shared, from) = (Arc::clone(&self.shared), self.next);
        match tokio::task::spawn_blocking(move || look(&shared, from)).await {
            Ok(found) => found,
            // The runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        }
    }
}

fn longer(begun: Gap, more: Gap) -> Gap {
    let bytes = begun.bytes.zip(more.bytes).map(|(begun, more)| begun + more);
    Gap { from: begun.from, events: begun.events + more.events, bytes }
}

/// Blocks.
fn look(shared: &Shared, from: u64) -> Found {
    while_nothing_is_forgotten(|| shared.published(), |now| look_at(shared, from, now))
}

/// If something was forgotten while it was read, that may be the hole: then it is read again.
pub(super) fn while_nothing_is_forgotten<T>(published: impl Fn() -> Published, read: impl Fn(&Published) -> T) -> T {
    let mut now = published();
    loop {
        let found = read(&now);
        let then = published();
        if (then.kept, then.spooled) == (now.kept, now.spooled) {
            return found;
        }
        now = then;
    }
}

fn look_at(shared: &Shared, from: u64, now: &Published) -> Found {
    if now.spooled && from >= now.kept.first {
        match read(shared, from, now) {
            Ok((events, said)) if !events.is_empty() => return Found::Events(events, said),
            // What cannot be read is as good as forgotten.
            _ => return missing(shared, from, now, None),
        }
    }
    let first = if now.spooled { shared.spool.record(now.kept.first).ok().flatten() } else { None };
    missing(shared, from, now, first.map(|first| (now.kept.first, first.at.said)))
}

/// Nothing but what begins here on disk, or in memory.
fn missing(shared: &Shared, from: u64, now: &Published, on_disk: Option<(u64, u64)>) -> Found {
    let in_memory = shared.ring().first().map(|oldest| (oldest.event.seq, oldest.record.at.said));
    let there = [on_disk, in_memory].into_iter().flatten().min();
    let (until, said) = there.unwrap_or((now.last + 1, now.said));
    let is_indexed = now.spooled && from >= now.kept.indexed;
    let before = if is_indexed { shared.spool.record(from).ok().flatten() } else { None };
    Found::Nothing { until: until.max(from + 1), said: (before.map(|record| record.at.said), said) }
}

/// Some events in a row, with one read of each file.
fn read(shared: &Shared, from: u64, now: &Published) -> io::Result<(Vec<AgentEvent>, u64)> {
    let count = usize::try_from(now.last + 1 - from).unwrap_or(usize::MAX).min(AT_ONCE);
    let mut records = shared.spool.records(from, count)?;
    records.truncate(so_many(&records));
    let said = records.last().map_or(0, |last| last.after().said);
    let span = |stream| Span::read(shared, stream, &records, now);
    let spans = [span(Stream::Stdout)?, span(Stream::Stderr)?, span(Stream::Host)?];
    let event = |(record, seq): (&Record, u64)| {
        let line = spans[number(record.stream)].get(record.line_at(), record.length);
        let line = line.filter(|_| record.length <= LONGEST_HERE);
        let signals = spans[number(Stream::Host)].get(record.signals_at(), u64::from(record.signals));
        event(shared.run, seq, record, line, signals.map(|json| read_signals(&json)).unwrap_or_default())
    };
    Ok((records.iter().zip(from..).map(event).collect(), said))
}

/// A line that is handed out by reference is the last one, for its bytes are not read.
fn so_many(records: &[Record]) -> usize {
    let mut bytes = 0;
    let is_last = |record: &Record| {
        bytes += record.length + u64::from(record.signals);
        record.length > LONGEST_HERE || bytes > BYTES_AT_ONCE
    };
    records.iter().position(is_last).map_or(records.len(), |last| last + 1)
}

fn read_signals(json: &[u8]) -> Vec<Signal> {
    if json.is_empty() {
        return Vec::new();
    }
    // By way of a value: a program that keeps numbers as their text (serde_json's `arbitrary_precision`) finds none in a tagged enum else.
    let value: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    serde_json::from_value(value).unwrap_or_default()
}

/// What some events in a row have in one file.
struct Span {
    at: u64,
    bytes: Bytes,
}

impl Span {
    fn read(shared: &Shared, stream: Stream, records: &[Record], now: &Published) -> io::Result<Span> {
        let number = number(stream);
        let begin = records.first().map_or(0, |first| first.at.of[number]).max(now.kept.at[number]);
        let end = records.last().map_or(0, |last| {
            let is_left_out = last.stream == stream && stream != Stream::Host && last.length > LONGEST_HERE;
            if is_left_out { last.at.of[number] } else { last.after().of[number] }
        });
        let length = usize::try_from(end.saturating_sub(begin)).map_err(io::Error::other)?;
        let bytes = if length == 0 { Bytes::new() } else { shared.spool.bytes(stream, begin, length, &now.kept)? };
        Ok(Span { at: begin, bytes })
    }

    fn get(&self, at: u64, length: u64) -> Option<Bytes> {
        let begin = usize::try_from(at.checked_sub(self.at)?).ok()?;
        let end = begin.checked_add(usize::try_from(length).ok()?)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(begin..end))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::kept::Kept;
    use super::*;

    /// As it is after so many looks: something is forgotten at the first ones.
    fn at(look: u64, spooled: bool) -> Published {
        let kept = Kept { first: look.min(3), ..Kept::ALL };
        Published { last: 10 + look, said: 0, kept, spooled, closed: false }
    }

    #[test]
    fn what_was_read_while_something_was_forgotten_is_read_again() {
        let looks = Cell::new(0);
        let published = || at(looks.replace(looks.get() + 1), true);
        // That there is more does not matter.
        assert_eq!(while_nothing_is_forgotten(published, |now| now.kept.first), 3);
        assert_eq!(looks.get(), 5);
    }

    #[test]
    fn what_was_read_while_all_was_given_up_is_read_again() {
        let looks = Cell::new(0);
        let published = || at(7, looks.replace(looks.get() + 1) == 0);
        assert!(!while_nothing_is_forgotten(published, |now| now.spooled));
    }
}
