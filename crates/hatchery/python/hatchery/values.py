"""Values of Python to frames and back.

What the JSON library takes as it stands goes straight through. Everything else passes one normaliser, so that the
same value reads the same whichever library is installed.
"""

from __future__ import annotations

import sys
from math import isfinite, prod
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Callable, Optional

from .attachments import Item, Outgoing, is_numeric_array, parse_table, resolve
from .errors import HatcheryError
from .jsonlib import MAX_DEPTH, REFUSALS, SCALARS, Library, write_plain
from .marker import marker, setting, type_name
from .wire import Breach

_TOLIST_LIMIT = 1_000_000
_BINARY = (bytes, bytearray, memoryview)
_RUNNING = (GeneratorType, AsyncGeneratorType, CoroutineType)


class Codec:
    """Values to bodies and back, by one JSON library. `on_marker` hears of each object that became a marker."""

    def __init__(self, library: Library, on_marker: Callable[[Any], None] = lambda value: None):
        self.name = library.name
        self.dumps = library.dumps
        self.loads = library.loads
        self._on_marker = on_marker

    def encode(self, value: Any) -> tuple[bytes, Optional[Outgoing]]:
        """The body and, if there are any, the attachments beside it."""
        try:
            return self.dumps(value), None
        except REFUSALS:
            pass  # Converted below, so that an error of that has not this one as its context.
        return self.convert(value)

    def attach(self, value: Any, table, data, views=()) -> Any:
        """The decoded value with each mark replaced by what it stands for: arrays over the received
        buffer, and `bytes`, or a view of the buffer for the keys of `value` named in `views`."""
        mark, items = parse_table(self._loads_table(table), data)
        for key in views:
            if type(value.get(key)) is dict and mark in value[key]:
                value[key] = _item(items, value[key][mark]).view
        return resolve(value, mark, lambda index: _open(_item(items, index)))

    def _loads_table(self, table) -> Any:
        try:
            return self.loads(table)
        except ValueError as error:
            raise Breach(f"table: {error}") from None

    def convert(self, value: Any) -> tuple[bytes, Optional[Outgoing]]:
        """`encode`, for a value that `dumps` has refused."""
        outgoing = Outgoing()
        plain = _Normaliser(outgoing, self._on_marker).plain(value, 0)
        try:
            body = self.dumps(plain)
        except REFUSALS:
            body = write_plain(plain)
        return body, outgoing if outgoing.items else None


def _item(items: list[Item], index: Any) -> Item:
    if type(index) is not int or not 0 <= index < len(items):
        raise Breach(f"table: a mark names item {index!r} of {len(items)}")
    return items[index]


def _open(item: Item) -> Any:
    return item.as_bytes() if item.dtype is None else item.as_array()


class _Normaliser:
    """Makes a tree plain: only what `jsonlib.is_plain` accepts, without non-finite numbers."""

    def __init__(self, outgoing: Outgoing, on_marker: Callable[[Any], None]):
        self._outgoing = outgoing
        self._on_marker = on_marker

    def plain(self, value: Any, depth: int) -> Any:
        for _ in range(MAX_DEPTH):
            kind = type(value)
            if kind in SCALARS:
                return value if kind is not float or isfinite(value) else None
            if kind is dict:
                return self._dict(value, _deeper(depth))
            if kind is list or kind is tuple:
                return self._list(value, _deeper(depth))
            value = self._convert(value)
        raise HatcheryError(f"{type_name(kind)} is converted to another object again and again")

    def _list(self, values: Any, depth: int) -> Any:
        kinds = set(map(type, values))
        if float not in kinds and kinds <= SCALARS:
            return values
        return [self.plain(item, depth) for item in values]

    def _dict(self, values: dict, depth: int) -> dict:
        return {_key(key): self.plain(item, depth) for key, item in values.items()}

    def _convert(self, value: Any) -> Any:
        """One step nearer to plain."""
        if isinstance(value, _BINARY):
            return self._outgoing.add_bytes(value)
        if is_numeric_array(value):
            return self._outgoing.add_array(value)
        for step in (_builtin, _by_method, _by_structure):
            converted = step(value)
            if converted is not value:
                return converted
        self._on_marker(value)
        return marker(value)


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise HatcheryError(f"the value nests deeper than {MAX_DEPTH} levels, or holds itself")
    return depth + 1


