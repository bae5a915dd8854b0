"""`print` and `sys.stderr` of user code, as log lines of the call that they belong to."""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import Any

from .channel import Gone
from .context import CURRENT
from .port import LONGEST_LINE, Port


class LineSink(io.RawIOBase):
    """Takes bytes and sends whole lines as LOG; as they are to the descriptor where the host takes none."""

    def __init__(self, port: Port, source: str, level: str, fd: int):
        super().__init__()
        self._port = port
        self._source = source
        self._level = level
        self._fd = fd
        # User code may print from several threads, and from a finaliser in the midst of a print.
        self._lock = threading.RLock()
        # The line that each call, or code outside of calls, has begun and not ended.
        self.begun: dict[Any, bytes] = {}
        self.direct = "log" not in port.agreed

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any) -> int:
        data = bytes(data)
        if self.direct:
            return _write_through(self._fd, data)
        call = CURRENT.get()
        # A thread that outlives its call is at nobody's end but the worker's.
        owner = None if call is None or call.ended else call
        with self._lock:
            *lines, rest = (self.begun.pop(owner, b"") + data).split(b"\n")
            *pieces, rest = _pieces(rest)
            if rest:
                self.begun[owner] = rest
        for line in lines + pieces:
            self._send(call, line)
        return len(data)

    def end_line(self) -> None:
        """Sends the line that the call here has begun."""
        call = CURRENT.get()
        with self._lock:
            line = self.begun.pop(call, None)
        if line is not None:
            self._send(call, line)

    def abandon(self) -> None:
        """In a forked child: what it writes goes to the descriptor."""
        self._lock = threading.RLock()
        self.begun = {}
        self.direct = True

    def _send(self, call: Any, line: bytes) -> None:
        for piece in _pieces(line):
            text = piece.decode("utf-8", "replace").rstrip("\r")
            try:
                self._port.log_line(call, self._level, text, self._source)
            except Gone:  # A line must not hurt the code that printed it.
                _write_through(self._fd, piece + b"\n")


def _pieces(line: bytes) -> list[bytes]:
    """The line, cut where it is too long, though never within a character."""
    pieces = []
    while len(line) > LONGEST_LINE:
        end = LONGEST_LINE
        while end > LONGEST_LINE - 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


def _write_through(fd: int, data: bytes) -> int:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
    return len(data)


class Capture:
    """The two streams that stand in for `sys.stdout` and `sys.stderr`."""

    def __init__(self, port: Port):
        self.sinks = self._out, self._err = (
            LineSink(port, "stdout", "info", 1),
            LineSink(port, "stderr", "warning", 2),
        )
        # Kept here as well: code that wraps `sys.stdout.buffer` anew drops the stream, which would close the sink.
        self._streams = [
            io.TextIOWrapper(sink, "utf-8", "backslashreplace", write_through=True)
            for sink in self.sinks
        ]
        sys.stdout, sys.stderr = self._streams

    def end_lines(self) -> None:
        """At the end of a call: a line that was begun is the call's own."""
        if self._out.begun:
            self._out.end_line()
        if self._err.begun:
            self._err.end_line()

    def abandon(self) -> None:
        for sink in self.sinks:
            sink.abandon()
