"""Which calls this worker has begun, for its host to read should it die; and which it has given back instead."""

from __future__ import annotations

import mmap
import os
import sys
import threading


class Ledger:
    """The page of memory behind `fd`, and the spans of calls that the host has asked for.

    `begins` notes a call as begun and then looks for a span; `give_back` notes a span and then looks for what was begun. So
    whichever comes second sees the other, and a call that nobody asks for takes no lock. Only an interpreter without a global
    lock could let both miss each other; there, each call takes one.
    """

    def __init__(self, fd: int):
        self._begun = memoryview(mmap.mmap(fd, 0)).cast("Q")
        os.close(fd)
        self._lock = threading.Lock()
        self._given: list[tuple[int, int]] = []
        self._always_locked = not getattr(sys, "_is_gil_enabled", lambda: True)()

    def begins(self, id: int) -> bool:
        """Whether the call that comes next is to be run. The loop asks before it does anything for it."""
        self._begun[0] = id
        return not (self._given or self._always_locked) or self._is_ours(id)

    def give_back(self, first: int, count: int) -> tuple[int, int]:
        """Of so many calls from `first` on, the first that has not begun and will not, and how many from there."""
        end = first + count
        with self._lock:
            self._given.append((first, end))
            first = min(max(first, self._begun[0] + 1), end)
            self._given[-1] = first, end
        return first, end - first

    def _is_ours(self, id: int) -> bool:
        with self._lock:
            self._given = [(first, end) for first, end in self._given if end > id]
            return not any(first <= id for first, _ in self._given)
