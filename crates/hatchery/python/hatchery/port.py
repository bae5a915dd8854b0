"""What a worker can say to its host while it serves: replies, progress, log, events, calls of host tools."""

from __future__ import annotations

import itertools
import sys
from typing import Any, Optional

from . import wire
from .attachments import Outgoing, Parts
from .calls import Call, Calls, raise_if_cancelled
from .channel import Frame, Writer, die_of_breach
from .errors import HatcheryError, HostError, LimitExceeded, Unavailable
from .jsonlib import REFUSALS
from .telemetry import Filter
from .values import Codec
from .wire import HEADER, MAGIC, Breach, Limits

LONGEST_LINE = 8192
_pack = HEADER.pack


class Port:
    """The worker's side of one connection. Usable from any thread."""

    def __init__(self, writer: Writer, codec: Codec, calls: Calls, agreed: frozenset, limits: Limits):
        self.writer = writer
        self.codec = codec
        self.calls = calls
        self.agreed = agreed
        self.limits = limits
        self._dumps = codec.dumps
        self._max_body = limits.max_body
        self.events = Filter()
        self.segments: Any = None  # The `Segments`, where `segments` is agreed.
        self._questions: dict[int, _Question] = {}
        self._ids = itertools.count(1)

    def require(self, capability: str, wish: str) -> None:
        """Raises `Unavailable` where the host did not agree to a capability."""
        if self.writer.fd < 0:
            raise Unavailable(f"{wish}: this is a forked child, the host does not know it")
        if capability not in self.agreed:
            raise Unavailable(f"{wish}: this host does not offer `{capability}`")

    def frame(self, kind: int, id: int, value: Any) -> list:
        """The parts of a frame that carries a value, or LimitExceeded where the host would not take it."""
        try:
            body = self._dumps(value)
        except REFUSALS:
            body = None  # Converted below, so that an error of that has not this one as its context.
        if body is None:
            body, outgoing = self.codec.convert(value)
            if outgoing is not None:
                return self._frame_with_data(kind, id, body, outgoing)
        length = len(body)
        if length > self._max_body:
            raise _too_large("body", length, self._max_body)
        return [_pack(MAGIC, kind, 0, length, id, 0, 0, 0) + body]

    def _frame_with_data(self, kind: int, id: int, body: bytes, outgoing: Outgoing) -> list:
        if kind == wire.ERROR:
            raise HatcheryError("binary values cannot travel in an error")
        self.require("attachments", "binary values")
        table = outgoing.table()
        lengths = zip(("body", "table", "data"), (len(body), len(table), outgoing.length), self.limits)
        for part, length, most in lengths:
            if length > most:
                raise _too_large(part, length, most)
        return outgoing.frame(wire.head(kind, id, body, table, outgoing.length))

    def chunk(self, call: Call, value: Any) -> list:
        """The parts of a CHUNK; the call's balance is charged for it."""
        parts = self.frame(wire.CHUNK, call.id, value)
        call.spent += parts.cost if type(parts) is Parts else len(parts[0])
        return parts

    def progress(self, call: Call, fraction: Optional[float], message: Optional[str]) -> None:
        self.require("progress", "progress")
        body = {"fraction": fraction, "message": None if message is None else str(message)}
        for part in self.frame(wire.PROGRESS, call.id, body):
            self.writer.send(part, call)

    def log(self, call: Optional[Call], level: str, message: str, source: str) -> None:
        """Sends a text as lines of log, or writes it to descriptor 2 where the host takes no LOG."""
        if "log" not in self.agreed or self.writer.fd < 0:
            print(message, file=sys.__stderr__, flush=True)
            return
        for line in message.splitlines() or [""]:
            for start in range(0, len(line) or 1, LONGEST_LINE):
                self.log_line(call, level, line[start : start + LONGEST_LINE], source)

    def log_line(self, call: Optional[Call], level: str, line: str, source: str) -> None:
        body = {"level": level, "message": line, "source": source, **_correlation(call)}
        encoded = self.codec.encode(body)[0]
        if call is None or not self.writer.send(wire.frame(wire.LOG, call.id, encoded), call):
            self.writer.send(wire.frame(wire.LOG, 0, encoded))

    def emit(self, call: Optional[Call], name: str, measurements: dict, metadata: dict) -> None:
        self.require("telemetry", "telemetry event")
        if not self.events.passes(name):
            return
        body = {"name": name, "measurements": measurements, "metadata": metadata, **_correlation(call)}
        encoded, outgoing = self.codec.encode(body)
        if outgoing is not None:
            raise HatcheryError("a telemetry event cannot carry binary values")
        if call is None or not self.writer.send(wire.frame(wire.EVENT, call.id, encoded), call):
            self.writer.send(wire.frame(wire.EVENT, 0, encoded))

    def call_host(self, call: Call, name: str, arguments: dict[str, Any]) -> Any:
        """Runs a host tool and waits for its answer, or for the call's cancellation."""
        self.require("host_tools", f"host tool `{name}`")
        behalf = 0 if call.ended else call.id
        body = {"call": behalf, "tool": name, "args": arguments, **_correlation(call)}
        id = next(self._ids)
        return self._ask(call, id, self.frame(wire.HOST_CALL, id, body))

    def host_tools(self, call: Call) -> list[dict[str, Any]]:
        self.require("host_tools", "the list of host tools")
        behalf = 0 if call.ended else call.id
        id = next(self._ids)
        return self._ask(call, id, self.frame(wire.HOST_TOOLS, id, {"call": behalf}))

    def answer(self, frame: Frame) -> None:
        """A HOST_RESULT or HOST_ERROR; one that nobody waits for any more is dropped."""
        question = self._questions.get(frame.id)
        if question is not None:
            with question.changed:
                question.answer = frame
                question.changed.notify_all()

    def _ask(self, call: Call, id: int, parts: list) -> Any:
        question = self._questions[id] = _Question(self.calls.condition_of(call))
        try:
            self.writer.send_parts(parts)
            with question.changed:
                question.changed.wait_for(lambda: question.answer is not None or call.cancelled)
        finally:
            del self._questions[id]
        if question.answer is None:
            raise_if_cancelled(call)
        return self._open(question.answer)

    def _open(self, frame: Any) -> Any:
        try:
            value = self.codec.loads(frame.body)
            if frame.table is not None:
                value = self.codec.attach(value, frame.table)
        except Breach as breach:
            die_of_breach(breach)  # At once: the code of the app above would catch it.
        except ValueError as error:
            die_of_breach(Breach(f"body: {wire.NAMES[frame.kind]} is no JSON: {error}"))
        if frame.kind != wire.HOST_ERROR:
            return value
        details = value.get("details")
        raise HostError(value["message"], value["kind"], details if type(details) is dict else None)


class _Question:
    """A host call that has no answer yet, or has one that nobody has taken yet."""

    __slots__ = ("changed", "answer")

    def __init__(self, changed: Any):
        self.changed = changed
        self.answer: Optional[Frame] = None


def _correlation(call: Optional[Call]) -> dict[str, str]:
    if call is None or call.correlation_id is None:
        return {}
    return {"correlation_id": call.correlation_id}


def _too_large(part: str, length: int, most: int) -> LimitExceeded:
    return LimitExceeded(
        f"the {part} of the answer has {length} bytes, the host takes at most {most}",
        {"part": part, "length": length, "limit": most},
    )
