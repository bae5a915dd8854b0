//! Server-sent events, from bytes that come in pieces of any size.

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

/// Collects lines into events. Lines end with a line feed, as the daemon writes them, and comments and fields that it does not
/// write are skipped.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
    /// What of the bytes is read.
    read: usize,
    /// What of the bytes is known to hold no further line end.
    searched: usize,
    name: String,
    data: Vec<String>,
}

impl Decoder {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.searched -= self.read;
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event that is complete.
    pub(super) fn next(&mut self) -> Option<Event> {
        while let Some(line) = self.line() {
            match line.split_once(": ") {
                Some(("event", name)) => self.name = name.to_owned(),
                Some(("data", text)) => self.data.push(text.to_owned()),
                _ if line.is_empty() => {
                    let data = std::mem::take(&mut self.data).join("\n");
                    return Some(Event { name: std::mem::take(&mut self.name), data });
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

    const TEXT: &str = ": a comment\nevent: chunk\ndata: \"é\"\n\nevent: chunk\ndata: [1,\ndata: 2]\n\nevent: end\ndata: {}\n\nevent: ch";

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
