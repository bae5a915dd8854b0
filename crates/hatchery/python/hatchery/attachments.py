"""Binary values beside the JSON: marks in the body, a table, and a data section (wire.md 2.1)."""

from __future__ import annotations

import os
import re
import sys
from math import prod
from typing import Any, Callable, NamedTuple, Optional

from .errors import ValidationError
from .jsonlib import write_plain
from .wire import Breach

MARK = "$hy:" + os.urandom(8).hex()
_ALIGNMENT = 64
_NUMERIC = "biufc"
# A NumPy type string: byte order, kind, size, and for times their unit.
_TYPE_STRING = re.compile(r"[<>|]([biufcmMSUV])([0-9]+)(?:\[\w+\])?")
_BYTES_PER_CHARACTER = 4  # of kind U
# memoryview's letters, for readers without NumPy.
_LETTERS = {
    "b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f4": "f", "f8": "d",
}  # fmt: skip


class Outgoing:
    """The attachments of one frame, in the order in which their marks were made."""

    __slots__ = ("items", "parts", "length")

    def __init__(self):
        self.items: list[dict[str, Any]] = []
        self.parts: list[Any] = []
        self.length = 0

    def add_bytes(self, value) -> dict[str, int]:
        view = memoryview(value)
        flat = view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())
        return self._add({"kind": "bytes"}, flat)

    def add_array(self, array) -> dict[str, int]:
        # Without its subclass: a matrix would keep two dimensions whatever shape it is given.
        array = sys.modules["numpy"].ascontiguousarray(array).reshape(array.shape)
        entry = {"kind": "array", "dtype": array.dtype.str, "shape": list(array.shape)}
        return self._add(entry, memoryview(array.reshape(-1).view("u1")))

    def table(self) -> bytes:
        return write_plain({"mark": MARK, "items": self.items})

    def _add(self, entry: dict[str, Any], flat: memoryview) -> dict[str, int]:
        gap = -self.length % _ALIGNMENT
        if gap:
            self.parts.append(bytes(gap))
        entry["offset"] = self.length + gap
        entry["length"] = flat.nbytes
        self.items.append(entry)
        if flat.nbytes:
            self.parts.append(flat)
        self.length += gap + flat.nbytes
        return {MARK: len(self.items) - 1}


def is_numeric_array(value: Any) -> bool:
    """Whether the value is a NumPy array that travels as it lies in memory."""
    numpy = sys.modules.get("numpy")
    ndarray = getattr(numpy, "ndarray", None)
    if ndarray is None or not isinstance(value, ndarray):
        return False
    # A masked array's mask would be lost; extended precision has no name that others know.
    return value.dtype.kind in _NUMERIC and value.dtype.itemsize <= 16 \
        and value.dtype.str[1:] != "f16" and not hasattr(value, "mask")


class Item(NamedTuple):
    """One attachment that came in: a view of the received buffer and, for arrays, what it is."""

    view: memoryview
    dtype: Optional[str] = None
    shape: tuple = ()

    def as_bytes(self) -> bytes:
        return bytes(self.view)

    def as_array(self):
        """A NumPy array over the received buffer, or a memoryview where there is no NumPy."""
        try:
            import numpy
        except ImportError:
            return self._as_memoryview()
        try:
            return numpy.frombuffer(self.view, dtype=self.dtype).reshape(self.shape)
        except (TypeError, ValueError) as error:
            about = f"{len(self.shape)} dimensions of {self.dtype}"
            raise ValidationError(f"NumPy has no array of {about}: {error}") from None

    def _as_memoryview(self) -> memoryview:
        letter = _LETTERS.get(self.dtype[1:])
        native = self.dtype[0] == "|" or (self.dtype[0] == "<") == (sys.byteorder == "little")
        if letter is None or not native or not prod(self.shape):
            return self.view
        return self.view.cast(letter, self.shape)


def parse_table(table: Any, data: Any) -> tuple[str, list[Item]]:
    """The mark and the items, or a Breach that says what is wrong with the table."""
    mark, entries = (table.get("mark"), table.get("items")) if type(table) is dict else (None, None)
    if type(mark) is not str or type(entries) is not list:
        raise Breach("table: it must have a `mark` and `items`")
    whole, end, items = memoryview(data), 0, []
    for number, entry in enumerate(entries):
        try:
            offset, item = _parse_item(entry, whole, end)
        except (KeyError, TypeError, ValueError) as error:
            raise Breach(f"table: item {number}: {error!r}") from None
        end = offset + item.view.nbytes
        items.append(item)
    return mark, items


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


def _parse_item(entry: dict, whole: memoryview, end: int) -> tuple[int, Item]:
    offset, length, kind = entry["offset"], entry["length"], entry["kind"]
    if type(offset) is not int or type(length) is not int or offset % _ALIGNMENT or offset < end:
        raise ValueError(f"offset {offset!r} must be a rising multiple of {_ALIGNMENT}")
    if length < 0 or offset + length > len(whole):
        raise ValueError(f"{length} bytes at {offset} lie outside the {len(whole)} bytes of data")
    view = whole[offset : offset + length]
    if kind == "bytes":
        return offset, Item(view)
    if kind != "array":
        raise ValueError(f"unknown kind {kind!r}")
    return offset, Item(view, *_parse_array(entry, length))


def _parse_array(entry: dict, length: int) -> tuple[str, tuple]:
    dtype, shape = entry["dtype"], entry["shape"]
    known = _TYPE_STRING.fullmatch(dtype) if type(dtype) is str else None
    if known is None:
        raise ValueError(f"dtype {dtype!r} is no type string")
    if type(shape) is not list or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"shape {shape!r} is no list of lengths")
    kind, size = known.groups()
    if prod(shape) * int(size) * (_BYTES_PER_CHARACTER if kind == "U" else 1) != length:
        raise ValueError(f"shape {shape} of {dtype} does not fill {length} bytes")
    return dtype, tuple(shape)