def _builtin(value: Any) -> Any:
    """Subclasses of what JSON knows, as the class that it knows; NumPy's scalars; enums by value."""
    enum, uuid = sys.modules.get("enum"), sys.modules.get("uuid")
    if enum is not None and isinstance(value, enum.Enum):
        return value.value
    if _is_numpy_scalar(value):
        item = value.item()
        return float(value) if _is_numpy_scalar(item) else item
    for kind, exact in _EXACT:
        if isinstance(value, kind):
            return exact(value)
    if uuid is not None and isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, _RUNNING):
        raise HatcheryError(
            f"a {type(value).__name__} has no JSON form; a tool that returns one must be a generator"
            " or be marked @tool(stream=True)"
        )
    return value


def _by_method(value: Any) -> Any:
    """The first of the usual methods that the object has and that does not raise."""
    for name in ("model_dump", "to_dict", "_asdict", "tolist", "isoformat"):
        try:
            method = getattr(value, name, None)
            if callable(method):
                return _tolist(value) if name == "tolist" else method()
        except Exception:
            continue
    return value


def _by_structure(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return _in_order(value)
    if hasattr(type(value), "__dataclass_fields__"):
        fields = sys.modules["dataclasses"].fields(value)
        return {field.name: getattr(value, field.name) for field in fields}
    return value


def _in_order(values: Any) -> list:
    """A set as a list, in the same order in each process where its items have one."""
    try:
        return sorted(values)
    except Exception:
        return list(values)


def _is_numpy_scalar(value: Any) -> bool:
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    return generic is not None and isinstance(value, generic) and value.dtype.kind in "biufSU"


def _exact_tuple(value: tuple) -> Any:
    return value._asdict() if hasattr(value, "_asdict") else list(value)


# str.__str__ and the like give an exact object without asking what the subclass overrides.
_EXACT = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (dict, dict),
    (list, list),
    (tuple, _exact_tuple),
)


def _key(key: Any) -> str:
    """A key as the standard library writes it."""
    kind = type(key)
    if kind is str:
        return key
    if key is None or kind is bool:
        return _WORDS[key]
    if kind is int or kind is float:
        return repr(key)
    if hasattr(key, "isoformat"):
        return key.isoformat()
    exact = key if isinstance(key, tuple) else _builtin(key)
    if exact is not key:
        return _key(exact)
    raise HatcheryError(f"keys must be str, int, float, bool or None, not {kind.__qualname__}")


_WORDS = {None: "null", True: "true", False: "false"}


def _tolist(value: Any) -> Any:
    """`value.tolist()`, unless it would make more elements than the limit allows."""
    limit, size = _tolist_limit(), _size(value)
    if size is not None and size > limit:
        raise OverflowError(size)
    made = value.tolist()
    if size is None and _count(made) > limit:
        raise OverflowError(limit)
    return made


def _tolist_limit() -> int:
    try:
        return max(0, int(setting("TOLIST_MAX_ELEMENTS")))
    except ValueError:
        return _TOLIST_LIMIT


def _size(value: Any) -> Optional[int]:
    """How many elements `tolist` will make, where that can be told before."""
    if hasattr(value, "nnz"):
        return prod(value.shape)
    for holder in (value, getattr(value, "values", None)):
        size = getattr(holder, "size", None)
        if type(size) is int:
            return size
    return None


def _count(value: Any) -> int:
    return sum(map(_count, value)) if type(value) is list else 1
