"""The life of a worker: take the wire, shake hands, load the app, serve, end."""

from __future__ import annotations

import atexit
import faulthandler
import os
import sys
import threading
from typing import Any, NamedTuple, Optional

from . import forks, interpreter, wire
from .app import App, LoadError, Stopped
from .calls import Calls
from .capture import Capture
from .channel import Gone, Reader, Writer, die_of_breach
from .context import CURRENT
from .control import Control, read_object
from .descriptors import DescriptorReader
from .health import HEALTH
from .jsonlib import choose
from .ledger import Ledger
from .loop import Loop
from .port import Port
from .report import traceback_of
from .sharing import can_share, sharing
from .values import Codec
from .wire import CONTROL, DATA, Breach, Limits

VERSION = 1
EX_USAGE = 64
EX_CONFIG = 78


def main(arguments: list[str]) -> None:
    """Runs the worker that `boot.py` was started as. Does not return while the host lives and has calls."""
    name, attribute = _parse(arguments)
    settings = os.environ.pop("HATCHERY_TEMPLATE", None)
    if settings is not None:
        from .template import serve

        serve(settings, name)
    faulthandler.enable(2)
    try:
        worker = Worker(_take_wire(), _take_ledger())
        worker.shake_hands()
        worker.load(App(name, attribute))
        worker.serve()
        worker.end()
        _leave()
    except Breach as breach:
        die_of_breach(breach)
    except Gone:
        os._exit(0)
    except Stopped:
        pass  # The host ended the worker while it loaded.


class Profile(NamedTuple):
    """How many calls the host sends at once at most, and whether it wants to hear what threads could break."""

    most: int
    checks: bool


class Worker:
    def __init__(self, descriptors: tuple[int, int, int], ledger: Optional[Ledger]):
        data_in, data_out, control = descriptors
        self._ledger = ledger
        self._codec = Codec(choose(), self._met_marker)
        self._data = Reader(data_in, DATA)
        self._writer = Writer(data_out)
        self._control_writer = Writer(control)
        self._control = Control(DescriptorReader(control, CONTROL), self._control_writer, self._data, ledger)
        self._profile: Any = None
        self._port: Any = None
        self._capture: Any = None
        self._app: Any = None
        self._loop: Any = None
        self._marked: set[type] = set()
        self._marking = threading.Lock()

    def shake_hands(self) -> None:
        """Reads HELLO and puts in force what it states."""
        frame = self._control.reader.next()
        if frame is None:
            raise Gone("the host closed the control channel before HELLO")
        if frame.kind != wire.HELLO:
            raise Breach(f"state: HELLO must come first, got {wire.NAMES[frame.kind]}")
        hello = read_object(frame, self._codec.loads)
        offered = _names(hello)
        self._capabilities = self._own_capabilities(offered)
        agreed, limits = offered.intersection(self._capabilities), _limits(hello)
        self._profile = _profile(hello)
        self._port = Port(self._writer, self._codec, _calls(self._profile), agreed, limits)
        segments = sharing(self._port) if "segments" in agreed else None
        self._data.agree(limits, agreed, self._codec.opener(segments and segments.awaited))
        self._control.reader.agree(limits, agreed, self._codec.opener(segments and segments.known))
        versions = hello.get("versions")
        if type(versions) is not list:
            raise Breach("body: HELLO must have a list of `versions`")
        if VERSION not in versions:
            self._fail("protocol", f"this worker knows version {VERSION} of the wire, the host offers {versions}")

    def load(self, app: App) -> None:
        """Loads the app and says READY, or what is wrong. Raises Stopped if the host ends the worker meanwhile."""
        self._app = app
        self._capture = Capture(self._port)
        control = self._control
        os.register_at_fork(
            before=control.before_fork, after_in_parent=control.after_fork, after_in_child=self._abandon
        )
        control.start()
        try:
            if forks.FORKED:
                app.resume()
            app.load()
            self._look_at_threads(app)
            self._capture.end_lines()
            ready = self._codec.encode(self._ready(app))[0]
            if self._control.stopping:
                raise Stopped
            self._control.port = self._port
        except LoadError as error:
            self._control.port = self._port  # From here on a SHUTDOWN interrupts nothing: we end anyway.
            self._capture.end_lines()
            self._fail("validation", str(error), error.traceback)
        self._control.take_signals()
        self._control_writer.send(wire.frame(wire.READY, 0, ready))

    def serve(self) -> None:
        """Answers calls until no more come."""
        tools = dict(self._app.tools)
        if self._app.health and "health" in self._port.agreed:
            tools[HEALTH] = self._app.health
        of_loop = (self._data, self._port, self._port.calls, tools, self._capture)
        self._loop = self._loop_of(of_loop)
        self._loop.serve()

    def end(self) -> None:
        """Lets the app clean up. What its `close` raises is printed, and ends nothing else's cleaning."""
        for value in reversed(self._app.objects):
            close = getattr(value, "close", None)
            if callable(close):
                self._attempt(lambda: self._close(close))
        self._attempt(self._loop.close)
        self._capture.end_lines()

    def _loop_of(self, parts: tuple) -> Loop:
        """The loop for so many calls at once. The one for one call knows nothing of the other."""
        if self._profile.most == 1:
            return Loop(*parts, self._ledger)
        from .threads import ThreadLoop

        return ThreadLoop(self._profile.most, self._control, *parts)

    def _look_at_threads(self, app: App) -> None:
        """Where several calls will run at once: whether the app says that it cannot, and what is known of its libraries."""
        if self._profile.most == 1:
            return
        app.refuse_threads()
        if self._profile.checks:
            from .compat import warnings_about

            for warning in warnings_about(list(sys.modules)):
                self._port.log(None, "warning", warning, "log")

    def _close(self, close: Any) -> None:
        result = close()
        if hasattr(result, "__await__"):
            self._loop.runner().finish(_awaited(result))

    def _attempt(self, action: Any) -> None:
        try:
            action()
        except BaseException as error:  # An exit too is of its own `close` only.
            print(traceback_of(error), file=sys.stderr)

    def _own_capabilities(self, offered: frozenset) -> list[str]:
        """Without those that this worker has no means for. What sharing needs costs a start 2 ms: looked for only if it is offered."""
        means = {"ahead": self._ledger is not None, "segments": "segments" in offered and can_share()}
        return [name for name in wire.CAPABILITIES if means.get(name, True)]

    def _ready(self, app: App) -> dict[str, Any]:
        return {
            "version": VERSION,
            "app": app.name,
            "runtime": interpreter.describe(self._codec.name),
            "capabilities": [name for name in self._capabilities if name != "health" or app.health],
            "tools": app.describe(),
        }

    def _fail(self, kind: str, message: str, traceback: Optional[str] = None) -> None:
        """Answers ERROR instead of READY, and ends."""
        body = {"kind": kind, "message": message}
        if traceback:
            body["traceback"] = traceback
        self._control_writer.send(wire.frame(wire.ERROR, 0, self._codec.encode(body)[0]))
        sys.exit(EX_CONFIG)

    def _met_marker(self, value: Any) -> None:
        """Tells the host of each class whose objects have no JSON form, once."""
        kind = type(value)
        with self._marking:
            if kind in self._marked or len(self._marked) >= 10_000 or "telemetry" not in self._port.agreed:
                return
            self._marked.add(kind)
        name = f"{kind.__module__}.{kind.__qualname__}"
        self._port.emit(CURRENT.get(), "serialization.unserializable_marker", {"first_seen": 1}, {"type": name})

    def _abandon(self) -> None:
        """In a forked child: nothing of the wire is its own, and it must not be able to write there."""
        if self._data.fd < 0:
            self._control.after_fork()  # A child of a child: the rest was done there.
            return
        self._port.calls.abandon()
        if self._loop is not None:
            self._loop.abandon()
        self._data.abandon()
        self._writer.abandon()
        self._control.abandon()
        self._capture.abandon()


