"""What comes beside the JSON: the table of a frame and its items, wherever they lie (wire.md 2.1)."""

from __future__ import annotations

import re
import sys
from math import prod
from typing import Any, Callable, Optional

from .errors import ValidationError
from .wire import Breach

_ALIGNMENT = 64
# A NumPy type string: byte order, kind, size, and for times their unit.
_TYPE_STRING = re.compile(r"[<>|]([biufcmMSUV])([0-9]+)(?:\[\w+\])?")
_BYTES_PER_CHARACTER = 4  # of kind U
# memoryview's letters, for readers without NumPy.
_LETTERS = {
    "b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f4": "f", "f8": "d",
}  # fmt: skip

Find = Callable[[Any], Any]


class Item:
    """One attachment that came in: a read-only view of where it lies and, for arrays, what it is."""

    __slots__ = ("kind", "view", "dtype", "shape", "device", "ipc", "held", "_private")

    def __init__(self, kind: str, view: memoryview, private: Callable[[], memoryview]):
        self.kind = kind
        self.view = view
        self.dtype = ""
        self.shape: tuple = ()
        # Of kind `cuda` only: where it is, how it is opened there, and what is to live as long as it is looked at.
        self.device = self.ipc = ""
        self.held: Any = None
        self._private = private

    def writable(self) -> memoryview:
        """A view of the same content that may be written to, which nobody else sees."""
        return self._private()

    def as_bytes(self) -> bytes:
        return bytes(self.view)

    def as_array(self, writable: bool = False) -> Any:
        """A NumPy array over the item's place, or a memoryview where there is no NumPy."""
        view = self.writable() if writable else self.view
        try:
            import numpy
        except ImportError:
            return self._as_memoryview(view)
        try:
            return numpy.frombuffer(view, dtype=self.dtype).reshape(self.shape)
        except (TypeError, ValueError) as error:
            about = f"{len(self.shape)} dimensions of {self.dtype}"
            raise ValidationError(f"NumPy has no array of {about}: {error}") from None

    def _as_memoryview(self, view: memoryview) -> memoryview:
        letter = _LETTERS.get(self.dtype[1:])
        native = self.dtype[0] == "|" or (self.dtype[0] == "<") == (sys.byteorder == "little")
        if letter is None or not native or not prod(self.shape):
            return view
        return view.cast(letter, self.shape)


class Received:
    """The attachments of one frame. As long as they are here, their places in segments are held."""

    __slots__ = ("mark", "items")

    def __init__(self, mark: str, items: list[Item]):
        self.mark = mark
        self.items = items

    def take(self) -> list[Item]:
        """The items, which are then the caller's to hold."""
        items, self.items = self.items, []
        return items


def parse_table(table: Any, data: Any, find: Optional[Find] = None) -> Received:
    """The mark and the items, or a Breach that says what is wrong with the table. `find` gives the segment of a number."""
    mark, entries = (table.get("mark"), table.get("items")) if type(table) is dict else (None, None)
    if type(mark) is not str or type(entries) is not list:
        raise Breach("table: it must have a `mark` and `items`")
    parse = _Parser(memoryview(data), find)
    for number, entry in enumerate(entries):
        try:
            parse.entry(entry)
        except (KeyError, TypeError, ValueError) as error:
            raise Breach(f"table: item {number}: {error!r}") from None
    return Received(mark, parse.items)


def resolve(value: Any, mark: str, make: Callable[[int], Any]) -> Any:
    """The tree with every mark replaced by what `make` gives for its index. Works in place."""
    if type(value) is dict:
        if len(value) == 1 and mark in value:
            return make(value[mark])
        for key, item in value.items():
            value[key] = resolve(item, mark, make)
    elif type(value) is list:
        value[:] = [resolve(item, mark, make) for item in value]
    return value


