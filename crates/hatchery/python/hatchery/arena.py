"""The segment that this worker writes: places for values that are on their way to the host.

A place is in use as long as a Python object looks into it, or the host holds an item that was sent from there.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from functools import partial
from typing import Callable, Optional

from .allocator import Allocator, Warmth
from .memory import Mapping
from .wire import Breach


class Arena:
    """Usable from any thread, finalisers included. `on_full` hears, once for each time that it lasts, how many bytes
    found no room."""

    def __init__(self, mapping: Mapping, keep: int, on_full: Callable[[int], None]):
        self.mapping = mapping
        self._keep = keep
        self._on_full = on_full
        self._allocator = Allocator(mapping.size)
        self._warmth = Warmth()
        self._users: dict[int, int] = {}  # of each place: the view that was given out, and the items sent
        self._sent: dict[int, int] = {}  # items that the host holds, by their offset
        self._refused = 0  # the shortest length that found no room since one as long did
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._left: deque[int] = deque()  # places whose view is gone

    def room(self, length: int) -> Optional[memoryview]:
        """A writable view of a place that is now the caller's, or None."""
        with self._lock:
            self._take_leave()
            start = self._allocator.take(length)
            if start is not None:
                self._users[start] = 1
                self._warmth.remove(start, start + self._allocator.length(start))
            told = self._note(start is not None, length)
        self._settle()
        if start is None:
            if not told:
                self._on_full(length)
            return None
        return self.mapping.look(start, length, partial(self._leave, start), writable=True)

    def sent(self, offset: int) -> None:
        """An item that lies there is about to be sent. A view of the place is alive."""
        with self._lock:
            self._users[self._allocator.owner(offset)] += 1
            self._sent[offset] = self._sent.get(offset, 0) + 1
        self._settle()

    def released(self, offset: int) -> None:
        """The host no longer holds an item that was sent from there."""
        with self._lock:
            held = self._sent.pop(offset, 0)
            if not held:
                raise Breach(f"state: RELEASE of offset {offset}, from which nothing was sent that is still held")
            if held > 1:
                self._sent[offset] = held - 1
            self._less(self._allocator.owner(offset))
        self._settle()

    def in_use(self) -> int:
        """How many places are taken."""
        with self._lock:
            self._take_leave()
            return len(self._users)

    def _leave(self, start: int) -> None:
        """The view of a place is gone. This comes from finalisers, so at any moment, also while this very thread has
        the lock: who has it does the rest."""
        if os.getpid() == self._process:  # In a forked child it is a copy of the view that is gone.
            self._left.append(start)
            self._settle()

    def _settle(self) -> None:
        while self._left and self._lock.acquire(blocking=False):
            try:
                self._take_leave()
            finally:
                self._lock.release()

    def _take_leave(self) -> None:
        while self._left:
            self._less(self._left.popleft())

    def _less(self, start: int) -> None:
        """One user less; after the last, the place is free, and its pages stay if they may."""
        self._users[start] -= 1
        if self._users[start]:
            return
        del self._users[start]
        self._warmth.add(start, start + self._allocator.give(start))
        for low, high in self._warmth.excess(self._keep):
            self.mapping.give_back(low, high - low)

    def _note(self, found: bool, length: int) -> bool:
        """Keeps what `on_full` has been told; whether it knows already."""
        known = 0 < self._refused <= length
        if found and known:
            self._refused = 0
        elif not found and not known:
            self._refused = length
        return known
