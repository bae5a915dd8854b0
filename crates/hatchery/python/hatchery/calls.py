"""The call in progress, between the loop that serves it and the thread that hears about it."""

from __future__ import annotations

import threading
import time
from typing import Any, Optional

from .errors import Cancelled


class Call:
    """One call of the host. The thread that serves it owns it; `cancelled` and `granted` are set by the control
    thread. `changed` is there where several calls run at once (`opencalls.py`)."""

    __slots__ = (
        "id", "request", "port", "deadline", "cancelled", "ended", "granted", "spent", "interrupt", "changed",
    )  # fmt: skip

    def __init__(self, port: Any, id: int, request: dict[str, Any], credit: int):
        self.id = id
        self.request = request
        self.port = port
        left = request.get("timeout_us")
        self.deadline = None if left is None else time.monotonic() + left / 1e6
        self.cancelled = False
        self.ended = False
        # Two counters, each with one writer, so that a chunk costs no lock.
        self.granted = credit
        self.spent = 0
        self.interrupt: Any = None

    @property
    def session_id(self) -> Optional[str]:
        return self.request.get("session")

    @property
    def correlation_id(self) -> Optional[str]:
        return self.request.get("correlation_id")

    @property
    def traceparent(self) -> Optional[str]:
        return self.request.get("traceparent")

    def report_progress(self, fraction: Optional[float], message: Optional[str]) -> None:
        self.port.progress(self, fraction, message)

    def log(self, level: str, message: str) -> None:
        self.port.log(self, level, message, "log")

    def call_host(self, name: str, arguments: dict[str, Any]) -> Any:
        return self.port.call_host(self, name, arguments)

    def host_tools(self) -> list[dict[str, Any]]:
        return self.port.host_tools(self)

    def emit(self, name: str, measurements: dict[str, float], metadata: dict[str, Any]) -> None:
        self.port.emit(self, name, measurements, metadata)


class Calls:
    """Which call runs, and which were cancelled before they came.

    `begin` sets the current call and then looks for its cancellation; `cancel` notes the cancellation and
    then looks for the current call. So whichever comes second sees the other, and a call that nobody cancels takes no lock.
    """

    def __init__(self):
        self.changed = threading.Condition()
        self.current: Optional[Call] = None
        self._highest_ended = 0
        self._cancelled: set[int] = set()

    def begin(self, call: Call) -> None:
        self.current = call
        if call.id in self._cancelled:
            call.cancelled = True

    def end(self, call: Call) -> None:
        self._highest_ended = call.id
        self.current = None
        if self._cancelled:
            with self.changed:
                self._cancelled = {id for id in self._cancelled if id > call.id}

    def cancel(self, id: int) -> None:
        """A CANCEL, for a call that runs or for one still to come."""
        if id <= self._highest_ended:
            return
        with self.changed:
            self._cancelled.add(id)
        call = self.current
        if call is None or call.id != id:
            return
        with self.changed:
            call.cancelled = True
            interrupt = call.interrupt
            self.changed.notify_all()
        if interrupt is not None:
            interrupt()

    def grant(self, id: int, credit: int) -> None:
        """A CREDIT; one for a call that has ended is of no use."""
        call = self.current
        if call is None or call.id != id:
            return
        with self.changed:
            call.granted += credit
            interrupt = call.interrupt
            self.changed.notify_all()
        if interrupt is not None:
            interrupt()

    def condition_of(self, call: Call) -> threading.Condition:
        """What is notified when something changes for the call."""
        return self.changed

    def wait_for_credit(self, call: Call) -> None:
        """Returns when a chunk may be sent; raises when the call is given up instead."""
        if call.granted > call.spent and not call.cancelled:
            return
        with self.changed:
            self.changed.wait_for(lambda: call.cancelled or call.granted > call.spent)
        raise_if_cancelled(call)

    def abandon(self) -> None:
        """In a forked child: whoever held the lock is not there."""
        self.changed = threading.Condition()


def raise_if_cancelled(call: Call) -> None:
    if call.cancelled:
        raise Cancelled("the call was cancelled")
