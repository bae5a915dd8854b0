"""Checks of values against annotations, compiled once when the app loads.

A check takes a value as JSON or an attachment gave it and returns it, converted where the annotation asks for another
class (a tuple, a set, an enum, a dataclass), or raises `Mismatch`. A class that nothing here knows passes all values.
"""

from __future__ import annotations

import collections.abc as abc
import enum
import sys
import types
import typing
from typing import Any, Callable, Union, get_args, get_origin

from .annotations import class_hints, text_of
from .forms import is_tensor_class
from .marker import redact

Check = Callable[[Any], Any]

ANY = Any
_NONE = type(None)
_UNION_TYPES = (Union, getattr(types, "UnionType", Union))
_SHOWN = 40


class Mismatch(Exception):
    """A value that does not fit; `path` leads to it from the argument, like `[3]`."""

    def __init__(self, problem: str):
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []

    def within(self, step: str) -> "Mismatch":
        self.path.insert(0, step)
        return self


def expected(what: str, value: Any) -> Mismatch:
    return Mismatch(f"must be {what}, got {describe(value)}")


def describe(value: Any) -> str:
    """A value that came from the wire, short enough for a message."""
    name = type(value).__name__
    if value is None:
        return "None"
    if isinstance(value, (bool, int, float)):
        return f"{name} ({repr(value)[:_SHOWN]})"
    if isinstance(value, str):
        text = redact(value[: 4 * _SHOWN])
        return f"{name} ({text[:_SHOWN] + '…' if len(text) > _SHOWN else text!r})"
    return name


def exact_type(annotation: Any) -> Any:
    """The class whose very instances need no check at all, or None."""
    return annotation if annotation in (str, int, float, bool, dict, list, bytes) else None


def checker(annotation: Any) -> Check:
    """The check for an annotation."""
    return _compile(annotation, {})


def _compile(annotation: Any, known: dict) -> Check:
    """`known` holds the checks of classes that are being compiled, for those that name themselves."""
    annotation = _unwrap(annotation)
    if annotation is None or annotation is _NONE:
        return _none
    origin = get_origin(annotation) or annotation
    if origin in _UNION_TYPES:
        return _union(annotation, known)
    if origin is typing.Literal:
        return _literal(annotation)
    if not isinstance(origin, type):
        return _anything
    if origin in known:
        return lambda value: known[origin](value)
    return _compile_class(origin, annotation, known)


def _unwrap(annotation: Any) -> Any:
    """Below `Annotated`, `NewType`, type variables and `type` aliases."""
    while True:
        if hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif isinstance(annotation, typing.TypeVar):
            annotation = annotation.__bound__ or Any
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif type(get_origin(annotation)).__name__ == "TypeAliasType":
            annotation = get_origin(annotation).__value__[get_args(annotation)]
        else:
            return annotation


def _compile_class(kind: type, annotation: Any, known: dict) -> Check:
    if kind in _PLAIN:
        return _PLAIN[kind]
    arguments = get_args(annotation)
    if kind in _LISTS:
        return _list(arguments, known)
    if kind in _DICTS:
        return _dict(arguments, known)
    if kind is tuple:
        return _tuple(arguments, known)
    if kind in _SETS:
        return _converted_list(_SETS[kind], arguments, known)
    if issubclass(kind, enum.Enum):
        return _enum(kind)
    if hasattr(kind, "model_validate"):
        return _model(kind)
    if typing.is_typeddict(kind) if hasattr(typing, "is_typeddict") else hasattr(kind, "__total__"):
        return _typed_dict(kind, known)
    if hasattr(kind, "__dataclass_fields__"):
        return _dataclass(kind, known)
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        return _array(arguments)
    if is_tensor_class(kind):
        return _tensor
    return _anything


def _anything(value: Any) -> Any:
    return value


def _none(value: Any) -> None:
    if value is not None:
        raise expected("None", value)


def _exactly(kind: type) -> Check:
    def check(value):
        if type(value) is kind:
            return value
        raise expected(kind.__name__, value)

    return check


def _float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            pass
    raise expected("float", value)


