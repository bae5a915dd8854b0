"""What goes out beside the JSON: marks in the body, a table, and the data section or places in segments (wire.md 2.1)."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any, Callable, Optional

from .jsonlib import write_plain

MARK = "$hy:" + os.urandom(8).hex()
_ALIGNMENT = 64
_NUMERIC = "biufc"


class Parts(list):
    """A frame in pieces. What its items look at stays as it is until the frame has been written."""

    __slots__ = ("kept", "cost")

    def __init__(self, parts: list, kept: list, cost: int):
        super().__init__(parts)
        self.kept = kept
        self.cost = cost


class Outgoing:
    """The attachments of one frame, in the order in which their marks were made. `sharing` (a `Segments`) finds or makes places
    for the long ones; what it has none for goes with the frame."""

    __slots__ = ("items", "parts", "length", "shared", "_sharing", "_kept", "_sent")

    def __init__(self, sharing: Any = None):
        self.items: list[dict[str, Any]] = []
        self.parts: list[Any] = []
        self.length = 0
        self.shared = 0
        self._sharing = sharing
        self._kept: list[Any] = []
        self._sent: list[Callable[[], None]] = []

    def add_bytes(self, value) -> dict[str, int]:
        view = memoryview(value)
        flat = view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())
        return self.add({"kind": "bytes"}, flat)

    def add_array(self, array) -> dict[str, int]:
        entry = {"kind": "array", "dtype": array.dtype.str, "shape": list(array.shape)}
        numpy = sys.modules["numpy"]
        if not array.flags.c_contiguous:
            room = self.room(array.nbytes)
            if room is not None:
                numpy.copyto(numpy.frombuffer(room, dtype=array.dtype).reshape(array.shape), array)
                return self.add_room(entry, room)
        # Without its subclass: a matrix would keep two dimensions whatever shape it is given.
        array = numpy.ascontiguousarray(array).reshape(array.shape)
        return self.add(entry, memoryview(array.reshape(-1).view("u1")))

    def add(self, entry: dict[str, Any], flat: memoryview) -> dict[str, int]:
        """An item of contiguous bytes: where they lie already, in a place of their own, or in the frame."""
        place = None if self._sharing is None else self._sharing.place(flat)
        if place is not None:
            return self._refer(entry, place, flat.nbytes)
        gap = -self.length % _ALIGNMENT
        if gap:
            self.parts.append(bytes(gap))
        entry["offset"], entry["length"] = self.length + gap, flat.nbytes
        if flat.nbytes:
            self.parts.append(flat)
        self.length += gap + flat.nbytes
        return self._mark(entry)

    def room(self, length: int) -> Optional[memoryview]:
        """A place in a segment to write an item of this length to, for `add_room`; None where it goes with the frame."""
        return None if self._sharing is None else self._sharing.room(length)

    def add_room(self, entry: dict[str, Any], room: memoryview) -> dict[str, int]:
        return self._refer(entry, self._sharing.place_of(room), room.nbytes)

    def add_elsewhere(self, entry: dict[str, Any], number: int, sent: Callable[[], None]) -> dict[str, int]:
        """An item without bytes; `sent` is called when it is about to go."""
        entry["offset"], entry["length"] = number, 0
        self._sent.append(sent)
        return self._mark(entry)

    def keep(self, value: Any) -> None:
        """Keeps something until the frame has been written."""
        self._kept.append(value)

    def table(self) -> bytes:
        return write_plain({"mark": MARK, "items": self.items})

    def frame(self, head: bytes) -> Parts:
        """The parts of the frame, which will be sent: from now on its receiver holds what it refers to."""
        for sent in self._sent:
            sent()
        cost = len(head) + self.length + self.shared
        return Parts([head, *self.parts], self._kept, cost)

    def _refer(self, entry: dict[str, Any], place: Any, length: int) -> dict[str, int]:
        entry["segment"], entry["offset"], entry["length"] = place.segment, place.offset, length
        self.shared += length
        self._kept.append(place)
        self._sent.append(partial(self._sharing.sent, place))  # Without a way back here: a cycle would hold the place.
        return self._mark(entry)

    def _mark(self, entry: dict[str, Any]) -> dict[str, int]:
        self.items.append(entry)
        return {MARK: len(self.items) - 1}


def is_array(value: Any) -> bool:
    """Whether the value is a NumPy array of whatever kind."""
    ndarray = getattr(sys.modules.get("numpy"), "ndarray", None)
    return ndarray is not None and isinstance(value, ndarray)


def is_numeric_array(value: Any) -> bool:
    """Whether the value is a NumPy array that travels as it lies in memory."""
    # A masked array's mask would be lost; extended precision has no name that others know.
    return is_array(value) and value.dtype.kind in _NUMERIC and value.dtype.itemsize <= 16 \
        and value.dtype.str[1:] != "f16" and not hasattr(value, "mask")
