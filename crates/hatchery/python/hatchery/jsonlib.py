"""JSON, by the fastest library there is, with the same results from each.

The libraries disagree about dates, enums, bytes, NaN, named tuples, integers over 64 bits and keys that are
no strings. So none of them decides: `dumps` takes plain trees only (exact str, int, float, bool, None, list, tuple, and
dicts with exact str keys) and raises `Refused` for everything else, which `values.py` makes plain first.

Order of choice, by the echo payload {"id":1,"text":"hello world","values":[1..8]} in its CALL (CPython 3.11, us to write /
read): orjson 0.14 / 0.46 + 0.26 for the search for big integers, as it says no to what it must not write; msgspec
0.18 + 1.1 for the test whether the tree is plain / 0.40; json 2.1 + 1.1 / 2.7.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Callable, NamedTuple

# The depth at which orjson (3.13) ends; the others end there too, so that a result never depends on the library. (Tuples
# within tuples orjson does not count; nothing cheap could.)
MAX_DEPTH = 254

SCALARS = frozenset({str, int, float, bool, type(None)})
_KEYS = frozenset({str})

# What a library raises for a tree that it cannot write.
REFUSALS = (TypeError, ValueError, OverflowError, RecursionError)


class Refused(TypeError):
    """The value is not plain."""


class Library(NamedTuple):
    name: str
    dumps: Callable[[Any], bytes]
    loads: Callable[[Any], Any]


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether every library writes this tree the same way, but for non-finite numbers."""
    kind = type(value)
    if kind is dict:
        if not set(map(type, value)) <= _KEYS:
            return False
        value = value.values()
    elif kind is not list and kind is not tuple:
        return kind in SCALARS
    if depth >= MAX_DEPTH:
        return False
    if set(map(type, value)) <= SCALARS:
        return True
    return all(is_plain(item, depth + 1) for item in value)


def write_plain(value: Any) -> bytes:
    """Writes a plain tree with the standard library, which takes integers of any size. Half a surrogate pair,
    which UTF-8 cannot say, becomes the replacement character."""
    text = _ENCODER.encode(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


@cache
def choose(names=("orjson", "msgspec", "json")) -> Library:
    """The first of the named libraries that is installed."""
    for name in names:
        try:
            return _MAKERS[name]()
        except (ImportError, AttributeError):
            continue
    return _standard()


def _orjson() -> Library:
    import orjson

    write, read = orjson.dumps, orjson.loads
    options = (
        orjson.OPT_PASSTHROUGH_DATACLASS
        | orjson.OPT_PASSTHROUGH_DATETIME
        | orjson.OPT_PASSTHROUGH_SUBCLASS
    )

    def loads(body):
        # orjson reads integers over 64 bits as floats. They have at least 19 digits; so have some
        # other numbers and texts, which cost a slower reading and nothing else.
        if body.translate(_DIGITS).find(_NINETEEN_DIGITS) >= 0:
            return _read_standard(body)
        try:
            return read(body)
        except ValueError:
            return _read_standard(body)

    def dumps(value):
        return write(value, None, options)  # Half the price of a `partial`, which makes a dict for each call.

    def dumps_deep(value):
        # An orjson that goes deeper than the others. A tree that deep has at least so many brackets.
        body = write(value, None, options)
        if len(body) > 2 * MAX_DEPTH and not is_plain(value):
            raise Refused(type(value).__name__)
        return body

    return Library("orjson", dumps_deep if _writes(dumps, MAX_DEPTH + 1) else dumps, loads)


def _writes(dumps: Callable[[Any], bytes], depth: int) -> bool:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    try:
        return bool(dumps(value))
    except REFUSALS:
        return False


def _msgspec() -> Library:
    import msgspec

    write, read = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode

    def dumps(value):
        if is_plain(value):
            return write(value)
        raise Refused(type(value).__name__)

    def loads(body):
        try:
            return read(body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return _read_standard(body)

    return Library("msgspec", dumps, loads)


def _standard() -> Library:
    def dumps(value):
        if is_plain(value):
            return write_plain(value)
        raise Refused(type(value).__name__)

    return Library("json", dumps, _read_standard)


def _read_standard(body) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except ValueError as error:
        # JSON all the same: Python reads no integer of more than 4300 digits, as that takes it quadratic time.
        if type(error) is ValueError and "digits" in str(error):
            raise OverflowError(str(error)) from None
        raise


def _refuse_constant(name: str):
    raise ValueError(f"{name} is not JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DIGITS = bytes.maketrans(b"0123456789", b"0" * 10)
_NINETEEN_DIGITS = b"0" * 19
_MAKERS = {"orjson": _orjson, "msgspec": _msgspec, "json": _standard}
