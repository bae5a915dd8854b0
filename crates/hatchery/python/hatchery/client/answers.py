"""What an answer means, whichever client has read it."""

from __future__ import annotations

import os
from collections import deque
from http import HTTPStatus
from typing import Any, Callable, NamedTuple

from .address import START_ONE, Address
from .errors import DeadlineExceeded, Error, Unavailable, error_in
from .event_stream import Decoder, ServerSentEvent
from .http1 import CutOff, Reader, Request
from .values import ARRAY, BYTES, array_of, value_of


class Answer(NamedTuple):
    """A whole answer."""

    address: Address
    status: int
    headers: dict[str, str]
    body: bytes

    def content(self) -> Any:
        """The value that it brings. Raises the error that it brings instead."""
        self.check()
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == BYTES:
            return self.body
        if kind == ARRAY:
            return array_of(self.body)
        if kind.startswith("text/"):
            return self.body.decode("utf-8", "replace")
        return value_of(self.body) if self.body else None

    def check(self) -> None:
        """Raises the error that it brings, if it is one."""
        if not is_success(self.status):
            raise error_in(self.body) or failed(self.address, f"it answers {_phrase(self.status)}, not as a daemon does")


class Feed:
    """The items of a stream of events, from its bytes. `made` gives the item of an event, NOTHING for one that means nothing, END for the last; or
    raises what the stream ends with. One that `is_live` tells of what happens while it is there: it may end anywhere, and what is before its beginning is
    missed."""

    def __init__(self, made: Callable[[ServerSentEvent], Any], is_live: bool = False):
        self._made = made
        self.is_live = is_live
        self._decoder = Decoder()
        self._events: deque[ServerSentEvent] = deque()
        self.is_over = False

    def feed(self, data: bytes, address: Address) -> None:
        """Takes what came from there; nothing means that nothing will come any more."""
        if not data and not self.is_live:
            raise failed(address, "it ended the stream before its end")
        self.is_over = not data
        self._events.extend(self._decoder.feed(data))

    def next(self) -> Any:
        """The next item; NOTHING where more bytes are needed, or none will come as it `is_over`."""
        while self._events and not self.is_over:
            self.is_over = True  # Unless the event says otherwise: an error is the last, too.
            item = self._made(self._events.popleft())
            self.is_over = item is END
            if item is not END and item is not NOTHING:
                return item
        return NOTHING


NOTHING = object()
END = object()


def chunk_of(event: ServerSentEvent) -> Any:
    """Of the stream of a call."""
    if event.name == "chunk":
        return value_of(event.data.encode())
    if event.name == "error":
        raise error_in(event.data.encode()) or Error(event.data)
    return END if event.name == "end" else NOTHING


def is_success(status: int) -> bool:
    return 200 <= status < 300


def may_resend(request: Request, reader: Reader, sent_whole: bool, why: BaseException) -> bool:
    """Whether a request may be sent once more whose connection broke. One that was not sent to its end has not been understood, so
    nothing came of it."""
    return _is_break(why) and not reader.has_head and (request.idempotent or not sent_whole)


def lost(address: Address, why: Exception, request: Request, reader: Reader, sent_whole: bool) -> Unavailable:
    """The connection broke, or what answers is no daemon."""
    if _is_of_tls(why) and "ALERT" in str(why):
        return _for_good(f"the daemon at {address} has ended TLS: {reason(why)}; cert='me.pem' shows it who asks")
    when = "in the middle of its answer" if reader.has_head else "before it had answered"
    found = str(why) if not isinstance(why, OSError) else f"it went away {when}: {reason(why)}"
    is_unclear = sent_whole and not request.idempotent and _is_break(why)
    return failed(address, f"{found}; whether it has done what was asked is not known" if is_unclear else found)


def not_there(address: Address, why: OSError) -> Unavailable:
    """There is no connection. One that could be had is not asked for in vain a second time."""
    distrust = getattr(why, "verify_message", None)
    if distrust is not None:
        return _for_good(f"the daemon at {address} is not trusted: {distrust}; ca='authority.pem' names who vouches for it,"
                         " and its certificate the hosts by which it is reached")  # fmt: skip
    if _is_of_tls(why):
        return _for_good(f"the daemon at {address} does not speak TLS with us: {reason(why)}; http:// is for one that has none")
    if isinstance(why, PermissionError):
        return _for_good(f"the daemon at {address} lets its own user in: {reason(why)}; others ask at its port, with a token")
    return Unavailable(f"no daemon is running at {address}: {reason(why)}; {START_ONE}")


def closed() -> ValueError:
    return ValueError("the client is closed: whoever wants to ask more connects again")


def of_another_process() -> ValueError:
    return ValueError("what this process has inherited in a fork goes on in its parent: ask anew")


def too_late(address: Address, limit: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"the daemon at {address} does not answer within {limit:g} s")


def failed(address: Address, found: str) -> Unavailable:
    return Unavailable(f"the daemon at {address}: {found}")


def _for_good(message: str) -> Unavailable:
    error = Unavailable(message)
    error.retryable = False
    return error


def _is_of_tls(why: BaseException) -> bool:
    return type(why).__module__ == "ssl"  # Which was never imported where there is none.


def reason(why: OSError) -> str:
    if type(why).__module__ == "builtins" and why.errno:
        return os.strerror(why.errno)  # Without the address, which asyncio adds and the message has.
    return why.strerror or str(why) or type(why).__name__


def _is_break(why: BaseException) -> bool:
    return isinstance(why, (OSError, CutOff))


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
