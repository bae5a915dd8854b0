//! Bytes in, lines out.

use std::io::BufRead;

/// What a line may be long, in bytes. The rest of a longer one is dropped, and [`MARK`] stands in its place.
pub(crate) const LIMIT: usize = 8 * 1024;

/// At the end of a line that was cut.
pub(crate) const MARK: &str = " [cut]";

/// Makes lines of a stream of bytes, the same ones however the stream is cut into pieces.
///
/// A line ends with LF or CR LF, which do not belong to it. What is not UTF-8 becomes U+FFFD. At most one line of
/// [`LIMIT`] is held.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    /// The beginning of the line that has not ended yet, at most [`KEPT`] of it.
    begun: Vec<u8>,
}

/// Enough to tell a line that is too long from one that just fits, even if the last byte is the CR of a line end.
const KEPT: usize = LIMIT + 2;

impl LineSplitter {
    /// Takes a piece of the stream and gives the lines that end in it.
    pub(crate) fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(&str)) {
        while let Some((line, rest)) = split_after_line_feed(bytes) {
            if self.begun.is_empty() {
                give(line, sink);
            } else {
                self.keep(line);
                self.give_begun(sink);
            }
            bytes = rest;
        }
        self.keep(bytes);
    }

    /// The stream is over: gives the last line, if it has no end.
    pub(crate) fn finish(&mut self, sink: &mut impl FnMut(&str)) {
        if !self.begun.is_empty() {
            self.give_begun(sink);
        }
    }

    fn give_begun(&mut self, sink: &mut impl FnMut(&str)) {
        give(&self.begun, sink);
        self.begun.clear();
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// The standard library searches with compiled vector code here, which no loop of ours matches in a debug build.
fn split_after_line_feed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    rest.skip_until(b'\n').ok()?;
    let line = bytes[..bytes.len() - rest.len()].strip_suffix(b"\n")?;
    Some((line, rest))
}

fn give(line: &[u8], sink: &mut impl FnMut(&str)) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() <= LIMIT {
        sink(&String::from_utf8_lossy(line));
    } else {
        sink(&(String::from_utf8_lossy(cut(line)) + MARK));
    }
}

/// The first [`LIMIT`] bytes, less the beginning of a character that would be cut in two.
fn cut(line: &[u8]) -> &[u8] {
    let is_inside_a_character = |&at: &usize| line[at] & 0b1100_0000 == 0b1000_0000;
    let end = (LIMIT - 3..=LIMIT).rev().find(|at| !is_inside_a_character(at)).unwrap_or(LIMIT);
    &line[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut sink = |line: &str| lines.push(line.to_owned());
        let mut splitter = LineSplitter::default();
        for piece in pieces {
            splitter.push(piece, &mut sink);
            assert!(splitter.begun.len() <= KEPT);
        }
        splitter.finish(&mut sink);
        lines
    }

    fn lines_of(whole: &[u8]) -> Vec<String> {
        lines([whole])
    }

    #[test]
    fn lf_and_cr_lf_end_a_line_and_a_lone_cr_does_not() {
        assert_eq!(lines_of(b"a\nb\r\n\n10%\r20%\r\nend"), ["a", "b", "", "10%\r20%", "end"]);
        assert_eq!(lines_of(b""), [""; 0]);
        assert_eq!(lines_of(b"\n"), [""]);
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        assert_eq!(lines_of(b"a\xffb\nc"), ["a\u{fffd}b", "c"]);
    }

    #[test]
    fn a_line_that_just_fits_is_whole_and_one_byte_more_is_cut() {
        let fits = "x".repeat(LIMIT);
        for end in ["", "\n", "\r\n"] {
            assert_eq!(lines_of(format!("{fits}{end}").as_bytes()), [fits.as_str()]);
            assert_eq!(lines_of(format!("{fits}y{end}").as_bytes()), [format!("{fits}{MARK}")]);
        }
    }

    #[test]
    fn no_character_is_cut_in_two() {
        let line = "x".repeat(LIMIT - 1) + "\u{20ac}";
        assert_eq!(lines_of(line.as_bytes()), ["x".repeat(LIMIT - 1) + MARK]);
    }

    #[test]
    fn an_endless_line_is_dropped_as_it_comes() {
        let piece = [b'z'; 64 * 1024];
        let got = lines(std::iter::repeat_n(&piece[..], 100).chain([&b"\nnext"[..]]));
        assert_eq!(got, ["z".repeat(LIMIT) + MARK, "next".to_owned()]);
    }

    /// Streams of what matters here: line ends, broken and whole characters, and lines around the limit.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let fragment = prop_oneof![
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just("\u{20ac}".as_bytes().to_vec()),
            Just(vec![0xff]),
            prop::collection::vec(any::<u8>(), 0..20),
            (LIMIT - 4..LIMIT + 4).prop_map(|n| vec![b'x'; n]),
        ];
        prop::collection::vec(fragment, 0..12).prop_map(|fragments| fragments.concat())
    }

    /// The contract said again, on the whole stream, as simply as it can be.
    fn expected(stream: &[u8]) -> Vec<String> {
        let mut lines: Vec<&[u8]> = stream.split(|&byte| byte == b'\n').collect();
        if lines.last().is_some_and(|last| last.is_empty()) {
            lines.pop();
        }
        lines
            .into_iter()
            .map(|line| {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if line.len() <= LIMIT {
                    return String::from_utf8_lossy(line).into_owned();
                }
                String::from_utf8_lossy(cut(line)).into_owned() + MARK
            })
            .collect()
    }

    proptest! {
        #[test]
        fn any_cutting_of_the_stream_gives_the_same_lines(
            stream in stream(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            prop_assert_eq!(lines(pieces), expected(&stream));
        }

        #[test]
        fn byte_by_byte_is_a_cutting_too(stream in stream()) {
            prop_assert_eq!(lines(stream.chunks(1)), expected(&stream));
        }
    }
}
