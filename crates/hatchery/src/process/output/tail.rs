//! The last words.

use std::collections::VecDeque;

/// At most so many lines,
const LINES: usize = 50;

/// and so many bytes of them.
const BYTES: usize = 16 * 1024;

/// The last lines of an output, for the error that tells how it ended. The very last is always among them.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    pub(crate) fn push(&mut self, line: &str) {
        let mut last = self.make_room(line.len()).unwrap_or_default();
        last.clear();
        last.push_str(line);
        self.bytes += line.len();
        self.lines.push_back(last);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }

    /// Drops the oldest lines, and gives one of them back for its memory: under a flood nothing is allocated.
    fn make_room(&mut self, bytes: usize) -> Option<String> {
        let mut dropped = None;
        while self.lines.len() >= LINES || self.bytes + bytes > BYTES {
            let oldest = self.lines.pop_front()?;
            self.bytes -= oldest.len();
            dropped = Some(oldest);
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(lines: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut tail = Tail::default();
        lines.into_iter().for_each(|line| tail.push(&line));
        assert_eq!(tail.bytes, tail.lines.iter().map(String::len).sum::<usize>());
        tail.lines()
    }

    #[test]
    fn the_last_fifty_lines_stay_in_order() {
        let expected: Vec<String> = (950..1000).map(|n| n.to_string()).collect();
        assert_eq!(tail((0..1000).map(|n| n.to_string())), expected);
    }

    #[test]
    fn long_lines_leave_fewer() {
        let line = "x".repeat(BYTES / 2);
        assert_eq!(tail((0..10).map(|_| line.clone())).len(), 2);
    }

    #[test]
    fn the_last_line_stays_however_long() {
        let long = "x".repeat(2 * BYTES);
        assert_eq!(tail(["a".to_owned(), long.clone()]), [long.as_str()]);
        assert_eq!(tail([long, "b".to_owned()]), ["b"]);
    }
}