def _bytes_as(kind: type) -> Check:
    def check(value):
        if isinstance(value, (bytes, bytearray, memoryview)):
            return value if type(value) is kind else kind(value)
        raise expected(kind.__name__, value)

    return check


_PLAIN: dict[Any, Check] = {
    object: _anything,
    str: _exactly(str),
    int: _exactly(int),
    bool: _exactly(bool),
    float: _float,
    bytes: _bytes_as(bytes),
    bytearray: _bytes_as(bytearray),
    memoryview: _bytes_as(memoryview),
}
_LISTS = {list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection}
_DICTS = {dict, abc.Mapping, abc.MutableMapping}
_SETS = {set: set, abc.Set: set, abc.MutableSet: set, frozenset: frozenset}
# What a list of these classes is as it stands, without a look at each item.
_AT_ONCE = {kind: frozenset({kind}) for kind in (str, int, bool, float)}


def _list(arguments: tuple, known: dict) -> Check:
    inner = _unwrap(arguments[0]) if arguments else Any
    at_once = _AT_ONCE.get(inner) if isinstance(inner, type) else None
    check_item = _compile(inner, known)

    def check(value):
        if type(value) is not list:
            raise expected("list", value)
        if check_item is _anything or (at_once is not None and set(map(type, value)) <= at_once):
            return value
        return [_nested(check_item, item, f"[{i}]") for i, item in enumerate(value)]

    return check


def _converted_list(kind: type, arguments: tuple, known: dict) -> Check:
    check_list = _list(arguments, known)

    def check(value):
        items = check_list(value)
        try:
            return kind(items)
        except TypeError as error:
            raise Mismatch(f"cannot be a {kind.__name__}: {error}") from None

    return check


def _tuple(arguments: tuple, known: dict) -> Check:
    if not arguments or arguments[-1] is Ellipsis:
        return _converted_list(tuple, arguments[:1], known)
    checks = [_compile(argument, known) for argument in arguments if argument != ()]

    def check(value):
        if type(value) is not list:
            raise expected("list", value)
        if len(value) != len(checks):
            raise Mismatch(f"must have {len(checks)} items, got {len(value)}")
        return tuple(_nested(c, item, f"[{i}]") for i, (c, item) in enumerate(zip(checks, value)))

    return check


def _dict(arguments: tuple, known: dict) -> Check:
    key, inner = arguments if len(arguments) == 2 else (Any, Any)
    key = _unwrap(key)
    check_key = _KEYS.get(key) if isinstance(key, type) else None
    check_key = check_key or _compile(key, known)
    check_list = _list((inner,), known)
    check_item = _compile(inner, known)

    def check(value):
        if type(value) is not dict:
            raise expected("dict", value)
        items = list(value.values())
        try:
            checked = check_list(items)
        except Mismatch:
            checked = [_nested(check_item, item, f"[{name!r}]") for name, item in value.items()]
        if checked is items and check_key is _anything:
            return value
        return dict(zip((_nested(check_key, name, f"[{name!r}]") for name in value), checked))

    return check


def _key_as(kind: type) -> Check:
    def check(key):
        try:
            return kind(key)
        except ValueError:
            raise Mismatch(f"must have {kind.__name__} keys, got {describe(key)}") from None

    return check


# JSON knows keys of one class only, so these are read from their text.
_KEYS = {str: _anything, int: _key_as(int), float: _key_as(float)}


def _nested(check: Check, value: Any, step: str) -> Any:
    try:
        return check(value)
    except Mismatch as mismatch:
        raise mismatch.within(step) from None


def _union(annotation: Any, known: dict) -> Check:
    members = [_unwrap(member) for member in get_args(annotation)]
    exact = {member for member in members if isinstance(member, type) and member in _AT_ONCE}
    checks = [_compile(member, known) for member in members if member not in exact or member is float]
    optional, what = _NONE in members, text_of(annotation)

    def check(value):
        if type(value) in exact or (value is None and optional):
            return value
        deepest = None
        for check_member in checks:
            try:
                return check_member(value)
            except Mismatch as mismatch:
                if deepest is None or len(mismatch.path) > len(deepest.path):
                    deepest = mismatch
        raise deepest if deepest is not None and deepest.path else expected(what, value)

    return check


