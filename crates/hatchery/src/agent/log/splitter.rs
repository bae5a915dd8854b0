//! Bytes in, lines out: exactly the bytes, and where they lie.

use std::io::BufRead;

use bytes::Bytes;

use crate::agent::Signal;

/// Makes lines of a stream of bytes, the same ones however the stream is cut into pieces.
///
/// A line ends with LF or CR LF, which do not belong to it. Of a line that is too long only its place is known; at most
/// one line of the limit is held.
#[derive(Debug)]
pub(crate) struct Splitter {
    max_line: usize,
    /// Where the line that has not ended yet begins.
    at: u64,
    /// How long it is so far, kept or not.
    seen: u64,
    /// What is kept of it: all, or nothing if it is too long.
    begun: Vec<u8>,
    /// It ends with CR so far.
    ends_with_cr: bool,
}

/// One line, and where it lies in its stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spoken {
    /// Where it begins.
    pub(crate) at: u64,
    /// Without the line end.
    pub(crate) length: u64,
    /// Bytes of the line end. None: the stream ended, or was begun again, in the middle of this line.
    pub(crate) end: u8,
    /// Its bytes. `None`: it is too long to be looked at.
    pub(crate) text: Option<Bytes>,
    /// What it means: for whoever understands it to fill in.
    pub(crate) signals: Vec<Signal>,
}

impl Splitter {
    /// For a stream whose first byte here lies at this place.
    pub(crate) fn new(max_line: usize, at: u64) -> Splitter {
        Splitter { max_line, at, seen: 0, begun: Vec::new(), ends_with_cr: false }
    }

    /// Takes a piece of the stream and gives the lines that end in it. Those that lie in it whole are slices of it.
    pub(crate) fn push(&mut self, piece: &Bytes, lines: &mut Vec<Spoken>) {
        let mut from = 0;
        while let Some(length) = through_line_feed(&piece[from..]) {
            let line = piece.slice(from..from + length);
            lines.push(if self.seen == 0 { self.whole(&line) } else { self.ended(&line) });
            from += length;
        }
        if from < piece.len() {
            self.begin(&piece[from..]);
        }
    }

    /// The stream is over: gives the last line, if it has no end. A CR at its end belongs to it.
    pub(crate) fn finish(&mut self) -> Option<Spoken> {
        let length = self.seen;
        let begun = std::mem::take(&mut self.begun);
        (length > 0).then(|| self.spoken(length, 0, || begun.into()))
    }

    /// A line that began and ended in one piece.
    fn whole(&mut self, line: &Bytes) -> Spoken {
        let end = if line.ends_with(b"\r\n") { 2 } else { 1 };
        let length = line.len() - end;
        self.spoken(length as u64, end as u8, || line.slice(..length))
    }

    /// The last piece of a line that began before it.
    fn ended(&mut self, last: &[u8]) -> Spoken {
        let has_cr = if last.len() > 1 { last.ends_with(b"\r\n") } else { self.ends_with_cr };
        let end = if has_cr { 2 } else { 1 };
        self.begin(last);
        let length = self.seen - end;
        let begun = std::mem::take(&mut self.begun);
        self.spoken(length, end as u8, || Bytes::from(begun).slice(..length as usize))
    }

    fn spoken(&mut self, length: u64, end: u8, text: impl FnOnce() -> Bytes) -> Spoken {
        let at = self.at;
        self.at += length + u64::from(end);
        self.seen = 0;
        let text = (length <= self.max_line as u64).then(text);
        Spoken { at, length, end, text, signals: Vec::new() }
    }

    fn begin(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        self.ends_with_cr = bytes.ends_with(b"\r");
        // A line that just fits may have two bytes more that end it.
        if self.seen > self.max_line as u64 + 2 {
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }
}

/// The standard library searches with compiled vector code here, which no loop of ours matches in a debug build.
fn through_line_feed(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let length = rest.skip_until(b'\n').ok()?;
    bytes[..length].ends_with(b"\n").then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 12;

    fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, at: u64) -> Vec<Spoken> {
        let mut splitter = Splitter::new(LIMIT, at);
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(&Bytes::copy_from_slice(piece), &mut lines);
            assert!(splitter.begun.len() <= LIMIT + 2);
        }
        lines.extend(splitter.finish());
        lines
    }

    /// The contract said again, on the whole stream, as simply as it can be.
    fn expected(stream: &[u8], mut at: u64) -> Vec<Spoken> {
        let one = |line: &[u8]| {
            let end = [b"\r\n".as_slice(), b"\n"].into_iter().find(|end| line.ends_with(end)).map_or(0, <[u8]>::len);
            let text = &line[..line.len() - end];
            let spoken = Spoken {
                at,
                length: text.len() as u64,
                end: end as u8,
                text: (text.len() <= LIMIT).then(|| Bytes::copy_from_slice(text)),
                signals: Vec::new(),
            };
            at += line.len() as u64;
            spoken
        };
        stream.split_inclusive(|&byte| byte == b'\n').map(one).collect()
    }

    #[test]
    fn every_kind_of_line_end() {
        let texts: Vec<_> = lines([&b"a\nb\r\n\n10%\r20%\r\nend\r"[..]], 0)
            .into_iter()
            .map(|line| (line.at, line.end, line.text.unwrap()))
            .collect();
        let expected: [(u64, u8, &[u8]); 5] =
            [(0, 1, b"a"), (2, 2, b"b"), (5, 1, b""), (6, 2, b"10%\r20%"), (15, 0, b"end\r")];
        assert_eq!(texts, expected.map(|(at, end, text)| (at, end, Bytes::from_static(text))));
    }

    #[test]
    fn a_line_that_just_fits_is_there_and_one_byte_more_is_not() {
        let fits = "x".repeat(LIMIT);
        for end in ["", "\n", "\r\n"] {
            assert_eq!(lines([format!("{fits}{end}").as_bytes()], 0)[0].text.as_deref(), Some(fits.as_bytes()));
            let long = &lines([format!("{fits}y{end}").as_bytes()], 0)[0];
            assert_eq!((long.length, &long.text), (LIMIT as u64 + 1, &None));
        }
    }

    #[test]
    fn a_line_in_one_piece_is_no_copy() {
        let piece = Bytes::from_static(b"one\ntwo\n");
        let mut lines = Vec::new();
        Splitter::new(LIMIT, 0).push(&piece, &mut lines);
        assert_eq!(lines[1].text.as_ref().unwrap().as_ptr(), piece[4..].as_ptr());
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let fragment = prop_oneof![
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..20),
            (LIMIT - 2..LIMIT + 4).prop_map(|n| vec![b'x'; n]),
        ];
        prop::collection::vec(fragment, 0..12).prop_map(|fragments| fragments.concat())
    }

    proptest! {
        #[test]
        fn any_cutting_of_the_stream_gives_the_same_lines(
            stream in stream(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            at in 0..1_u64 << 40,
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            prop_assert_eq!(lines(pieces, at), expected(&stream, at));
        }

        #[test]
        fn byte_by_byte_is_a_cutting_too(stream in stream()) {
            prop_assert_eq!(lines(stream.chunks(1), 0), expected(&stream, 0));
        }
    }
}
