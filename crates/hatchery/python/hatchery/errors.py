"""The exceptions that tools may raise and catch.

Raised from a tool, each reaches the host as an error of its kind; any other exception is `remote`.
"""

from __future__ import annotations

from typing import Any, Optional


class HatcheryError(Exception):
    """An error with a kind that the host knows, and facts as a JSON object."""

    kind = "remote"
    retryable = False

    def __init__(self, message: str = "", details: Optional[dict[str, Any]] = None):
        super().__init__(message)
        self.details = details or {}


class ValidationError(HatcheryError):
    """The arguments do not fit, or the app does not load."""

    kind = "validation"


class NotFound(HatcheryError):
    """There is no such thing."""

    kind = "not_found"


class Unavailable(HatcheryError):
    """What was asked for cannot be had now, or was not agreed with this host."""

    kind = "unavailable"
    retryable = True


class Cancelled(HatcheryError):
    """The caller gave the call up."""

    kind = "cancelled"


class DeadlineExceeded(HatcheryError):
    """The call's time has passed."""

    kind = "deadline"


class Conflict(HatcheryError):
    """The state of things does not allow it."""

    kind = "conflict"


class LimitExceeded(HatcheryError):
    """Something is larger than the host takes."""

    kind = "limit"


class HostError(HatcheryError):
    """A host tool failed. `host_kind` is the kind that the host gave; to the caller of the tool
    that does not catch it, it is an error of the tool, so its own kind stays `remote`."""

    def __init__(self, message: str, host_kind: str, details: Optional[dict[str, Any]] = None):
        super().__init__(message, {"host_kind": host_kind, **(details or {})})
        self.host_kind = host_kind


# They are known by the name that people import them by.
for _class in (HatcheryError, *HatcheryError.__subclasses__()):
    _class.__module__ = "hatchery"
