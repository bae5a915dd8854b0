"""Functions that hatchery runs in worker processes.

    from hatchery import tool, Context

    @tool
    def word_count(text: str) -> dict[str, int]:
        \"\"\"Count words.\"\"\"
        ...

A decorated function stays the plain function it was, so an app's own tests call it directly;
`Context.for_test()` stands in for the host. Importing this package starts nothing.
"""

from .context import Context, current_context
from .errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    HatcheryError,
    HostError,
    LimitExceeded,
    NotFound,
    Unavailable,
    ValidationError,
)
from .tools import tool

__all__ = [
    "Cancelled",
    "Conflict",
    "Context",
    "DeadlineExceeded",
    "HatcheryError",
    "HostError",
    "LimitExceeded",
    "NotFound",
    "Unavailable",
    "ValidationError",
    "current_context",
    "tool",
]
