//! The log as a whole: what is written, what is heard of it, and what is left on disk.

mod forgetting;
mod following;
mod hearing;
mod measuring;
mod reopening;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bytes::Bytes;

use super::source::Batch;
use super::splitter::Splitter;
use super::*;
use crate::agent::{AgentEvent, Fidelity, Heard, Line, OutputLimits, Signal};

/// A stream that is written by hand.
struct Speaker {
    stream: Stream,
    splitter: Splitter,
    at: u64,
}

impl Speaker {
    fn new(stream: Stream) -> Speaker {
        Speaker { stream, splitter: Splitter::new(limits().max_line, 0), at: 0 }
    }

    fn say(&mut self, bytes: impl Into<Bytes>) -> Batch {
        let bytes = bytes.into();
        let mut lines = Vec::new();
        self.splitter.push(&bytes, &mut lines);
        let at = self.at;
        self.at += bytes.len() as u64;
        Batch { stream: self.stream, lines, bytes, at, file: None }
    }
}

fn limits() -> OutputLimits {
    OutputLimits { fidelity: Fidelity::Pipe, ..OutputLimits::default() }
}

/// So little in memory that readers read from disk.
fn small_ring() -> OutputLimits {
    OutputLimits { ring: 1, ..limits() }
}

fn id() -> AgentRunId {
    AgentRunId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap()
}

fn writer(folder: &Path, limits: OutputLimits) -> LogWriter {
    LogWriter::create(folder, id(), limits).unwrap()
}

/// The number of the first event that can still be read, from disk at least.
fn oldest_of(log: &Log) -> u64 {
    let now = log.0.published();
    let spooled = if now.spooled { now.kept.first } else { now.last + 1 };
    log.0.ring().first().map_or(spooled, |oldest| oldest.event.seq.min(spooled))
}

/// Everything until the end of a closed log.
async fn hear_all(mut events: AgentEvents) -> Vec<Heard> {
    let mut heard = Vec::new();
    while let Some(next) = events.next().await {
        heard.push(next);
    }
    heard
}

fn event(heard: Heard) -> AgentEvent {
    match heard {
        Heard::Event(event) => event,
        Heard::Gap(gap) => panic!("{gap:?}"),
    }
}

/// The lines of these events, none of which is missing.
fn texts(heard: Vec<Heard>) -> Vec<String> {
    heard.into_iter().map(|heard| text(&event(heard).line)).collect()
}

fn text(line: &Line) -> String {
    match line {
        Line::Here(text) => String::from_utf8_lossy(text).into_owned(),
        Line::Partial(text) => format!("{}…", String::from_utf8_lossy(text)),
        Line::Spooled { offset, length } => format!("{length} bytes at {offset}"),
    }
}

fn said(text: &str) -> Signal {
    Signal::Text { text: text.to_owned() }
}

/// What a folder takes on disk.
fn on_disk(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().blocks() * 512).sum()
}
