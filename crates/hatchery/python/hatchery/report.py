"""Exceptions as the bodies of ERROR frames."""

from __future__ import annotations

import importlib
import os
from typing import Any, Optional

from .errors import Cancelled, HatcheryError

RUNTIME = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LONGEST_TEXT = 64 << 10


def report(error: BaseException, correlation_id: Optional[str] = None) -> dict[str, Any]:
    """The body of the ERROR that answers a call whose tool ended with `error`."""
    message = message_of(error)
    body = {
        "kind": _stated(error, "kind", str, "remote"),
        "message": message,
        "retryable": _stated(error, "retryable", bool, False),
    }
    trace = traceback_of(error)
    if trace is not None:
        body["python_type"] = type_of(error)
        body["traceback"] = trace
    details = _details(error, message)
    if details:
        body["details"] = details
    if correlation_id is not None:
        body["correlation_id"] = correlation_id
    return body


def report_cancelled(correlation_id: Optional[str]) -> dict[str, Any]:
    return report(Cancelled("the call was cancelled"), correlation_id)


def message_of(error: BaseException) -> str:
    try:
        return _cut(str(error))
    except BaseException:  # Whatever an error's methods do, its call is answered.
        return f"<the message of {type_of(error)} cannot be read: its __str__ raises>"


def type_of(error: BaseException) -> str:
    """`ValueError` for the builtin ones, `module.Class` for others."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def traceback_of(error: BaseException) -> Optional[str]:
    """The traceback as Python prints it, causes included, without the frames of this package. None for
    an error that no frame but this package's saw and that says it all, like an argument that does not fit."""
    import traceback

    try:
        made = traceback.TracebackException(type(error), error, error.__traceback__)
        _drop_runtime(made)
        if not made.stack and isinstance(error, (HatcheryError, ModuleNotFoundError)):
            return None
        return _cut("".join(made.format()))
    except BaseException:  # Its methods raise, or it has more causes than this Python can follow.
        return f"{type_of(error)}: {message_of(error)}\n"


def _drop_runtime(made: Any) -> None:
    """Removes this package's frames here and in all that led to it."""
    seen, left = set(), [made]
    while left:
        made = left.pop()
        if made is None or id(made) in seen:
            continue
        seen.add(id(made))
        made.stack[:] = [frame for frame in made.stack if not _is_runtime(frame.filename)]
        left += (made.__cause__, made.__context__, *(getattr(made, "exceptions", None) or ()))


def _is_runtime(filename: str) -> bool:
    return filename.startswith(RUNTIME) or filename == os.path.join(os.path.dirname(RUNTIME[:-1]), "boot.py") \
        or filename.startswith("<frozen importlib") or filename == importlib.__file__


def _details(error: BaseException, message: str) -> dict[str, Any]:
    if isinstance(error, HatcheryError):
        return _stated(error, "details", dict, {})
    from .facts import facts

    try:
        return facts(message)
    except (ValueError, OverflowError):  # Numbers of absurd length.
        return {}


def _stated(error: BaseException, name: str, kind: type, default: Any) -> Any:
    """What an error of hatchery's classes says of itself. Subclasses may not have called `__init__`."""
    try:
        value = getattr(error, name) if isinstance(error, HatcheryError) else default
    except BaseException:
        return default
    return value if isinstance(value, kind) else default


def _cut(text: str) -> str:
    """At most 64 KiB of text: its beginning and, as the last lines of a traceback say most, its end."""
    if len(text) <= _LONGEST_TEXT // 4 or len(text.encode("utf-8", "replace")) <= _LONGEST_TEXT:
        return text
    data = text.encode("utf-8", "replace")
    half = _LONGEST_TEXT // 2 - 32
    head, tail = data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore")
    return f"{head}\n… ({len(data) - 2 * half} bytes left out) …\n{tail}"
