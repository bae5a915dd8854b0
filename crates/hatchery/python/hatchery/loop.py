"""The loop of a worker: read a call, run it, write what it came to. One thread, one call at a time."""

from __future__ import annotations

from contextvars import copy_context
from types import CoroutineType
from typing import Any, AsyncIterator, Optional

from .calls import Call, Calls, raise_if_cancelled
from .capture import Capture
from .channel import Frame, Gone, Reader
from .context import CURRENT
from .control import read_object
from .errors import HatcheryError, LimitExceeded, NotFound, ValidationError
from .ledger import Ledger
from .port import Port
from .report import report
from .tools import Tool
from .wire import END, ERROR, RESULT, Breach


class Loop:
    """Serves calls from `reader` until it has no more."""

    def __init__(
        self, reader: Reader, port: Port, calls: Calls, tools: dict[str, Tool], capture: Capture,
        ledger: Optional[Ledger] = None,
    ):  # fmt: skip
        self._reader = reader
        self._port = port
        self._frame = port.frame
        self._loads = port.codec.loads
        self._finish = port.writer.finish
        self._calls = calls
        self._tools = tools
        self._capture = capture
        self._out, self._err = capture.sinks
        self._begins = _always if ledger is None else ledger.begins
        self._runner: Any = None

    def serve(self) -> None:
        while True:
            frame = self._reader.next()
            if frame is None:
                return
            if not self._begins(frame.id):
                del frame
                continue
            # What a call sets in the context ends with it; what the app set while it was loading stays.
            copy_context().run(self._answer, frame)
            del frame  # It may be large, and the next one long in coming.

    def runner(self) -> Any:
        """The event loop's runner; asyncio is not imported before the first coroutine needs it."""
        if self._runner is None:
            from .runner import Runner

            self._runner = Runner()
        return self._runner

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()

    def abandon(self) -> None:
        """In a forked child, which ends where it wants to answer."""

    def _answer(self, frame: Frame) -> None:
        """Answers one call by exactly one frame that ends it."""
        request = _read_request(frame, self._loads)
        try:
            call = Call(self._port, frame.id, request, frame.extra)
        except (TypeError, OverflowError):
            raise Breach("body: CALL has a `timeout_us` that is no number") from None
        CURRENT.set(call)
        self._calls.begin(call)
        try:
            parts = self._run(frame, call, request)
        except (Breach, Gone):
            raise
        except BaseException as error:
            parts = self._failure(call, error)
        if self._out.begun or self._err.begun:
            self._capture.end_lines()
        self._finish(parts, call)
        self._calls.end(call)

    def _run(self, frame: Frame, call: Call, request: dict[str, Any]) -> list:
        """The parts of the RESULT or END of a call that goes well."""
        if call.cancelled:
            raise_if_cancelled(call)
        _, flags, id, _, _, received, _ = frame
        tool = self._tools.get(request["tool"])
        if tool is None or tool.streaming != flags:
            raise _mismatch(request, tool)
        arguments = request.pop("args")  # Else a call would hold its Context, which holds the call.
        if received is not None:
            arguments = self._port.codec.attach(arguments, received, tool.binding.forms)
        arguments = tool.bind(arguments, call)
        if flags:
            return self._frame(END, id, self._stream(call, tool, arguments))
        value = tool.function(**arguments)
        if type(value) is CoroutineType:
            value = self.runner().run(call, value)
        return self._frame(RESULT, id, value)

    def _stream(self, call: Call, tool: Tool, arguments: dict[str, Any]) -> Any:
        """Sends what a generator yields and gives what it returned."""
        items = tool.function(**arguments)
        if type(items) is CoroutineType:
            items = self.runner().run(call, items)
        if hasattr(items, "__anext__") or hasattr(items, "__aiter__"):
            return self.runner().run(call, self._send_async(call, items))
        return self._send(call, iter(items))

    def _send(self, call: Call, items: Any) -> Any:
        port, wait = self._port, self._calls.wait_for_credit
        try:
            while True:
                try:
                    item = next(items)
                except StopIteration as end:
                    return end.value
                wait(call)
                port.writer.send_parts(port.chunk(call, item))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    async def _send_async(self, call: Call, items: AsyncIterator) -> None:
        port, runner = self._port, self.runner()
        items = items.__aiter__()
        try:
            async for item in items:
                await runner.wait_for_credit(call)
                raise_if_cancelled(call)
                port.writer.send_parts(port.chunk(call, item))
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    def _failure(self, call: Call, error: BaseException) -> list:
        """The parts of the ERROR of a call."""
        body = report(error, call.correlation_id)
        for attempt in (body, {key: value for key, value in body.items() if key != "details"}):
            try:
                return self._port.frame(ERROR, call.id, attempt)
            except BaseException:  # Converting the details ran code of the app, or they are binary, or too long.
                continue
        limit = LimitExceeded("the error of the call is larger than the host takes")
        return self._port.frame(ERROR, call.id, report(limit, call.correlation_id))


def _always(id: int) -> bool:
    return True


def _read_request(frame: Frame, loads: Any) -> dict[str, Any]:
    """The body of a CALL."""
    try:
        request = loads(frame.body)
        if type(request["tool"]) is str and type(request["args"]) is dict:
            return request
    except (RecursionError, OverflowError):
        return _TOO_DEEP
    except (ValueError, TypeError, KeyError):
        read_object(frame, loads)
    raise Breach("body: CALL must have a `tool` and an object `args`")


def _mismatch(request: dict[str, Any], tool: Optional[Tool]) -> HatcheryError:
    """Why the request is not one for the tool that was found by its name."""
    name = request["tool"]
    if request is _TOO_DEEP:
        return LimitExceeded("the arguments nest deeper, or have longer numbers, than this worker can read")
    if tool is None:
        return NotFound(f"no such tool: {name}")
    problem = "streams, and was called for one result" if tool.streaming else "gives one result, not a stream"
    return ValidationError(f"{name}: the tool {problem}", {"tool": name})


# Stands for the body of a CALL that is JSON, but that no library here can read. No tool has this name.
_TOO_DEEP: dict[str, Any] = {"tool": "", "args": {}}
