//! Who has which part of a segment. Plain arithmetic in private memory: no crash of another process can damage it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Best fit, the lowest of equals, neighbours joined. Knows besides which parts have pages behind them (*warm*), so that its owner
/// gets pages from the kernel only where there are none, and gives back what lies idle.
#[derive(Debug)]
pub(super) struct Allocator {
    grain: u64,
    /// Start and length of what is free. No two touch.
    free: BTreeMap<u64, u64>,
    /// The same by length, then start.
    by_length: BTreeSet<(u64, u64)>,
    /// What has pages, free or not.
    warm: Spans,
    /// Bytes that are not free.
    used: u64,
    slots: usize,
}

/// A part that was given out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) range: Range<u64>,
    /// The parts of it that have no pages yet. They count as warm from now on.
    pub(super) cold: Vec<Range<u64>>,
}

impl Allocator {
    /// For `size` bytes, given out in multiples of `grain`, which is that of the pages.
    pub(super) fn new(size: u64, grain: u64) -> Allocator {
        let mut allocator = Allocator {
            grain,
            free: BTreeMap::new(),
            by_length: BTreeSet::new(),
            warm: Spans::default(),
            used: 0,
            slots: 0,
        };
        allocator.add(0, size / grain * grain);
        allocator
    }

    /// Room for so many bytes, if there is any in one piece.
    pub(super) fn take(&mut self, length: u64) -> Option<Taken> {
        let length = length.max(1).checked_next_multiple_of(self.grain)?;
        let (found, start) = *self.by_length.range((length, 0)..).next()?;
        self.remove(start, found);
        self.add(start + length, found - length);
        self.used += length;
        self.slots += 1;
        let range = start..start + length;
        let cold = self.warm.gaps(&range);
        self.warm.insert(range.clone());
        Some(Taken { range, cold })
    }

    /// What was taken is free again.
    pub(super) fn give(&mut self, range: Range<u64>) {
        self.slots -= 1;
        self.put_back(range);
    }

    /// There was no memory for what was taken: it is free again, and cold.
    pub(super) fn failed(&mut self, range: Range<u64>) {
        self.slots -= 1;
        self.cooled(range);
    }

    /// Takes out what is free and warm beyond `keep` bytes, the highest first, so that its owner can give the pages back. It is
    /// nobody's until [`Allocator::cooled`].
    pub(super) fn excess(&mut self, keep: u64) -> Vec<Range<u64>> {
        let mut idle = self.warm.total().saturating_sub(self.used);
        let mut out = Vec::new();
        while idle > keep {
            let Some(range) = self.highest_idle(idle - keep) else { break };
            idle -= range.end - range.start;
            self.reserve(&range);
            out.push(range);
        }
        out
    }

    /// The pages of this part are gone, and it is free.
    pub(super) fn cooled(&mut self, range: Range<u64>) {
        self.warm.remove(&range);
        self.put_back(range);
    }

    /// Bytes that are given out.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// How many parts are given out.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// The last bytes that are free and warm: at most `most`, in whole grains, but one grain at least.
    fn highest_idle(&self, most: u64) -> Option<Range<u64>> {
        let most = most.next_multiple_of(self.grain);
        self.free.iter().rev().find_map(|(&start, &length)| {
            let warm = self.warm.last_within(&(start..start + length))?;
            Some(warm.start.max(warm.end.saturating_sub(most))..warm.end)
        })
    }

    /// Takes a part out of the middle of what is free.
    fn reserve(&mut self, range: &Range<u64>) {
        if let Some((&start, &length)) = self.free.range(..=range.start).next_back() {
            self.remove(start, length);
            self.add(start, range.start - start);
            self.add(range.end, start + length - range.end);
            self.used += range.end - range.start;
        }
    }

    fn put_back(&mut self, range: Range<u64>) {
        self.used -= range.end - range.start;
        let (mut start, mut end) = (range.start, range.end);
        if let Some((&before, &length)) = self.free.range(..start).next_back()
            && before + length == start
        {
            self.remove(before, length);
            start = before;
        }
        if let Some(&length) = self.free.get(&end) {
            self.remove(end, length);
            end += length;
        }
        self.add(start, end - start);
    }

    fn add(&mut self, start: u64, length: u64) {
        if length > 0 {
            self.free.insert(start, length);
            self.by_length.insert((length, start));
        }
    }

    fn remove(&mut self, start: u64, length: u64) {
        self.free.remove(&start);
        self.by_length.remove(&(length, start));
    }
}

/// A set of numbers as spans that do not touch: start and end.
#[derive(Debug, Default)]
struct Spans {
    spans: BTreeMap<u64, u64>,
    total: u64,
}

impl Spans {
    fn total(&self) -> u64 {
        self.total
    }

