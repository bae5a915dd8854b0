"""Values of Python to the JSON of the HTTP interface and back: `{"$bytes": base64}` and `{"$array": {dtype, shape, base64}}`, and large
arguments as parts of their own.

What a tool may return, an argument may be: the same normaliser makes both plain. An object without a JSON form is refused here, as a marker
in its place would reach the tool as if it was meant.
"""

from __future__ import annotations

import json
import os
from ast import literal_eval
from base64 import b64decode, b64encode
from typing import Any, NamedTuple

from ..attachments import Outgoing, is_numeric_array
from ..errors import HatcheryError
from ..jsonlib import REFUSALS, choose, write_plain
from ..marker import type_name
from ..received import Item
from ..values import _Normaliser
from .errors import ProtocolError, ValidationError

JSON = "application/json"
BYTES = "application/octet-stream"
ARRAY = "application/x-npy"
# From here on, base64 within the JSON costs more than a part beside it.
LARGE = 16 << 10

_FORMS = (b'"$bytes"', b'"$array"')
_LIBRARY = choose()


class Body(NamedTuple):
    """The body of a request."""

    content_type: str
    data: bytes


def arguments_of(arguments: Any) -> Body:
    """The body of a call: JSON, with large bytes and arrays beside it. Raises `ValidationError`."""
    if not isinstance(arguments, dict):
        raise ValidationError(f"arguments: expected a dict of arguments by name, found a {type(arguments).__name__}")
    large = {name: value for name, value in arguments.items() if _is_name_of_part(name) and _is_large(value)}
    rest = text_of({name: value for name, value in arguments.items() if name not in large}, "arguments")
    return _in_parts(rest, large) if large else Body(JSON, rest)


def text_of(value: Any, what: str) -> bytes:
    """The value as JSON. Raises `ValidationError`, which begins with `what`."""
    try:
        return _LIBRARY.dumps(value)
    except REFUSALS:
        pass  # Converted below, so that an error of that has not this one as its context.
    try:
        plain = _Normaliser(_Inline(), _refuse).plain(value, 0)
        return _written(plain)
    except HatcheryError as error:
        raise ValidationError(f"{what}: {error}") from None


def value_of(text: bytes) -> Any:
    """What an answer means: bytes and arrays (writable ones) in the place of their forms. Raises `ProtocolError`."""
    hook = _opened if any(form in text for form in _FORMS) else None
    try:
        return _LIBRARY.loads(text) if hook is None else json.loads(text, object_hook=hook)
    except (ValueError, OverflowError, RecursionError) as error:
        raise ProtocolError(f"read the answer of the daemon: {error}") from None


class _Inline(Outgoing):
    """Puts bytes and arrays into the JSON, in the place where they are found."""

    def add(self, entry: dict[str, Any], flat: memoryview) -> dict[str, Any]:  # type: ignore[override]
        text = b64encode(flat).decode("ascii")
        if entry["kind"] != "array":
            return {"$bytes": text}
        return {"$array": {"dtype": entry["dtype"], "shape": entry["shape"], "base64": text}}

    def add_elsewhere(self, entry: dict[str, Any], number: int, sent: Any) -> dict[str, Any]:  # type: ignore[override]
        raise HatcheryError(f"what lies on {entry.get('device', 'a device')} cannot be sent over HTTP: copy it to memory")


def _refuse(value: Any) -> None:
    raise HatcheryError(f"a {type_name(type(value))} has no JSON form")


def _written(plain: Any) -> bytes:
    try:
        return _LIBRARY.dumps(plain)
    except REFUSALS:
        return write_plain(plain)


def _opened(found: dict[str, Any]) -> Any:
    if len(found) != 1:
        return found
    (form, content), = found.items()  # fmt: skip
    if form == "$bytes" and isinstance(content, str):
        return b64decode(content)
    if form == "$array" and isinstance(content, dict):
        return _array(content)
    return found


def _array(content: dict[str, Any]) -> Any:
    """A NumPy array, or a memoryview where there is no NumPy."""
    try:
        return _array_over(bytearray(b64decode(content["base64"])), content["dtype"], content["shape"])
    except (KeyError, TypeError, IndexError, HatcheryError) as error:
        raise ValueError(f"an array that is none: {error!r}") from None


def _array_over(data: bytearray, dtype: Any, shape: Any) -> Any:
    item = Item("array", memoryview(data), lambda: memoryview(data))
    item.dtype, item.shape = dtype, tuple(shape)
    return item.as_array(writable=True)


def array_of(npy: bytes) -> Any:
    """The array in a file of NumPy's. Raises `ProtocolError`."""
    try:
        if npy[:6] != b"\x93NUMPY":
            raise ValueError("it does not begin as one")
        start, width = (10, 2) if npy[6] == 1 else (12, 4)
        end = start + int.from_bytes(npy[8 : 8 + width], "little")
        head = literal_eval(npy[start:end].decode("latin-1"))
        if head["fortran_order"]:
            raise ValueError("it is in Fortran's order")
        return _array_over(bytearray(memoryview(npy)[end:]), head["descr"], head["shape"])
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, HatcheryError) as error:
        raise ProtocolError(f"read the answer of the daemon: an array that is none: {error}") from None


def _is_name_of_part(name: Any) -> bool:
    """Whether it can stand in the head of a part as it is; `args` is the one that has the others."""
    return type(name) is str and name.isidentifier() and name.isascii() and name != "args"


def _is_large(value: Any) -> bool:
    if isinstance(value, (bytes, bytearray)):
        return len(value) >= LARGE
    if isinstance(value, memoryview):
        return value.nbytes >= LARGE
    return is_numeric_array(value) and value.nbytes >= LARGE


def _in_parts(rest: bytes, large: dict[str, Any]) -> Body:
    boundary = f"hatchery-{os.urandom(16).hex()}"
    parts: list[Any] = [_part(boundary, "args", JSON)[2:], rest]  # Before the first boundary there is no line to end.
    for name, value in large.items():
        content_type, data = (ARRAY, _npy(value)) if is_numeric_array(value) else (BYTES, [_flat(value)])
        parts += [_part(boundary, name, content_type), *data]
    parts.append(f"\r\n--{boundary}--\r\n".encode())
    return Body(f"multipart/form-data; boundary={boundary}", b"".join(parts))


def _part(boundary: str, name: str, content_type: str) -> bytes:
    return f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {content_type}\r\n\r\n'.encode()


def _flat(value: Any) -> Any:
    view = memoryview(value)
    return view if view.c_contiguous else view.tobytes()


def _npy(array: Any) -> list[Any]:
    """The array as a file of NumPy's (version 1), in C order: a head of a multiple of 64 bytes, and the numbers."""
    import numpy

    ordered = numpy.ascontiguousarray(array).reshape(array.shape)
    head = repr({"descr": array.dtype.str, "fortran_order": False, "shape": tuple(array.shape)}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return [b"\x93NUMPY\x01\x00", len(head).to_bytes(2, "little"), head, memoryview(ordered.reshape(-1).view("u1"))]
