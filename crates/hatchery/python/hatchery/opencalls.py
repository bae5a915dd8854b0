"""The calls in progress of a worker that runs several at once."""

from __future__ import annotations

import threading
from typing import Optional

from .calls import Call, raise_if_cancelled


class OpenCalls:
    """Which calls run, which were read and not begun, and which were cancelled before they came.

    One lock guards all of it. Each call has a condition of its own over that lock, so that news of one call
    wakes only those who wait for it.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._open: dict[int, Optional[Call]] = {}
        self._highest = 0
        self._cancelled: set[int] = set()

    def expect(self, id: int) -> None:
        """The CALL has been read; who read it will `begin` it."""
        with self._lock:
            self._open[id] = None
            self._highest = max(self._highest, id)

    def begin(self, call: Call) -> None:
        call.changed = threading.Condition(self._lock)
        with self._lock:
            self._open[call.id] = call
            if call.id in self._cancelled:
                self._cancelled.discard(call.id)
                call.cancelled = True

    def end(self, call: Call) -> None:
        with self._lock:
            del self._open[call.id]

    def cancel(self, id: int) -> None:
        """A CANCEL, for a call that runs or for one still to come."""
        with self._lock:
            call = self._open.get(id)
            if call is not None:
                call.cancelled = True
                call.changed.notify_all()
            elif id in self._open or id > self._highest:
                self._cancelled.add(id)
        _interrupt(call)

    def grant(self, id: int, credit: int) -> None:
        """A CREDIT; one for a call that has ended is of no use."""
        with self._lock:
            call = self._open.get(id)
            if call is not None:
                call.granted += credit
                call.changed.notify_all()
        _interrupt(call)

    def condition_of(self, call: Call) -> threading.Condition:
        """What is notified when something changes for the call."""
        return call.changed

    def wait_for_credit(self, call: Call) -> None:
        """Returns when a chunk may be sent; raises when the call is given up instead."""
        if call.granted <= call.spent and not call.cancelled:
            with call.changed:
                call.changed.wait_for(lambda: call.cancelled or call.granted > call.spent)
        raise_if_cancelled(call)

    def abandon(self) -> None:
        """In a forked child: whoever held the lock is not there."""
        self.__init__()


def _interrupt(call: Optional[Call]) -> None:
    """Reaches a coroutine, which waits on its event loop and not on the condition."""
    interrupt = None if call is None else call.interrupt
    if interrupt is not None:
        interrupt()
