"""What a tool may ask of the call it serves: the parameter annotated `Context`."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any, Callable, Optional

from . import forks
from .errors import Cancelled, NotFound, Unavailable

# The call that the code here runs for. Threads of the user's own have none unless they copy the context.
CURRENT: ContextVar[Any] = ContextVar("hatchery_call", default=None)


def current_context() -> Optional["Context"]:
    """The context of the call that this code runs for, or None outside of calls."""
    call = CURRENT.get()
    return None if call is None else Context(call)


class Context:
    """One call, as its tool sees it. May be used from any thread while the call lasts.

    When the caller gives the call up, `cancelled` is true; `check`, `progress`, `call` and `tools` raise `Cancelled`, also
    those that wait; a generator is closed at its next `yield`, and a coroutine gets `asyncio.CancelledError` at its
    next `await`. `log` and `emit` go on, for whoever cleans up. Python code that does none of this is not interrupted: the host
    ends its worker after a grace.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Any):
        self._call = call

    @staticmethod
    def for_test(
        session_id: Optional[str] = None,
        timeout: Optional[float] = None,
        host_tools: Optional[dict[str, Callable]] = None,
    ) -> "Context":
        """A context without a host, for an app's own tests. `host_tools` answer `call`; what the tool
        reports is kept in `recorded`; `cancel()` cancels."""
        return TestContext(_Rehearsal(session_id, timeout, host_tools or {}))

    @property
    def session_id(self) -> Optional[str]:
        """The session that the call belongs to, if it does."""
        return self._call.session_id

    @property
    def correlation_id(self) -> Optional[str]:
        return self._call.correlation_id

    @property
    def traceparent(self) -> Optional[str]:
        """The span that the call is part of, as the W3C writes it in the header of this name; None if its caller gave none."""
        return self._call.traceparent

    @property
    def deadline(self) -> Optional[float]:
        """When the call's time is over, as a value of `time.monotonic()`; None if it has no end."""
        return self._call.deadline

    @property
    def time_left(self) -> Optional[float]:
        """Seconds until the deadline, not below 0."""
        deadline = self._call.deadline
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    @property
    def forked(self) -> bool:
        """Whether this worker was forked from its pool's template, so that it shares what that had imported."""
        return forks.FORKED

    @property
    def cancelled(self) -> bool:
        """Whether the caller gave the call up. A plain function looks here and returns early."""
        return self._call.cancelled

    def check(self) -> None:
        """Raises `Cancelled` if the caller gave the call up."""
        if self._call.cancelled:
            raise Cancelled("the call was cancelled")

    def progress(self, fraction: Optional[float] = None, message: Optional[str] = None) -> None:
        """Tells the caller how far the call is: a fraction from 0 to 1, a text, or both."""
        if fraction is not None:
            fraction = min(1.0, max(0.0, float(fraction))) if fraction == fraction else None
        self.check()
        self._call.report_progress(fraction, message)

    @property
    def log(self) -> "Log":
        """`ctx.log("text")`, or `ctx.log.debug`, `.info`, `.warning`, `.error`; %-arguments as in `logging`."""
        return Log(self._call)

    def call(self, host_tool: str, /, **arguments: Any) -> Any:
        """Runs a function of the host and returns what it gave. Blocks, an event loop too."""
        self.check()
        return self._call.call_host(host_tool, arguments)

    def tools(self) -> list[dict[str, Any]]:
        """The functions that the host offers to `call`."""
        self.check()
        return self._call.host_tools()

    def emit(
        self,
        name: str,
        measurements: Optional[dict[str, float]] = None,
        metadata: Optional[dict[str, Any]] = None,
    ) -> None:
        """Sends a telemetry event; the name is dotted words."""
        self._call.emit(name, measurements or {}, metadata or {})


class Log:
    """Log lines of one call."""

    __slots__ = ("_call",)

    def __init__(self, call: Any):
        self._call = call

    def __call__(self, message: Any, *args: Any) -> None:
        self._write("info", message, args)

    def debug(self, message: Any, *args: Any) -> None:
        self._write("debug", message, args)

    def info(self, message: Any, *args: Any) -> None:
        self._write("info", message, args)

    def warning(self, message: Any, *args: Any) -> None:
        self._write("warning", message, args)

    def error(self, message: Any, *args: Any) -> None:
        self._write("error", message, args)

    def _write(self, level: str, message: Any, args: tuple) -> None:
        self._call.log(level, str(message) % args if args else str(message))


class TestContext(Context):
    """A context that `Context.for_test` made."""

    __slots__ = ()
    __test__ = False  # It is no test, whatever a collector makes of its name.

    @property
    def recorded(self) -> list[tuple]:
        """What the tool reported, in order: `("progress", 0.5, "half")`, `("log", "info", "text")`,
        `("call", name, arguments)`, `("event", name, measurements, metadata)`."""
        return self._call.recorded

    def cancel(self) -> None:
        self._call.cancelled = True


class _Rehearsal:
    """Stands where a call of a host would."""

    def __init__(self, session_id: Optional[str], timeout: Optional[float], tools: dict[str, Callable]):
        self.session_id = session_id
        self.correlation_id = "0" * 16
        self.traceparent: Optional[str] = None
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.cancelled = False
        self.recorded: list[tuple] = []
        self._tools = tools

    def report_progress(self, fraction: Optional[float], message: Optional[str]) -> None:
        self.recorded.append(("progress", fraction, message))

    def log(self, level: str, message: str) -> None:
        self.recorded.append(("log", level, message))

    def call_host(self, name: str, arguments: dict[str, Any]) -> Any:
        if not self._tools:
            raise Unavailable("this context was made without host tools")
        if name not in self._tools:
            raise NotFound(f"no such host tool: {name}")
        self.recorded.append(("call", name, arguments))
        return self._tools[name](**arguments)

    def host_tools(self) -> list[dict[str, Any]]:
        return [{"name": name, "doc": function.__doc__ or ""} for name, function in self._tools.items()]

    def emit(self, name: str, measurements: dict[str, float], metadata: dict[str, Any]) -> None:
        self.recorded.append(("event", name, measurements, metadata))
