"""The exceptions that tools may raise and catch.

Raised from a tool, each reaches the host as an error of its kind; any other exception is `remote`. What the kinds mean is told in
`kinds.py`.
"""

from __future__ import annotations

from typing import Any, Optional

from .kinds import Kinded


class HatcheryError(Kinded, kind="remote"):
    """An error with a kind that the host knows, and facts as a JSON object."""


class ValidationError(HatcheryError, kind="validation"): ...


class NotFound(HatcheryError, kind="not_found"): ...


class Unavailable(HatcheryError, kind="unavailable"): ...


class Cancelled(HatcheryError, kind="cancelled"): ...


class DeadlineExceeded(HatcheryError, kind="deadline"): ...


class Conflict(HatcheryError, kind="conflict"): ...


class LimitExceeded(HatcheryError, kind="limit"): ...


class HostError(HatcheryError):
    """A host tool failed. `host_kind` is the kind that the host gave; to the caller of the tool
    that does not catch it, it is an error of the tool, so its own kind stays `remote`."""

    def __init__(self, message: str, host_kind: str, details: Optional[dict[str, Any]] = None):
        super().__init__(message, {"host_kind": host_kind, **(details or {})})
        self.host_kind = host_kind


# They are known by the name that people import them by.
for _class in (HatcheryError, *HatcheryError.__subclasses__()):
    _class.__module__ = "hatchery"
