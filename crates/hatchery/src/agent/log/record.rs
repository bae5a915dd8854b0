//! What is remembered of an event, in so few bytes that there can be one for every line.

use crate::agent::Stream;

/// One event of the index. What was said lies in the file of its stream, its signals in the notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Where everything stood before it.
    pub(crate) at: Positions,
    /// Bytes of its line, without the line end.
    pub(crate) length: u64,
    pub(crate) t_ms: u64,
    /// Bytes of its signals, as JSON.
    pub(crate) signals: u32,
    pub(crate) stream: Stream,
    /// Bytes of the line end.
    pub(crate) end: u8,
}

/// Where the next line of each stream begins, and how much was said before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Positions {
    /// In `output`, `errors` and `notes`: in the order of [`number`].
    pub(crate) of: [u64; 3],
    /// Bytes of all lines, without their ends.
    pub(crate) said: u64,
}

/// How long a record is.
pub(crate) const SIZE: usize = 56;
const CHECK: usize = SIZE - 2;

/// The place of a stream among the three.
pub(crate) fn number(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
        Stream::Host => 2,
    }
}

impl Record {
    /// Where its line begins in the file of its stream.
    pub(crate) fn line_at(&self) -> u64 {
        self.at.of[number(self.stream)]
    }

    /// Where its signals begin in the notes.
    pub(crate) fn signals_at(&self) -> u64 {
        let own = if self.stream == Stream::Host { self.length + u64::from(self.end) } else { 0 };
        self.at.of[number(Stream::Host)] + own
    }

    /// Where everything stands after it.
    pub(crate) fn after(&self) -> Positions {
        let mut after = self.at;
        after.of[number(self.stream)] += self.length + u64::from(self.end);
        after.of[number(Stream::Host)] += u64::from(self.signals);
        after.said += self.length;
        after
    }

    /// As it is written. The number of the event is not written, but checked.
    pub(crate) fn encode(&self, seq: u64, to: &mut Vec<u8>) {
        let begin = to.len();
        let [output, errors, notes] = self.at.of;
        for number in [output, errors, notes, self.at.said, self.length, self.t_ms] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        to.extend_from_slice(&self.signals.to_le_bytes());
        to.extend_from_slice(&[number(self.stream) as u8, self.end]);
        let check = check(seq, &to[begin..]);
        to.extend_from_slice(&check.to_le_bytes());
    }

    /// `None` if these bytes are not that event: they were never written, or not all of them.
    pub(crate) fn decode(seq: u64, bytes: &[u8]) -> Option<Record> {
        let (body, written) = bytes.get(..SIZE)?.split_at(CHECK);
        if check(seq, body).to_le_bytes() != written {
            return None;
        }
        let eight = |at: usize| Some(u64::from_le_bytes(body.get(8 * at..8 * at + 8)?.try_into().ok()?));
        Some(Record {
            at: Positions { of: [eight(0)?, eight(1)?, eight(2)?], said: eight(3)? },
            length: eight(4)?,
            t_ms: eight(5)?,
            signals: u32::from_le_bytes(body[48..52].try_into().ok()?),
            stream: [Stream::Stdout, Stream::Stderr, Stream::Host].get(usize::from(body[52])).copied()?,
            end: body[53],
        })
    }
}

/// Tells what is torn, not what is forged.
fn check(seq: u64, body: &[u8]) -> u16 {
    let fold = |hash: u64, eight: &[u8]| {
        let mut word = [0; 8];
        word[..eight.len()].copy_from_slice(eight);
        (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let hash = body.chunks(8).fold(!seq, fold);
    // Nought is for what was never written.
    ((hash ^ (hash >> 16) ^ (hash >> 32) ^ (hash >> 48)) as u16).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record {
        at: Positions { of: [4096, 17, 99], said: 4000 },
        length: 10,
        t_ms: 1234,
        signals: 7,
        stream: Stream::Host,
        end: 1,
    };

    #[test]
    fn a_record_comes_back_under_its_own_number_only() {
        let mut bytes = Vec::new();
        RECORD.encode(3, &mut bytes);
        assert_eq!(bytes.len(), SIZE);
        assert_eq!(Record::decode(3, &bytes), Some(RECORD));
        assert_eq!(Record::decode(4, &bytes), None);
    }

    #[test]
    fn what_is_torn_or_was_never_written_is_no_record() {
        let mut bytes = Vec::new();
        RECORD.encode(3, &mut bytes);
        for torn in 0..SIZE {
            let mut half = bytes.clone();
            half[torn..].fill(0);
            assert_eq!(Record::decode(3, &half).is_some(), half == bytes, "torn at {torn}");
            assert_eq!(Record::decode(3, &bytes[..torn]), None);
        }
        assert_eq!(Record::decode(1, &[0; SIZE]), None);
    }

    #[test]
    fn an_event_ends_where_the_next_one_begins() {
        assert_eq!(RECORD.signals_at(), 99 + 11);
        assert_eq!(RECORD.after(), Positions { of: [4096, 17, 99 + 11 + 7], said: 4010 });
        let out = Record { stream: Stream::Stdout, ..RECORD };
        assert_eq!((out.line_at(), out.signals_at()), (4096, 99));
        assert_eq!(out.after(), Positions { of: [4107, 17, 106], said: 4010 });
    }
}
