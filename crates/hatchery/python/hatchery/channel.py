"""Frames over the inherited descriptors: `Reader` and `Writer`."""

from __future__ import annotations

import os
import select
import threading
from typing import Any, NamedTuple, NoReturn, Optional

from .wire import CALL, DATA, HEADER, HEADER_LENGTH, MAGIC, Breach, Limits, check_header, parse_header

# The read that usually takes a whole frame, or many. A larger one costs 0.35 us more, to give back what it
# did not need; what is missing of a larger frame is read into a buffer of its size.
_READ = 4096
_MOST_PARTS = 256
_EX_BREACH = 70
_new = tuple.__new__
_unpack = HEADER.unpack_from


class Gone(Exception):
    """The other end of the descriptor is closed, in the midst of something."""


def die_of_breach(breach: Breach) -> NoReturn:
    """The host broke the contract: say so and go."""
    os.write(2, f"hatchery worker: protocol breach: {breach}\n".encode("utf-8", "backslashreplace"))
    os._exit(_EX_BREACH)


class Frame(NamedTuple):
    kind: int
    flags: int
    id: int
    extra: int
    body: Any
    table: Any = None
    data: Any = b""


class Reader:
    """Reads checked frames from one descriptor. One thread reads; `stop` may come from another."""

    def __init__(self, fd: int, channel: str, limits: Limits = Limits(), agreed: Any = frozenset()):
        self.fd = fd
        self._channel = channel
        self.agree(limits, agreed)
        self._buffer = b""
        self._position = 0
        self._kept: Optional[int] = None
        self._draining = False

    def agree(self, limits: Limits, agreed: Any, opener: Any = None) -> None:
        """Puts in force what HELLO and READY state. `opener` makes of a table and its data what `Frame.table` is to be: as
        soon as it is read, as whoever receives an item must release it, also if he makes nothing of it."""
        self._opener = opener
        self._limits = limits
        self._agreed = agreed
        self._longest_call = limits.max_body if self._channel == DATA else 0

    @property
    def has_more(self) -> bool:
        """Whether a frame, or the beginning of one, has been read that `next` has not given yet."""
        return self._position < len(self._buffer)

    def next(self) -> Optional[Frame]:
        """The next frame, or None at a clean end."""
        buffer, start = self._buffer, self._position
        if start == len(buffer):
            buffer, start = b"" if self._draining else os.read(self.fd, _READ), 0
            self._buffer, self._position = buffer, 0
            if not buffer and not self._resume():
                return None
            buffer = self._buffer
        if len(buffer) - start >= HEADER_LENGTH:
            magic, kind, flags, length, id, table, extra, data = _unpack(buffer, start)
            body = start + HEADER_LENGTH
            end = body + length
            # The common case, a call without attachments that is all there, needs no other check than these.
            if end <= len(buffer) and kind == CALL and not table and not data and flags <= 1 \
                    and magic == MAGIC and 0 < length <= self._longest_call:
                self._position = end
                # A third of the price of Frame(...), which goes through a function of Python's.
                return _new(Frame, (kind, flags, id, extra, buffer[body:end], None, b""))
        return self._assemble()

    def stop(self) -> None:
        """Makes `next` return what has been sent so far and then None, whether it is blocked in a read
        or about to be. Called from any thread, which then interrupts the reading one with a signal: the read is
        then tried again, on a descriptor that is now at its end. Nothing that was sent is lost, and there is
        no moment at which the order could be missed."""
        if self._kept is None:
            self._kept = os.dup(self.fd)
            empty = os.open(os.devnull, os.O_RDONLY)
            os.dup2(empty, self.fd, inheritable=False)
            os.close(empty)

    def abandon(self) -> None:
        """In a forked child: the descriptors are its parent's."""
        for fd in (self.fd, self._kept):
            if fd is not None and fd >= 0:
                os.close(fd)
        self.fd, self._kept = -1, None

    def _resume(self) -> bool:
        """At the end of the file: whether there is more to read all the same, as the end was made by `stop`."""
        if self._kept is None:
            return False
        if not self._draining:
            os.dup2(self._kept, self.fd, inheritable=False)
            self._draining = True
        if not select.select([self.fd], [], [], 0)[0]:
            return False
        self._buffer = os.read(self.fd, _READ)
        return bool(self._buffer)

    def _assemble(self) -> Frame:
        """A frame that is not all in the buffer, or not of the common kind."""
        header = parse_header(self._take(HEADER_LENGTH))
        check_header(header, self._channel, self._limits, self._agreed)
        body = self._take(header.body)
        table = self._take(header.table) if header.table else None
        data = self._take_writable(header.data) if header.table else b""
        if header.table and self._opener is not None:
            table, data = self._opener(table, data), b""
        return Frame(header.kind, header.flags, header.id, header.extra, body, table, data)

    def _take(self, length: int):
        start, end = self._position, self._position + length
        if end <= len(self._buffer):
            self._position = end
            return self._buffer[start:end]
        return self._take_writable(length)

    def _take_writable(self, length: int) -> bytearray:
        """Exactly so many bytes, in one buffer that is made once and read into."""
        taken = bytearray(length)
        start = self._position
        have = min(length, len(self._buffer) - start)
        taken[:have] = self._buffer[start : start + have]
        self._position = start + have
        view = memoryview(taken)
        while have < length:
            count = os.readv(self.fd, [view[have:]])
            if not count and not self._midway():
                raise Gone(f"end of file after {have} of {length} bytes")
            have += count
        return taken

    def _midway(self) -> bool:
        """In the midst of a frame, the end that `stop` made is none: the rest of the frame is waited for."""
        if self._kept is None or self._draining:
            return False
        os.dup2(self._kept, self.fd, inheritable=False)
        self._draining = True
        return True


