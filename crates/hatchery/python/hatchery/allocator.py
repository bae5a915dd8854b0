"""Which places of a segment are taken: best fit, neighbours joined. Decides only, and touches no memory."""

from __future__ import annotations

import mmap
from bisect import bisect_left, bisect_right, insort
from typing import Optional

# Places are whole pages, so that the pages of one can be given back whatever its neighbours do.
PAGE = max(4096, mmap.PAGESIZE)


class Allocator:
    """Places in `size` bytes."""

    def __init__(self, size: int):
        self._lengths: dict[int, int] = {}  # of free places, by where they begin
        self._begins: dict[int, int] = {}  # of free places, by where they end
        self._by_length: list[tuple[int, int]] = []
        self._taken: dict[int, int] = {}
        self._starts: list[int] = []  # of taken places, in order
        if size >= PAGE:
            self._add_free(0, size - size % PAGE)

    def take(self, length: int) -> Optional[int]:
        """Where so many bytes may be put: in the smallest place that holds them, the lowest of equal ones."""
        wanted = max(PAGE, -(-length // PAGE) * PAGE)
        at = bisect_left(self._by_length, (wanted, 0))
        if at == len(self._by_length):
            return None
        found, start = self._by_length[at]
        self._remove_free(start, found)
        if found > wanted:
            self._add_free(start + wanted, found - wanted)
        self._taken[start] = wanted
        insort(self._starts, start)
        return start

    def give(self, start: int) -> int:
        """Ends the use of the place that begins there, and says how long it was."""
        length = self._taken.pop(start)
        del self._starts[bisect_left(self._starts, start)]
        begin, end = start, start + length
        after = self._lengths.get(end)
        if after is not None:
            self._remove_free(end, after)
            end += after
        before = self._begins.get(begin)
        if before is not None:
            self._remove_free(before, begin - before)
            begin = before
        self._add_free(begin, end - begin)
        return length

    def length(self, start: int) -> int:
        """The length of the taken place that begins there."""
        return self._taken[start]

    def owner(self, offset: int) -> int:
        """Where the taken place begins in which `offset` lies."""
        start = self._starts[bisect_right(self._starts, offset) - 1]
        assert start <= offset < start + self._taken[start], f"offset {offset} lies in no place that is taken"
        return start

    def _add_free(self, start: int, length: int) -> None:
        self._lengths[start] = length
        self._begins[start + length] = start
        insort(self._by_length, (length, start))

    def _remove_free(self, start: int, length: int) -> None:
        del self._lengths[start], self._begins[start + length]
        del self._by_length[bisect_left(self._by_length, (length, start))]


class Warmth:
    """Which free places still have their pages: disjoint ranges, in order."""

    def __init__(self):
        self._ranges: list[tuple[int, int]] = []
        self.total = 0

    def add(self, start: int, end: int) -> None:
        """Joins a range that is not in yet to its neighbours."""
        at = bisect_left(self._ranges, (start, end))
        self.total += end - start
        if at < len(self._ranges) and self._ranges[at][0] == end:
            end = self._ranges.pop(at)[1]
        if at and self._ranges[at - 1][1] == start:
            at -= 1
            start = self._ranges.pop(at)[0]
        self._ranges.insert(at, (start, end))

    def remove(self, start: int, end: int) -> None:
        """Takes out what of a range is in."""
        first = max(0, bisect_right(self._ranges, (start, start)) - 1)
        last, kept = first, []
        while last < len(self._ranges) and self._ranges[last][0] < end:
            low, high = self._ranges[last]
            kept += [piece for piece in ((low, min(high, start)), (max(low, end), high)) if piece[0] < piece[1]]
            self.total -= max(0, min(high, end) - max(low, start))
            last += 1
        self._ranges[first:last] = kept

    def excess(self, keep: int) -> list[tuple[int, int]]:
        """Takes out what is over `keep` bytes, from the top: places at the bottom are the first to be taken again."""
        given: list[tuple[int, int]] = []
        while self.total > keep:
            low, high = self._ranges.pop()
            cut = max(low, high - (self.total - keep + PAGE - 1) // PAGE * PAGE)
            given.append((cut, high))
            self.total -= high - cut
            if cut > low:
                self._ranges.append((low, cut))
        return given
