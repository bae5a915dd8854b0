"""What a call can end with, besides a result.

One class for each kind that a daemon knows; what the kinds mean is told in `hatchery/kinds.py`. They are no `HatcheryError`: a tool that calls
another daemon and does not catch one of these has itself failed, and its own caller sees `remote`.
"""

from __future__ import annotations

import json
from typing import Any, Optional

from ..kinds import Kinded


class Error(Kinded, kind="internal"):
    """Why a call, a question or an order did not succeed.

    `kind` is one of the closed list of kinds, `message` one sentence for the person who must mend it. `retryable` says that the
    same may succeed if it is tried again; that it is safe to try, only the caller knows. `python_type` and `traceback` are those of the
    exception that a tool raised, `details` more facts, `last_output` the last lines of a worker that died.
    """

    def __init__(self, message: str = "", details: Optional[dict[str, Any]] = None):
        super().__init__(message, details)
        self.message = message
        self.python_type: Optional[str] = None
        self.traceback: Optional[str] = None
        self.correlation_id: Optional[str] = None
        self.last_output: list[str] = []

    def __setstate__(self, state: dict[str, Any]) -> None:
        # With `kind` and `retryable` of a newer daemon too, and with the traceback that is shown.
        self.__dict__.update(state)
        _explain(self)


class ValidationError(Error, kind="validation"): ...


class NotFound(Error, kind="not_found"): ...


class RemoteError(Error, kind="remote"):
    """The tool raised: `python_type` and `traceback` say what."""


class DeadlineExceeded(Error, kind="deadline"): ...


class Cancelled(Error, kind="cancelled"): ...


class Saturated(Error, kind="saturated"): ...


class Unavailable(Error, kind="unavailable"): ...


class WorkerDied(Error, kind="worker_died"): ...


class ProtocolError(Error, kind="protocol"): ...


class LimitExceeded(Error, kind="limit"): ...


class Conflict(Error, kind="conflict"): ...


class InternalError(Error, kind="internal"): ...


class RemoteTraceback(Exception):
    """Stands behind an `Error` as its cause, so that Python prints the traceback of the tool above that of the call."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0].rstrip()}\n"""'


BY_KIND = {kind.kind: kind for kind in Error.__subclasses__()}
_TEXTS = ("python_type", "traceback", "correlation_id")


def error_of(body: Any) -> Optional[Error]:
    """The error that `{"error": {...}}` tells of; None if it tells of none."""
    told = body.get("error") if isinstance(body, dict) else None
    if not isinstance(told, dict) or not isinstance(told.get("kind"), str):
        return None
    kind, details = told["kind"], told.get("details")
    error = BY_KIND.get(kind, Error)(str(told.get("message", "")), details if isinstance(details, dict) else None)
    error.kind = kind
    error.retryable = told.get("retryable") is True
    for name in _TEXTS:
        if isinstance(told.get(name), str):
            setattr(error, name, told[name])
    output = told.get("last_output")
    error.last_output = [str(line) for line in output] if isinstance(output, list) else []
    _explain(error)
    return error


def error_in(text: bytes) -> Optional[Error]:
    """The error that the body of an answer tells of, if it does."""
    try:
        return error_of(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _explain(error: Error) -> None:
    if error.traceback:
        error.__cause__ = RemoteTraceback(error.traceback)


# They are known by the name that people import them by.
for _class in (Error, RemoteTraceback, *Error.__subclasses__()):
    _class.__module__ = "hatchery.client"
