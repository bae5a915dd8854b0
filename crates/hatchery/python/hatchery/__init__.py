"""Functions that hatchery runs in worker processes.

    from hatchery import tool, Context

    @tool
    def word_count(text: str) -> dict[str, int]:
        \"\"\"Count words.\"\"\"
        ...

A decorated function stays the plain function it was, so an app's own tests call it directly;
`Context.for_test()` stands in for the host. Importing this package starts nothing.

A function `health()` beside the tools (of the class, where the app is restricted to one) says how the worker is: None, True or a dict of
details is well, False or an exception is not.

Large values travel through shared memory. What comes so is read-only, unless a parameter is `Annotated[numpy.ndarray, Writable]`; what is
made by `empty` or `buffer` is returned without a copy.

In the thread profile several calls run at once and share the objects of the app, which guard their state themselves. Tools that
are `@tool(thread_sensitive=True)` run on the main thread, one at a time; a class with `thread_safe = False` is not served so.

`connect()` and `connect_async()` are for programs that use a running daemon, see `hatchery.client`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .client import connect as connect, connect_async as connect_async

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
from .forks import after_fork
from .forms import Writable
from .sharing import buffer, empty
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
    "Writable",
    "after_fork",
    "buffer",
    "current_context",
    "empty",
    "tool",
]


def __getattr__(name):
    """The client comes when somebody asks for it: workers start without."""
    if name in ("connect", "connect_async", "client"):
        from importlib import import_module

        module = import_module(".client", __name__)
        return module if name == "client" else getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
