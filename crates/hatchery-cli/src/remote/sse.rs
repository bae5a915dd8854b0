//! Server-sent events, from bytes that come in pieces of any size.

use std::time::Duration;

use hatchery::Result;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, Incoming};

use super::Daemon;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// The events of an answer, as they come. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(super) daemon: Daemon,
    body: Incoming,
    /// How long it may be silent; `None`: as long as it takes.
    silence: Option<Duration>,
    decoder: Decoder,
}

impl Feed {
    pub(super) fn new(daemon: Daemon, body: Incoming, silence: Option<Duration>) -> Feed {
        Feed { daemon, body, silence, decoder: Decoder::default() }
    }

    /// The next event; `None` if the daemon has ended the answer.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.decoder.next() {
                return Ok(Some(event));
            }
            let Some(frame) = self.frame().await? else { return Ok(None) };
            if let Some(bytes) = frame.map_err(|why| self.daemon.cut_off(&why))?.data_ref() {
                self.decoder.feed(bytes);
            }
        }
    }

    async fn frame(&mut self) -> Result<Option<std::result::Result<Frame<Bytes>, hyper::Error>>> {
        let Some(silence) = self.silence else { return Ok(self.body.frame().await) };
        let silent = |_| self.daemon.failed(format_args!("nothing was heard of it for {silence:?}"));
        tokio::time::timeout(silence, self.body.frame()).await.map_err(silent)
    }
}

/// Collects lines into events. Lines end with a line feed, as the daemon writes them, and comments and fields that it does not
/// write are skipped.
#[derive(Debug, Default)]
struct Decoder {
    bytes: Vec<u8>,
    /// What of the bytes is read.
    read: usize,
    /// What of the bytes is known to hold no further line end.
    searched: usize,
    name: String,
    data: Vec<String>,
}

impl Decoder {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.searched -= self.read;
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event that is complete.
    fn next(&mut self) -> Option<Event> {
        while let Some(line) = self.line() {
            match line.split_once(": ") {
                Some(("event", name)) => self.name = name.to_owned(),
                Some(("data", text)) => self.data.push(text.to_owned()),
                _ if line.is_empty() => {
                    let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
                    // A comment has an empty line behind it, too.
                    if !data.is_empty() {
                        return Some(Event { name, data: data.join("\n") });
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn line(&mut self) -> Option<String> {
        let Some(length) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            return None;
        };
        let end = self.searched + length;
        let line = String::from_utf8_lossy(&self.bytes[self.read..end]).into_owned();
        (self.read, self.searched) = (end + 1, end + 1);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = ": a comment\n\nevent: chunk\ndata: \"é\"\n\nevent: chunk\ndata: [1,\ndata: 2]\n\nevent: end\ndata: {}\n\nevent: ch";

    fn events(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<(String, String)> {
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        for piece in pieces {
            decoder.feed(&piece);
            events.extend(std::iter::from_fn(|| decoder.next()).map(|event| (event.name, event.data)));
        }
        events
    }

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let expected = [("chunk", "\"é\""), ("chunk", "[1,\n2]"), ("end", "{}")];
        for size in 1..=TEXT.len() {
            let pieces = TEXT.as_bytes().chunks(size).map(<[u8]>::to_vec);
            let found = events(pieces);
            assert_eq!(found.iter().map(|(name, data)| (&name[..], &data[..])).collect::<Vec<_>>(), expected, "{size}");
        }
    }
}
