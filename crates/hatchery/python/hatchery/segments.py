"""The segments that the host has introduced (wire.md 2.3): what came in them, what is sent from them.

Whoever receives an item holds its place until he says RELEASE. Here a place is held by the views into it: when the last
Python object that looks there is gone, RELEASE goes out, from whichever thread that happens in.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import Any, Callable, NamedTuple, Optional

from . import wire
from .arena import Arena
from .channel import Gone, Writer
from .memory import Mapping, address_of, copy
from .wire import Breach

#: How long a frame on data waits for the SEGMENT that it needs.
PATIENCE = 10.0
_ALIGNMENT = 64
_MOST = 2**32 - 1


class Place(NamedTuple):
    """Where a value lies that is sent by reference, and what keeps it there."""

    segment: int
    offset: int
    kept: Any


class Segment:
    """One segment, from which items come."""

    def __init__(self, number: int, mapping: Mapping, release: Callable[[int, int], None]):
        self.number = number
        self.size = mapping.size
        self.find = mapping.find
        self.private = mapping.private
        self._look = mapping.look
        self._release = release

    def receive(self, offset: int, length: int) -> memoryview:
        """A read-only view of an item, which from now on is held until nothing looks there any more."""
        return self._look(offset, length, partial(self._release, self.number, offset))


class Nowhere:
    """Segment 0: what lies on a device. A number is held like a place."""

    size = 0

    def __init__(self, release: Callable[[int, int], None]):
        self._release = release

    def receive(self, number: int, length: int) -> Any:
        return _Held(partial(self._release, 0, number))

    def find(self, address: int, length: int) -> Optional[int]:
        return None


class _Held:
    """Calls `gone` when it is gone."""

    def __init__(self, gone: Callable[[], None]):
        self._gone = gone

    def __del__(self):
        self._gone()


class Lendings:
    """What the host holds of this worker's without a place: by number, until it is released."""

    def __init__(self):
        self._numbers = itertools.count(1)
        self._lent: dict[int, Any] = {}

    def number(self) -> int:
        return next(self._numbers)

    def lend(self, number: int, lending: Any) -> None:
        self._lent[number] = lending

    def lent(self, number: int) -> Any:
        return self._lent[number]

    def released(self, number: int) -> None:
        if number not in self._lent:
            raise Breach(f"state: RELEASE of number {number}, under which nothing is lent")
        self._lent.pop(number).end()


class Unmapped:
    """A segment for which this process has no room among its addresses: its items are read, and not held."""

    def __init__(self, number: int, fd: int, size: int, release: Callable[[int, int], None]):
        self.number = number
        self.size = size
        self._fd = fd
        self._release = release

    def receive(self, offset: int, length: int) -> memoryview:
        content = memoryview(bytearray(length))
        have = 0
        while have < length:
            have += os.preadv(self._fd, [content[have:]], offset + have)
        self._release(self.number, offset)
        return content.toreadonly()

    def private(self, offset: int, length: int, kept: Any) -> memoryview:
        return memoryview(bytearray(kept))

    def find(self, address: int, length: int) -> Optional[int]:
        return None


class Segments:
    """All segments of this worker. Usable from any thread."""

    def __init__(self, writer: Writer, on_full: Callable[[int], None] = lambda length: None):
        self._writer = writer
        self._on_full = on_full
        self._process = os.getpid()
        self._segments: dict[int, Any] = {0: Nowhere(self.release)}
        self.lendings = Lendings()
        self._introduced = threading.Condition()
        self._own: Optional[int] = None
        self._arena: Optional[Arena] = None
        self.threshold = sys.maxsize  # Until there is a segment.

    def introduce(self, number: int, body: dict[str, Any], fd: int) -> None:
        """A SEGMENT and its descriptor."""
        size, access = _number(body, "size"), body.get("access")
        keep, threshold = _number(body, "keep"), _number(body, "threshold")
        if not 0 < number <= _MOST or number in self._segments:
            raise Breach(f"state: SEGMENT has the number {number}, which is used or none")
        if not size or access not in ("read", "write") or (access == "write" and self._arena):
            raise Breach(f"body: SEGMENT {number} of {size} bytes with access {access!r} cannot be")
        if os.fstat(fd).st_size < size:  # A look behind its end would be a signal that ends this process.
            raise Breach(f"body: SEGMENT {number} has {os.fstat(fd).st_size} bytes, not {size}")
        mapping = _map(fd, size, access == "write")
        with self._introduced:
            self.threshold = threshold
            if access == "write" and mapping is not None:
                self._own, self._arena = number, Arena(mapping, keep, self._on_full)
            of_segment: Any = Unmapped(number, fd, size, self.release)
            self._segments[number] = of_segment if mapping is None else Segment(number, mapping, self.release)
            self._introduced.notify_all()

    def known(self, number: Any) -> Any:
        """The segment of an item that came on control, before which its SEGMENT has come."""
        segment = self._segments.get(number) if type(number) is int else None
        if segment is None:
            raise Breach(f"table: an item lies in segment {number!r}, which was never introduced")
        return segment

    def awaited(self, number: Any) -> Any:
        """The segment of an item that came on data, whose SEGMENT may still be on its way."""
        if type(number) is int and number not in self._segments:
            with self._introduced:
                self._introduced.wait_for(lambda: number in self._segments, PATIENCE)
        return self.known(number)

    def release(self, number: int, offset: int) -> None:
        """Says RELEASE. Called by finalisers too; in a forked child nothing was received."""
        if os.getpid() == self._process:
            with suppress(Gone):  # The reader of the next call finds out.
                self._writer.send(wire.frame(wire.RELEASE, offset, extra=number))

    def released(self, number: int, offset: int) -> None:
        """A RELEASE of the host's."""
        if number == 0:
            return self.lendings.released(offset)
        if self._arena is None or number != self._own:
            raise Breach(f"state: RELEASE in segment {number}, which this worker does not write")
        self._arena.released(offset)

    def room(self, length: int) -> Optional[memoryview]:
        """Writable memory that need not be copied when it is sent, or None where there is none to be had."""
        if self._arena is None or not 0 < length >= self.threshold or os.getpid() != self._process:
            return None
        return self._arena.room(length)

    def place(self, flat: memoryview) -> Optional[Place]:
        """Where a contiguous value lies that is long enough to be shared: where it is already, or in a place of its own."""
        if not 0 < flat.nbytes >= self.threshold:
            return None
        address = address_of(flat)
        for segment in list(self._segments.values()):
            offset = segment.find(address, flat.nbytes)
            if offset is not None and offset % _ALIGNMENT == 0:
                return Place(segment.number, offset, flat)
        room = self.room(flat.nbytes)
        if room is None:
            return None
        copy(room, flat)
        return self.place_of(room)

    def place_of(self, room: memoryview) -> Place:
        """The place that `room` has given."""
        assert self._own is not None and self._arena is not None
        return Place(self._own, address_of(room) - self._arena.mapping.base, room)

    def sent(self, place: Place) -> None:
        """An item there is about to be sent: from then on the host holds it, too."""
        if place.segment == self._own and self._arena is not None:
            self._arena.sent(place.offset)


def _number(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if type(value) is not int or value < 0:
        raise Breach(f"body: SEGMENT has a `{name}` that is no number of bytes: {value!r}")
    return value


def _map(fd: int, size: int, writable: bool) -> Optional[Mapping]:
    try:
        return Mapping(fd, size, writable)
    except (OSError, ValueError, OverflowError):
        return None
