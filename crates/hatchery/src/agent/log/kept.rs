//! How much of a run's log is still there, and how much of it is to be forgotten.

use std::io;

use super::record::{self, Positions};

/// What is still there. It is also the header of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The first event that can still be read.
    pub(crate) first: u64,
    /// The first one whose record is there: of those before `first` nothing but how much they said.
    pub(crate) indexed: u64,
    /// Where what is kept begins in `output`, `errors` and `notes`.
    pub(crate) at: [u64; 3],
    /// What lies at the beginning of these files. More than nought once an agent has emptied what it writes to.
    pub(crate) base: [u64; 3],
}

const MAGIC: u64 = u64::from_le_bytes(*b"hatchlg1");

/// Of the cap, what the index may have; the lines may have the rest.
const INDEX_SHARE: u64 = 4;
/// What is forgotten at once, so that it is not done at every line.
const STEP_SHARE: u64 = 16;

impl Kept {
    /// Everything.
    pub(crate) const ALL: Kept = Kept { first: 1, indexed: 1, at: [0; 3], base: [0; 3] };

    /// As it is written.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let numbers = [MAGIC, self.first, self.indexed].into_iter().chain(self.at).chain(self.base);
        numbers.flat_map(u64::to_le_bytes).collect()
    }

    /// Of a header that was never written: everything.
    pub(crate) fn decode(bytes: &[u8]) -> Kept {
        let numbers: Vec<u64> = bytes.as_chunks().0.iter().map(|eight| u64::from_le_bytes(*eight)).collect();
        match numbers[..] {
            [MAGIC, first, indexed, a, b, c, d, e, f, ..] => Kept { first, indexed, at: [a, b, c], base: [d, e, f] },
            _ => Kept::ALL,
        }
    }

    /// What is kept from now on, if this is too much: whole events from the oldest on, but never the last one; then the
    /// beginning of what is left, which is one very long line.
    ///
    /// `end`: where everything ends that was read. `place`: where an event begins.
    pub(crate) fn within(
        &self,
        cap: u64,
        last: u64,
        end: [u64; 3],
        place: impl Fn(u64) -> io::Result<Positions>,
    ) -> io::Result<Option<Kept>> {
        let (for_index, step) = (cap / INDEX_SHARE, cap / STEP_SHARE);
        let for_lines = cap - for_index;
        let index = (last + 1 - self.indexed) * record::SIZE as u64;
        let lines = between(&self.at, &end);
        if index <= for_index && lines <= for_lines {
            return Ok(None);
        }
        let mut kept = *self;
        if index > for_index {
            let records = (for_index - step) / record::SIZE as u64;
            kept.indexed = (last + 1).saturating_sub(records).clamp(self.indexed, last);
            kept.first = kept.first.max(kept.indexed);
        }
        if kept.first <= last {
            let excess = lines.saturating_sub(for_lines - step);
            let behind = |seq| Ok(between(&self.at, &place(seq)?.of) >= excess);
            kept.first = if lines > for_lines { first_behind(kept.first, last, behind)? } else { kept.first };
            kept.begin_at(place(kept.first)?.of);
        }
        let lines = between(&kept.at, &end);
        if lines > for_lines {
            kept.shorten(lines - (for_lines - step), &end);
        }
        Ok(Some(kept))
    }

    fn begin_at(&mut self, at: [u64; 3]) {
        self.at.iter_mut().zip(at).for_each(|(kept, at)| *kept = at.max(*kept));
    }

    /// Takes so much from the stream that has the most.
    fn shorten(&mut self, excess: u64, end: &[u64; 3]) {
        let spans = self.at.iter_mut().zip(end);
        if let Some((at, end)) = spans.max_by_key(|(at, end)| end.saturating_sub(**at)) {
            *at = (*at + excess).min(*end);
        }
    }
}

fn between(from: &[u64; 3], to: &[u64; 3]) -> u64 {
    from.iter().zip(to).map(|(from, to)| to.saturating_sub(*from)).sum()
}

/// The first of them for which it holds, as it does for all behind that one; the last one, if for none.
fn first_behind(mut from: u64, mut last: u64, holds: impl Fn(u64) -> io::Result<bool>) -> io::Result<u64> {
    while from < last {
        let middle = from + (last - from) / 2;
        if holds(middle)? {
            last = middle;
        } else {
            from = middle + 1;
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of a hundred bytes each, on one stream.
    fn place(seq: u64) -> io::Result<Positions> {
        Ok(Positions { of: [(seq - 1) * 100, 0, 0], said: (seq - 1) * 99 })
    }

    fn within(kept: &Kept, cap: u64, last: u64) -> Option<Kept> {
        kept.within(cap, last, [last * 100, 0, 0], place).unwrap()
    }

    #[test]
    fn nothing_is_forgotten_until_it_is_too_much() {
        assert_eq!(within(&Kept::ALL, 16_000, 0), None);
        // Lines may have three quarters.
        assert_eq!(within(&Kept::ALL, 16_000, 71), None);
        let kept = Kept { indexed: 100, ..Kept::ALL };
        assert_eq!(kept.within(16_000, 120, [12_000, 0, 0], place).unwrap(), None);
        assert!(kept.within(16_000, 120, [12_001, 0, 0], place).unwrap().is_some());
    }

    #[test]
    fn whole_events_go_and_a_step_more_than_need_be() {
        let kept = Kept { indexed: 100, ..Kept::ALL };
        let now = kept.within(16_000, 121, [12_100, 0, 0], place).unwrap().unwrap();
        // 1100 bytes are too many with the step of 1000.
        assert_eq!(now, Kept { first: 12, indexed: 100, at: [1100, 0, 0], base: [0; 3] });
        assert_eq!(now.within(16_000, 121, [12_100, 0, 0], place).unwrap(), None);
    }

    #[test]
    fn a_full_index_forgets_events_too() {
        let now = within(&Kept::ALL, 16_000, 72).unwrap();
        // 3000 bytes are 53 records.
        assert_eq!(now, Kept { first: 20, indexed: 20, at: [1900, 0, 0], base: [0; 3] });
    }

    #[test]
    fn the_last_event_stays_and_what_is_longer_than_all_loses_its_beginning() {
        let long = |seq| Ok(Positions { of: [(seq - 1) * 100_000, 0, 0], said: 0 });
        let now = Kept::ALL.within(16_000, 3, [300_000, 0, 500], long).unwrap().unwrap();
        assert_eq!(now, Kept { first: 3, indexed: 1, at: [300_000 - 10_500, 0, 0], base: [0; 3] });
        let nothing_yet = Kept::ALL.within(16_000, 0, [0, 50_000, 0], long).unwrap().unwrap();
        assert_eq!(nothing_yet, Kept { at: [0, 39_000, 0], ..Kept::ALL });
    }

    #[test]
    fn a_header_comes_back_and_none_is_everything() {
        let kept = Kept { first: 7, indexed: 3, at: [1, 2, 3], base: [4, 5, 6] };
        assert_eq!(Kept::decode(&kept.encode()), kept);
        assert_eq!(Kept::decode(&[]), Kept::ALL);
        assert_eq!(Kept::decode(&[0; 4096]), Kept::ALL);
    }
}
