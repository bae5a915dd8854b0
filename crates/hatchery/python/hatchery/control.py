"""What comes beside the calls: the thread that reads the control channel, and the signals.

The thread is idle in `poll` while nothing comes. At the end of the control channel the host is gone, and so is the
worker, at once.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import suppress
from typing import Any, Callable, Optional

from . import wire
from .app import Stopped
from .channel import Frame, Gone, Reader, Writer, die_of_breach
from .ledger import Ledger
from .descriptors import DescriptorReader
from .port import Port
from .report import traceback_of
from .wire import Breach

EX_SOFTWARE = 70

# Ignored by default, so harmless should it come when its handler is gone. It only interrupts the
# main thread's system calls, which Python tries again.
WAKE = signal.SIGURG


class Control:
    """Reads control frames in a thread of its own. `port` is set when the worker is ready to serve."""

    def __init__(self, reader: DescriptorReader, writer: Writer, data: Reader, ledger: Optional[Ledger]):
        self.reader = reader
        self.writer = writer
        self.port: Optional[Port] = None
        self.stopping = False
        self._data = data
        self._ledger = ledger
        # The thread that blocks in a read of calls. The lock keeps it from ending while it is being signalled.
        self._reading: Optional[int] = threading.main_thread().ident
        self._reading_lock = threading.Lock()
        self._fork = threading.local()
        self._signals, self._signals_in = os.pipe()
        for fd in (self._signals, self._signals_in):
            os.set_blocking(fd, False)
        self._orders = {
            wire.PING: lambda frame: self.writer.send(wire.frame(wire.PONG, frame.id)),
            wire.CANCEL: lambda frame: self.port.calls.cancel(frame.id),
            wire.CREDIT: lambda frame: self.port.calls.grant(frame.id, frame.extra),
            wire.SHUTDOWN: lambda frame: self.stop(),
            wire.HOST_RESULT: self._answer,
            wire.HOST_ERROR: self._answer,
            wire.TELEMETRY: self._set_telemetry,
            wire.RECALL: self._give_back,
            wire.SEGMENT: self._introduce,
            wire.RELEASE: lambda frame: self.port.segments.released(frame.extra, frame.id),
        }

    def start(self) -> None:
        """Takes the signals over and starts the thread. Called from the main thread."""
        signal.signal(WAKE, self._wake)
        self.take_signals()
        threading.Thread(target=self._run, name="hatchery-control", daemon=True).start()

    def take_signals(self) -> None:
        """Signals that ask for the end reach the thread through a pipe, as a Python handler would not run
        while the main thread is about to block in a read. SIGINT is the host's affair; its handler does
        nothing, rather than being SIG_IGN, which programs that the app starts would inherit."""
        signal.set_wakeup_fd(self._signals_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._pass_on)
        signal.signal(signal.SIGINT, _nothing)

    def stop(self) -> None:
        """Ends the worker when what has been sent to it is done."""
        if not self.stopping:
            self.stopping = True
            self._data.stop()
        with self._reading_lock:
            if self._reading is not None:
                signal.pthread_kill(self._reading, WAKE)

    def reads_here(self) -> None:
        """This thread is about to read calls: `stop` has to wake it, and no other. It comes before the read, and a
        `stop` looks after it has put the end there, so one of the two sees the other."""
        self._reading = threading.get_ident()

    def reads_no_more(self) -> None:
        """This thread will end, after which it must not be signalled. The others see that there is nothing to read."""
        with self._reading_lock:
            self._reading = None

    def before_fork(self) -> None:
        """Holds signals back: one that came to the child while it still has the worker's handlers would
        be lost on it, and would be noted in the pipe that it shares with the worker."""
        self._fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLERS_OF_CHILDREN)

    def after_fork(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._fork.mask)

    def abandon(self) -> None:
        """In a forked child: nothing here is its own."""
        signal.set_wakeup_fd(-1)
        self.reader.abandon()
        for fd in (self._signals, self._signals_in):
            os.close(fd)
        self._signals = self._signals_in = -1
        self.writer.fd = -1
        for number, handler in _HANDLERS_OF_CHILDREN.items():
            if signal.getsignal(number) in (_nothing, self._pass_on, self._wake):
                signal.signal(number, handler)
        self.after_fork()

    def _wake(self, number: int, stack: Any) -> None:
        """In the main thread. While the app loads there is nothing to finish; afterwards the loop sees
        for itself that its input has ended."""
        if self.port is None:
            raise Stopped

    def _pass_on(self, number: int, stack: Any) -> None:
        """In the main thread. The signal has come through the pipe already, unless an event loop of user code has
        taken the wakeup descriptor."""
        with suppress(BlockingIOError):
            os.write(self._signals_in, bytes([number]))

    def _run(self) -> None:
        try:
            poll = select.poll()
            poll.register(self.reader.fd, select.POLLIN)
            poll.register(self._signals, select.POLLIN)
            while True:
                for fd, _ in poll.poll():
                    if fd == self._signals:
                        self._take_signals()
                    else:
                        self._take_frames()
        except Breach as breach:
            die_of_breach(breach)
        except (Gone, OSError):
            os._exit(0)
        except BaseException as error:  # A worker that no longer hears its host must not live on.
            os.write(2, (traceback_of(error) or repr(error)).encode("utf-8", "backslashreplace"))
            os._exit(EX_SOFTWARE)

    def _take_signals(self) -> None:
        if signal.SIGTERM in os.read(self._signals, 4096):
            self.stop()

    def _take_frames(self) -> None:
        """All frames that one read brings."""
        while True:
            frame = self.reader.next()
            if frame is None:
                os._exit(0)
            self._obey(frame)
            if not self.reader.has_more:
                return

    def _obey(self, frame: Frame) -> None:
        order = self._orders.get(frame.kind)
        if order is None or (self.port is None and frame.kind != wire.SHUTDOWN):
            raise Breach(f"state: {wire.NAMES[frame.kind]} came when it may not")
        order(frame)

    def _give_back(self, frame: Frame) -> None:
        first, count = self._ledger.give_back(frame.id, frame.extra)
        self.writer.send(wire.frame(wire.RECALLED, first, extra=count))

    def _answer(self, frame: Frame) -> None:
        if frame.kind == wire.HOST_ERROR:
            body = self._object(frame)
            if type(body.get("kind")) is not str or type(body.get("message")) is not str:
                raise Breach("body: HOST_ERROR must have a `kind` and a `message`")
        self.port.answer(frame)

    def _set_telemetry(self, frame: Frame) -> None:
        try:
            self.port.events = self.port.events.changed(self._object(frame))
        except TypeError as error:
            raise Breach(f"body: TELEMETRY: {error}") from None

    def _introduce(self, frame: Frame) -> None:
        self.port.segments.introduce(frame.id, self._object(frame), self.reader.descriptor())

    def _object(self, frame: Frame) -> dict:
        return read_object(frame, self.port.codec.loads)


def read_object(frame: Frame, loads: Callable[[Any], Any]) -> dict[str, Any]:
    """The body of a frame that must be a JSON object."""
    name = wire.NAMES[frame.kind]
    try:
        body = loads(frame.body)
    except (ValueError, RecursionError, OverflowError) as error:
        raise Breach(f"body: {name} is no JSON: {error}") from None
    if type(body) is not dict:
        raise Breach(f"body: {name} must be an object, got {type(body).__name__}")
    return body


def _nothing(number: int, stack: Any) -> None:
    pass


_HANDLERS_OF_CHILDREN = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
    WAKE: signal.SIG_DFL,
}