def _literal(annotation: Any) -> Check:
    allowed = get_args(annotation)

    def check(value):
        for choice in allowed:
            same = choice.value if isinstance(choice, enum.Enum) else choice
            if type(same) is type(value) and same == value:
                return choice
        raise expected(f"one of {', '.join(map(repr, allowed))}", value)

    return check


def _enum(kind: Any) -> Check:
    choices = ", ".join(repr(member.value) for member in kind)

    def check(value):
        try:
            member = kind(value)
        except ValueError:
            raise expected(f"one of {choices}", value) from None
        if isinstance(value, bool) and not isinstance(member.value, bool):
            raise expected(f"one of {choices}", value)
        return member

    return check


def _model(kind: Any) -> Check:
    def check(value):
        try:
            return kind.model_validate(value)
        except (ValueError, TypeError) as error:
            raise Mismatch(f"is no {kind.__name__}: {error}") from None

    return check


def _typed_dict(kind: Any, known: dict) -> Check:
    required = set(getattr(kind, "__required_keys__", ()))
    return _fields(kind, required, known, lambda fields: fields)


def _dataclass(kind: Any, known: dict) -> Check:
    dataclasses = sys.modules["dataclasses"]
    settable = [field for field in dataclasses.fields(kind) if field.init]
    empty = dataclasses.MISSING
    required = {f.name for f in settable if f.default is empty and f.default_factory is empty}

    def make(fields):
        try:
            return kind(**fields)
        except (ValueError, TypeError) as error:
            raise Mismatch(f"is no {kind.__name__}: {error}") from None

    return _fields(kind, required, known, make, {field.name for field in settable})


def _fields(kind: Any, required: set, known: dict, make: Callable, names: Any = None) -> Check:
    """A check of a dict by the annotations of a class."""
    checks: dict[str, Check] = {}

    def check(value):
        if type(value) is not dict:
            raise expected(f"dict ({kind.__name__})", value)
        for name in required:
            if name not in value:
                raise Mismatch("is missing").within(f".{name}")
        for name in value:
            if name not in checks:
                raise Mismatch(f"is no field of {kind.__name__}").within(f".{name}")
        return make({name: _nested(checks[name], item, f".{name}") for name, item in value.items()})

    known[kind] = check
    for name, annotation in class_hints(kind).items():
        if names is None or name in names:
            checks[name] = _compile(_bare(annotation), known)
    return check


def _bare(annotation: Any) -> Any:
    """Below `Required`, `NotRequired`, `ReadOnly` and `Final`."""
    origin = get_origin(annotation)
    if getattr(origin, "_name", None) in ("Required", "NotRequired", "ReadOnly", "Final"):
        return _bare(get_args(annotation)[0])
    return annotation


def _array(arguments: tuple) -> Check:
    """An array as it came, or a JSON list made one; of the annotated type, where one is named."""
    wanted = next(iter(get_args(arguments[1])), Any) if len(arguments) > 1 else Any
    # `Any` is a class since Python 3.11, of which NumPy would make `object`.
    dtype = wanted if isinstance(wanted, type) and wanted is not Any and not _is_abstract(wanted) else None

    def check(value):
        numpy = sys.modules["numpy"]
        if not isinstance(value, (list, numpy.ndarray)):
            raise expected("array", value)
        try:
            array = numpy.asarray(value, dtype=None if isinstance(value, numpy.ndarray) else dtype)
            return array if dtype is None else array.astype(dtype, casting="same_kind", copy=False)
        except (ValueError, TypeError) as error:
            raise Mismatch(f"cannot be an array: {error}") from None

    return check


def _tensor(value: Any) -> Any:
    """A tensor as it came, or a JSON list made one."""
    torch = sys.modules["torch"]
    if isinstance(value, torch.Tensor):
        return value
    if type(value) is not list:
        raise expected("Tensor", value)
    try:
        return torch.tensor(value)
    except (ValueError, TypeError) as error:
        raise Mismatch(f"cannot be a tensor: {error}") from None


def _is_abstract(dtype: Any) -> bool:
    return dtype.__name__ in ("generic", "number", "integer", "signedinteger", "unsignedinteger",
                              "inexact", "floating", "complexfloating", "flexible", "character")  # fmt: skip
