"""What a call can end with, besides a result.

One class for each kind that a daemon knows. They are no `HatcheryError`: a tool that calls another daemon and does not catch one of
these has itself failed, and its own caller sees `remote`.
"""

from __future__ import annotations

import json
from typing import Any, Optional


class Error(Exception):
    """Why a call, a question or an order did not succeed.

    `kind` is one of the closed list of kinds, `message` one sentence for the person who must mend it. `retryable` says that the
    same may succeed if it is tried again; that it is safe to try, only the caller knows. `python_type` and `traceback` are those of the
    exception that a tool raised, `details` more facts, `last_output` the last lines of a worker that died.
    """

    kind = "internal"
    retryable = False

    def __init__(self, message: str = "", details: Optional[dict[str, Any]] = None):
        super().__init__(message)
        self.message = message
        self.details = details or {}
        self.python_type: Optional[str] = None
        self.traceback: Optional[str] = None
        self.correlation_id: Optional[str] = None
        self.last_output: list[str] = []

    def __reduce__(self) -> Any:
        # With all that was set later, `kind` and `retryable` of a newer daemon too, and with the traceback that is shown.
        return _restored, (type(self), dict(self.__dict__))


class ValidationError(Error):
    """The arguments do not fit the tool, or the request is wrong in itself. Trying again cannot help."""

    kind = "validation"


class NotFound(Error):
    """There is no such tool, pool, session or worker."""

    kind = "not_found"


class RemoteError(Error):
    """The tool raised: `python_type` and `traceback` say what."""

    kind = "remote"


class DeadlineExceeded(Error):
    """The call's time has passed."""

    kind = "deadline"


class Cancelled(Error):
    """The call was given up, by its caller or by a daemon that ends."""

    kind = "cancelled"


class Saturated(Error):
    """The queue of the pool is full."""

    kind = "saturated"
    retryable = True


class Unavailable(Error):
    """No daemon is there, it takes no calls, or it does not know who asks."""

    kind = "unavailable"
    retryable = True


class WorkerDied(Error):
    """The worker that ran the call died: `last_output` has its last words."""

    kind = "worker_died"
    retryable = True


class ProtocolError(Error):
    """The worker broke the wire protocol and was cut off."""

    kind = "protocol"
    retryable = True


class LimitExceeded(Error):
    """Something is larger, or comes more often, than the daemon takes."""

    kind = "limit"


class Conflict(Error):
    """Something else has what was asked for, or the state of things does not allow it."""

    kind = "conflict"


class InternalError(Error):
    """A bug, or a call of the operating system that should not fail."""


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
    return _explained(error)


def error_in(text: bytes) -> Optional[Error]:
    """The error that the body of an answer tells of, if it does."""
    try:
        return error_of(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _explained(error: Error) -> Error:
    if error.traceback:
        error.__cause__ = RemoteTraceback(error.traceback)
    return error


def _restored(kind: type, state: dict[str, Any]) -> Error:
    error = kind(state["message"])
    error.__dict__.update(state)
    return _explained(error)


# They are known by the name that people import them by.
for _class in (Error, RemoteTraceback, *Error.__subclasses__()):
    _class.__module__ = "hatchery.client"