def _leave() -> None:
    """Exits as Python would, but without a wait for threads that tools left behind: nobody would know what for."""
    atexit._run_exitfuncs()
    os._exit(0)


async def _awaited(value: Any) -> Any:
    return await value


def _parse(arguments: list[str]) -> tuple[str, Optional[str]]:
    if len(arguments) == 1:
        return arguments[0], None
    if len(arguments) == 3 and arguments[1] == "--attr":
        return arguments[0], arguments[2]
    sys.stderr.write("usage: boot.py APP [--attr ATTR]; hatchery starts it\n")
    sys.exit(EX_USAGE)


def _take_wire() -> tuple[int, int, int]:
    """The three descriptors, which no program that the app starts shall hold or hear of."""
    text = os.environ.pop("HATCHERY_WIRE", "")
    try:
        data_in, data_out, control = (int(part) for part in text.split(","))
        for fd in (data_in, data_out, control):
            os.set_inheritable(fd, False)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"HATCHERY_WIRE={text!r} does not name three open descriptors: {error}\n")
        sys.exit(EX_USAGE)
    return data_in, data_out, control


def _take_ledger() -> Optional[Ledger]:
    """The page on which each call is noted before it is begun, if the host has given one."""
    text = os.environ.pop("HATCHERY_LEDGER", "")
    try:
        return Ledger(int(text)) if text else None
    except (ValueError, OSError) as error:
        sys.stderr.write(f"HATCHERY_LEDGER={text!r} does not name a page of shared memory: {error}\n")
        sys.exit(EX_USAGE)


def _names(hello: dict[str, Any]) -> frozenset:
    """The capabilities that the host offers."""
    offered = hello.get("capabilities", [])
    if type(offered) is not list:
        raise Breach("body: HELLO must have a list of `capabilities`")
    return frozenset(name for name in offered if type(name) is str)


def _profile(hello: dict[str, Any]) -> Profile:
    most = hello.get("max_in_flight", 1)
    if type(most) is not int or most < 1:
        raise Breach("body: HELLO has a `max_in_flight` that is no number above 0")
    return Profile(most, hello.get("thread_safety_checks") is True)


def _calls(profile: Profile) -> Any:
    if profile.most == 1:
        return Calls()
    from .opencalls import OpenCalls

    return OpenCalls()


def _limits(hello: dict[str, Any]) -> Limits:
    stated = hello.get("limits") or {}
    if type(stated) is not dict or any(type(value) is not int for value in stated.values()):
        raise Breach("body: HELLO has `limits` that are no numbers")
    return Limits(**{name: stated[name] for name in Limits._fields if name in stated})
