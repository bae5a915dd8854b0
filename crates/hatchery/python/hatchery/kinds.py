"""The kinds of errors, told once: for the exceptions that tools raise and catch (`errors.py`), and for those of the client of a daemon
(`client/errors.py`)."""

from __future__ import annotations

from typing import Any, Optional

# What each means, and whether the same may succeed if it is tried again. They are those of the host, in its order.
KINDS = {
    "validation": ("The arguments do not fit the tool, or what was asked for is wrong in itself. Trying again cannot help.", False),
    "not_found": ("There is no such tool, pool, session, worker or value.", False),
    "remote": ("The tool raised.", False),
    "deadline": ("The call's time has passed.", False),
    "cancelled": ("The call was given up, by its caller or by a host that ends.", False),
    "saturated": ("The queue of the pool is full.", True),
    "unavailable": ("What was asked for cannot be had now: no host is there, it takes no calls, it does not know who asks, or has not agreed to it.", True),
    "worker_died": ("The worker that ran the call died: `last_output` has its last words.", True),
    "protocol": ("The worker broke the wire protocol and was cut off, or an answer cannot be read.", True),
    "limit": ("Something is larger, or comes more often, than is taken.", False),
    "conflict": ("Something else has what was asked for, or the state of things does not allow it.", False),
    "internal": ("A bug, or a call of the operating system that should not fail.", False),
}


class Kinded(Exception):
    """An error with a kind, and facts as a JSON object. A class that is made with `kind=` is what is told of that kind above; one that is made without
    is of the kind of its base."""

    kind = "internal"
    retryable = False

    def __init_subclass__(cls, kind: Optional[str] = None, **named: Any):
        super().__init_subclass__(**named)
        if kind is not None:
            meaning, cls.retryable = KINDS[kind]
            cls.kind, cls.__doc__ = kind, cls.__doc__ or meaning

    def __init__(self, message: str = "", details: Optional[dict[str, Any]] = None):
        super().__init__(message)
        self.details = details or {}

    def __reduce__(self) -> Any:
        # With all that was set later, and whatever a subclass wants to be made with.
        return _unmade, (type(self), self.args), self.__dict__


def _unmade(cls: type, args: tuple) -> Any:
    return cls.__new__(cls, *args)
