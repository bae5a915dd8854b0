"""The parameters of a callable.

Those of plain functions and methods are read from their code: importing `inspect` takes a fifth of a worker's start.
"""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any, Callable, NamedTuple

EMPTY = type("EMPTY", (), {})
_VAR_POSITIONAL, _VAR_KEYWORD, _GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x4, 0x8, 0x20, 0x80, 0x200


class Formal(NamedTuple):
    """One parameter as it stands in a signature; `prefix` is its stars, `default` may be EMPTY."""

    name: str
    default: Any = EMPTY
    prefix: str = ""
    positional_only: bool = False


def parameters(function: Callable) -> list[Formal]:
    """What a caller may give, the object of a bound method left out."""
    bound = type(function) is MethodType
    plain: Any = function.__func__ if bound else function  # type: ignore[attr-defined]
    decorated = hasattr(plain, "__wrapped__") or hasattr(plain, "__signature__")
    if type(plain) is not FunctionType or decorated or (bound and not plain.__code__.co_argcount):
        return _inspected(function)
    return _read(plain)[int(bound) :]


def is_generator_function(plain: Any) -> bool:
    """Whether a call of it gives a generator, or an asynchronous one."""
    code = getattr(plain, "__code__", None)
    return code is not None and bool(code.co_flags & (_GENERATOR | _ASYNC_GENERATOR))


def is_coroutine_function(plain: Any) -> bool:
    """Whether a call of it gives something that an event loop has to run."""
    code = getattr(plain, "__code__", None)
    return code is not None and bool(code.co_flags & (_COROUTINE | _ASYNC_GENERATOR))


def _read(plain: FunctionType) -> list[Formal]:
    code = plain.__code__
    count, keyword_only = code.co_argcount, code.co_kwonlyargcount
    names = list(code.co_varnames)
    defaults = dict(zip(reversed(names[:count]), reversed(plain.__defaults__ or ())))
    defaults.update(plain.__kwdefaults__ or {})
    formals = [Formal(name, defaults.get(name, EMPTY)) for name in names[: count + keyword_only]]
    for at in range(code.co_posonlyargcount):
        formals[at] = formals[at]._replace(positional_only=True)
    rest = names[count + keyword_only :]
    if code.co_flags & _VAR_POSITIONAL:
        formals.append(Formal(rest.pop(0), prefix="*"))
    if code.co_flags & _VAR_KEYWORD:
        formals.append(Formal(rest.pop(0), prefix="**"))
    return formals


def _inspected(function: Callable) -> list[Formal]:
    import inspect

    prefixes = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [
        Formal(
            formal.name,
            EMPTY if formal.default is formal.empty else formal.default,
            prefixes.get(formal.kind, ""),
            formal.kind is formal.POSITIONAL_ONLY,
        )
        for formal in inspect.signature(function).parameters.values()
    ]