    /// What of the range is not in the set.
    fn gaps(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for span in self.overlapping(range) {
            if span.start > at {
                gaps.push(at..span.start);
            }
            at = at.max(span.end);
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    /// The last span of the set within the range, cut to it.
    fn last_within(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let (&start, &end) = self.spans.range(..range.end).next_back()?;
        let span = start.max(range.start)..end.min(range.end);
        (span.start < span.end).then_some(span)
    }

    fn insert(&mut self, range: Range<u64>) {
        let touching = self.cut(range.start, range.end);
        let start = touching.first().map_or(range.start, |span| span.start.min(range.start));
        let end = touching.last().map_or(range.end, |span| span.end.max(range.end));
        self.put(start..end);
    }

    fn remove(&mut self, range: &Range<u64>) {
        for span in self.cut(range.start, range.end) {
            self.put(span.start..span.end.min(range.start));
            self.put(span.start.max(range.end)..span.end);
        }
    }

    fn overlapping(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let ends_inside = |(&start, &end): (&u64, &u64)| (end > range.start).then_some(start..end);
        let mut found: Vec<_> = self.spans.range(..range.end).rev().map_while(ends_inside).collect();
        found.reverse();
        found
    }

    /// Takes out the spans that overlap or touch what lies between, in order.
    fn cut(&mut self, start: u64, end: u64) -> Vec<Range<u64>> {
        let touches = |(&from, &to): (&u64, &u64)| (to >= start).then_some(from..to);
        let mut cut: Vec<_> = self.spans.range(..=end).rev().map_while(touches).collect();
        cut.reverse();
        for span in &cut {
            self.spans.remove(&span.start);
            self.total -= span.end - span.start;
        }
        cut
    }

    fn put(&mut self, span: Range<u64>) {
        if span.start < span.end {
            self.total += span.end - span.start;
            self.spans.insert(span.start, span.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GRAIN: u64 = 4;
    const SIZE: u64 = 64 * GRAIN;

    /// One byte per grain: is it somebody's, and has it pages?
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    struct Cell {
        used: bool,
        warm: bool,
    }

    struct Model {
        cells: Vec<Cell>,
    }

    impl Model {
        fn cells(&mut self, range: &Range<u64>) -> &mut [Cell] {
            assert!(range.start.is_multiple_of(GRAIN) && range.end.is_multiple_of(GRAIN));
            &mut self.cells[(range.start / GRAIN) as usize..(range.end / GRAIN) as usize]
        }

        /// The shortest run of free cells that is long enough, and the lowest of those.
        fn best(&self, cells: usize) -> Option<u64> {
            let mut runs = Vec::new();
            let mut start = 0;
            for (at, cell) in self.cells.iter().chain([&Cell { used: true, warm: false }]).enumerate() {
                if cell.used {
                    runs.push((at - start, start));
                    start = at + 1;
                }
            }
            runs.into_iter().filter(|(length, _)| *length >= cells).min().map(|(_, start)| start as u64 * GRAIN)
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_model_that_looks_at_every_grain(
            steps in proptest::collection::vec((0..4u8, 1..90u64, any::<prop::sample::Index>()), 1..200),
        ) {
            let mut allocator = Allocator::new(SIZE + 3, GRAIN);
            let mut model = Model { cells: vec![Cell::default(); (SIZE / GRAIN) as usize] };
            let mut held: Vec<Range<u64>> = Vec::new();
            for (step, length, index) in steps {
                match step {
                    0 | 1 => {
                        let cells = length.div_ceil(GRAIN) as usize;
                        let taken = allocator.take(length);
                        prop_assert_eq!(taken.as_ref().map(|taken| taken.range.start), model.best(cells));
                        let Some(Taken { range, cold }) = taken else { continue };
                        let was_cold: Vec<bool> = model.cells(&range).iter().map(|cell| !cell.warm).collect();
                        let said: Vec<bool> = range.clone().step_by(GRAIN as usize)
                            .map(|at| cold.iter().any(|gap| gap.contains(&at))).collect();
                        prop_assert_eq!(said, was_cold);
                        model.cells(&range).fill(Cell { used: true, warm: true });
                        held.push(range);
                    }
                    2 if !held.is_empty() => {
                        let range = held.swap_remove(index.index(held.len()));
                        allocator.give(range.clone());
                        model.cells(&range).iter_mut().for_each(|cell| cell.used = false);
                    }
                    _ => {
                        let idle = |model: &Model| model.cells.iter().filter(|cell| cell.warm && !cell.used).count() as u64 * GRAIN;
                        let before = idle(&model);
                        let excess = allocator.excess(length);
                        for range in excess {
                            for cell in model.cells(&range) {
                                prop_assert!(cell.warm && !cell.used);
                                *cell = Cell::default();
                            }
                            allocator.cooled(range);
                        }
                        prop_assert!(idle(&model) <= length);
                        prop_assert!(before <= length || length - idle(&model) < GRAIN, "no more than must be");
                    }
                }
                let used = model.cells.iter().filter(|cell| cell.used).count() as u64 * GRAIN;
                prop_assert_eq!((allocator.used(), allocator.slots()), (used, held.len()));
            }
            for range in held {
                allocator.give(range);
            }
            prop_assert_eq!(&allocator.free, &BTreeMap::from([(0, SIZE)]), "all of it, in one piece");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_however_large() {
        let mut allocator = Allocator::new(SIZE, GRAIN);
        assert_eq!(allocator.take(SIZE + 1), None);
        assert_eq!(allocator.take(u64::MAX), None);
        assert_eq!(allocator.take(SIZE).map(|taken| taken.range), Some(0..SIZE));
        assert_eq!(allocator.take(1), None);
    }
}
