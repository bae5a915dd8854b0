"""The client of a running daemon: the same pools from a notebook, a script, a web server.

    import hatchery

    with hatchery.connect() as client:
        client.call("word_count", text="a b a")            # {"a": 2, "b": 1}
        client.tools.word_count("a b a")                   # the same
        for n in client.stream("countdown", n=3): ...
        client.session("user-7").call("remember", k="v")

    async with hatchery.connect_async() as client:
        await client.call("word_count", text="a b a")
        async for n in client.stream("countdown", n=3): ...

`bytes` and NumPy arrays go in and come out as they are. What fails raises `hatchery.client.Error`, by a class for each kind.
Standard library only; workers do not import any of this.
"""

from .aio import AsyncClient, AsyncStream, connect_async
from .blocking import Client, Stream, connect
from .errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    Error,
    InternalError,
    LimitExceeded,
    NotFound,
    ProtocolError,
    RemoteError,
    RemoteTraceback,
    Saturated,
    Unavailable,
    ValidationError,
    WorkerDied,
)
from .mapping import Mapping
from .operations import Session, Shelf
from .orders import Orders
from .tools import Tool, Tools

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "Cancelled",
    "Client",
    "Conflict",
    "DeadlineExceeded",
    "Error",
    "InternalError",
    "LimitExceeded",
    "Mapping",
    "NotFound",
    "Orders",
    "ProtocolError",
    "RemoteError",
    "RemoteTraceback",
    "Saturated",
    "Session",
    "Shelf",
    "Stream",
    "Tool",
    "Tools",
    "Unavailable",
    "ValidationError",
    "WorkerDied",
    "connect",
    "connect_async",
]
