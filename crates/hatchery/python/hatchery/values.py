"""Values of Python to frames and back.

What the JSON library takes as it stands goes straight through. Everything else passes one normaliser, so that the
same value reads the same whichever library is installed.
"""

from __future__ import annotations

import sys
from math import isfinite, prod
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Callable, Optional

from .attachments import Outgoing, is_array, is_numeric_array
from .errors import HatcheryError
from .forms import DEFAULT, Form
from .jsonlib import MAX_DEPTH, REFUSALS, SCALARS, Library, write_plain
from .marker import marker, setting, type_name
from .received import Find, Item, Received, parse_table, resolve
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
        self.sharing: Any = None  # The `Segments`, where there are any.

    def encode(self, value: Any) -> tuple[bytes, Optional[Outgoing]]:
        """The body and, if there are any, the attachments beside it."""
        try:
            return self.dumps(value), None
        except REFUSALS:
            pass  # Converted below, so that an error of that has not this one as its context.
        return self.convert(value)

    def opener(self, find: Optional[Find]) -> Callable[[Any, Any], Received]:
        """What opens the attachments of frames as they come in. `find` gives the segment of a number, where there are any."""
        return lambda table, data: parse_table(self._loads_table(table), data, find)

    def attach(self, value: Any, received: Received, forms: Any = None) -> Any:
        """The decoded value with each mark replaced by what it stands for; below the keys of `value` named in `forms`, as
        said there. What nothing looks at afterwards is released."""
        mark, items = received.mark, received.take()
        if forms:
            for key, form in forms.items():
                if key in value:
                    value[key] = _resolve(value[key], mark, items, form)
        return _resolve(value, mark, items, DEFAULT)

    def _loads_table(self, table) -> Any:
        try:
            return self.loads(table)
        except ValueError as error:
            raise Breach(f"table: {error}") from None

    def convert(self, value: Any) -> tuple[bytes, Optional[Outgoing]]:
        """`encode`, for a value that `dumps` has refused."""
        outgoing = Outgoing(self.sharing)
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


def _resolve(value: Any, mark: str, items: list[Item], form: Form) -> Any:
    return resolve(value, mark, lambda index: form.open(_item(items, index)))


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
        attached = _attached(value, self._outgoing)
        if attached is not None:
            return attached
        for step in (_builtin, _by_method, _by_structure):
            converted = step(value)
            if converted is not value:
                return converted
        self._on_marker(value)
        return marker(value)


def _attached(value: Any, outgoing: Outgoing) -> Any:
    """The mark of a value that another library lends: a table of Arrow's, a tensor of DLPack's. None for all else."""
    kind = type(value)
    if hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__arrow_c_array__"):
        from .arrow import add_table

        return add_table(value, outgoing)
    if hasattr(kind, "__dlpack__") and not is_array(value):
        from .tensors import add_tensor

        return add_tensor(value, outgoing)
    return None


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