class Writer:
    """Writes whole frames to one descriptor, from any thread.

    A frame that a signal handler or a finaliser wants to send while its own thread is in the midst of another is
    sent right after that one.
    """

    def __init__(self, fd: int):
        self.fd = fd
        self._lock = threading.RLock()
        self._busy = False
        self._deferred: list[list] = []

    def send(self, frame: bytes, call: Any = None) -> bool:
        """Sends a frame, unless the call on whose behalf it comes has been answered."""
        with self._lock:
            if call is not None and call.ended:
                return False
            self._write([frame])
            return True

    def send_parts(self, parts: list, call: Any = None) -> bool:
        with self._lock:
            if call is not None and call.ended:
                return False
            self._write(parts)
            return True

    def finish(self, parts: list, call: Any) -> None:
        """Sends the frame that ends a call: no other of the call's comes after it."""
        with self._lock:
            call.ended = True
            self._write(parts)

    def abandon(self) -> None:
        """In a forked child: the descriptor is its parent's."""
        self._lock = threading.RLock()
        self._deferred.clear()
        self._busy = False  # Another thread of the parent's may have been at it.
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _write(self, parts: list) -> None:
        if self._busy:
            self._deferred.append(parts)
            return
        self._busy = True
        try:
            while True:
                count = os.write(self.fd, parts[0]) if len(parts) == 1 else 0
                if count != len(parts[0]):
                    _write_rest(self.fd, parts, count)
                if not self._deferred:
                    return
                parts = self._deferred.pop(0)
        except OSError as error:
            raise Gone(f"write: {error}") from None
        finally:
            self._busy = False


def _write_rest(fd: int, parts: list, count: int) -> None:
    """Writes the parts but for the first `count` bytes, which is fewer than the first part has."""
    rest = [memoryview(part) for part in parts]
    rest[0] = rest[0][count:]
    while rest:
        count = os.writev(fd, rest[:_MOST_PARTS])
        while rest and count >= len(rest[0]):
            count -= len(rest.pop(0))
        if count:
            rest[0] = rest[0][count:]