class _Parser:
    """The items of one table, one after another."""

    def __init__(self, data: memoryview, find: Optional[Find]):
        self.items: list[Item] = []
        self._data = data
        self._find = find
        self._end = 0  # of the last item in the frame

    def entry(self, entry: dict) -> None:
        kind, offset, length = entry["kind"], entry["offset"], entry["length"]
        if type(offset) is not int or type(length) is not int or offset < 0 or length < 0:
            raise ValueError(f"offset {offset!r} and length {length!r} must be numbers from 0 on")
        if kind not in _KINDS:
            raise ValueError(f"unknown kind {kind!r}")
        about = _KINDS[kind](entry, length)
        if kind == "cuda":
            item = self._on_device(kind, offset)
        elif offset % _ALIGNMENT:
            raise ValueError(f"offset {offset} must be a multiple of {_ALIGNMENT}")
        elif "segment" in entry:
            item = self._in_segment(kind, entry["segment"], offset, length)
        else:
            item = self._in_frame(kind, offset, length)
        for name, value in about.items():
            setattr(item, name, value)
        self.items.append(item)

    def _in_frame(self, kind: str, offset: int, length: int) -> Item:
        if offset < self._end:
            raise ValueError(f"offset {offset} must rise: the item before ends at {self._end}")
        if offset + length > len(self._data):
            raise ValueError(f"{length} bytes at {offset} lie outside the {len(self._data)} bytes of data")
        self._end = offset + length
        view = self._data[offset : offset + length]
        return Item(kind, view.toreadonly(), lambda: view if not view.readonly else memoryview(bytearray(view)))

    def _in_segment(self, kind: str, number: Any, offset: int, length: int) -> Item:
        if self._find is None:
            raise ValueError("it lies in a segment, and `segments` was not agreed")
        segment = self._find(number or None)  # 0 is for what lies in none.
        if offset + length > segment.size:
            raise ValueError(f"{length} bytes at {offset} lie outside the {segment.size} bytes of segment {number}")
        view = segment.receive(offset, length)
        return Item(kind, view, lambda: _private(segment, offset, view))

    def _on_device(self, kind: str, number: int) -> Item:
        if self._find is None:
            raise ValueError("it lies on a device, and `segments` was not agreed")
        item = Item(kind, memoryview(b""), lambda: memoryview(bytearray()))
        item.held = self._find(0).receive(number, 0)
        return item


def _private(segment: Any, offset: int, view: memoryview) -> memoryview:
    """The pages of a place until they are written to; a copy, where the system has no more mappings to give."""
    try:
        return segment.private(offset, view.nbytes, kept=view)
    except (OSError, ValueError):
        return memoryview(bytearray(view))


def _plain(entry: dict, length: int) -> dict[str, Any]:
    return {}


def _array(entry: dict, length: int) -> dict[str, Any]:
    shape, size = _shape_and_size(entry)
    if prod(shape) * size != length:
        raise ValueError(f"shape {list(shape)} of {entry['dtype']} does not fill {length} bytes")
    return {"dtype": entry["dtype"], "shape": shape}


def _cuda(entry: dict, length: int) -> dict[str, Any]:
    shape, _ = _shape_and_size(entry)
    device, ipc = entry["device"], entry["ipc"]
    if length or "segment" in entry or type(device) is not str or type(ipc) is not str:
        raise ValueError("kind cuda has a `device` and an `ipc`, and no place")
    return {"dtype": entry["dtype"], "shape": shape, "device": device, "ipc": ipc}


def _shape_and_size(entry: dict) -> tuple[tuple, int]:
    dtype, shape = entry["dtype"], entry["shape"]
    known = _TYPE_STRING.fullmatch(dtype) if type(dtype) is str else None
    if known is None:
        raise ValueError(f"dtype {dtype!r} is no type string")
    if type(shape) is not list or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"shape {shape!r} is no list of lengths")
    kind, size = known.groups()
    return tuple(shape), int(size) * (_BYTES_PER_CHARACTER if kind == "U" else 1)


_KINDS: dict[Any, Callable[[dict, int], dict[str, Any]]] = {
    "bytes": _plain, "arrow": _plain, "array": _array, "cuda": _cuda,
}  # fmt: skip
