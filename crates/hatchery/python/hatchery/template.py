"""The template of a pool: a process with one thread that imports what workers have in common, and forks them on order.

The host starts it like a worker and says in `HATCHERY_TEMPLATE` what it is to be. It says on one descriptor whether it can be a
template, then obeys one order: fork. `docs/design/fast-path.md` has the whole picture.

Until the host says so, a forked process runs nothing of the app's: it carries the template's mark, and ends with it. Afterwards
it is a worker like one that was started, and `serve` returns in it.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import time
import warnings
from contextlib import suppress
from typing import Any, NamedTuple, Optional

from . import forks
from .app import App, LoadError, compile_ahead, folder_of, make_importable
from .jsonlib import choose
from .report import message_of, traceback_of, type_of
from .sharing import can_share
from .tools import Options, Tool

# What a worker is given has these numbers in it, so nothing that a module opens may have them here.
_RESERVED = range(3, 24)

# How long the guardian may take to become the parent of an orphan.
_PATIENCE = 10.0

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15

# Devices that a process cannot share with those that it forks.
_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri/", "/dev/accel", "/dev/davinci", "/dev/habanalabs")


class Unfit(Exception):
    """This process cannot be a template, or is none any more."""


class Order(NamedTuple):
    """What one worker is to have. `line` leads to the host, and to nobody else."""

    line: socket.socket
    environment: int
    descriptors: list


def serve(settings: str, app: str) -> None:
    """The life of the template. Returns in a forked worker, and nowhere else."""
    said = json.loads(settings)
    template = _set_up(said["report"], said["orders"])
    template.environment = dict(os.environb)  # As it was given. What modules change of it, workers keep.
    try:
        _prepare(said["preload"], app, said["app"])
    except LoadError as error:
        body = {"kind": "validation", "message": str(error), "traceback": error.traceback}
        _report(template.report, {"failed": body})
        os._exit(0)
    except Unfit as reason:
        _report(template.report, {"unfit": str(reason)})
        os._exit(0)
    _report(template.report, "ready")
    template.obey()


def _set_up(report: int, orders: int) -> "Template":
    """Takes low numbers out of the way of what modules open."""
    import fcntl

    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _RESERVED.stop) for fd in (report, orders)]
    empty = os.open(os.devnull, os.O_RDWR)
    for fd in _RESERVED:
        if fd != empty:
            os.dup2(empty, fd, inheritable=False)
    return Template(*high)


def _report(fd: int, body: Any) -> None:
    """Says once what became of the start."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    rest = json.dumps(body).encode("utf-8", "backslashreplace")
    while rest:
        rest = rest[os.write(fd, rest) :]
    os.close(fd)


def _prepare(modules: list, app: str, with_app: bool) -> None:
    """Imports everything, and looks after each what it has left behind."""
    try:
        _Kernel()
    except Exception as error:
        raise Unfit(f"this Python cannot call the C library (ctypes): {message_of(error)}") from None
    choose()  # Before the app's folder is where modules come from, as in a worker that is started cold.
    make_importable(folder_of(app))
    known = _Holdings.now()
    for name in modules:
        _import(name)
        known = known.grown(f"module {name}")
    if with_app:
        App(app).preload()
        known.grown(f"app {app}")
    _rehearse(app)
    _look_at_threads()


def _rehearse(app: str) -> None:
    """What all workers would do alike before they are ready, done once: half of the time that a forked one needs."""
    compile_ahead(app)
    if can_share():
        from . import segments  # noqa: F401
    Tool(_rehearsed, Options()).describe()


def _rehearsed(text: str, values: Optional[list[int]] = None) -> dict[str, float]:
    """A tool like many."""
    raise NotImplementedError


def _import(name: str) -> None:
    try:
        __import__(name)
    except BaseException as error:
        words = f"preload {name}: {type_of(error)}: {message_of(error)}"
        raise LoadError(words, traceback_of(error)) from None


class _Holdings(NamedTuple):
    """What a process has that those whom it forks would not have, or would share."""

    threads: int
    open: frozenset

    @classmethod
    def now(cls) -> "_Holdings":
        try:
            return cls(len(os.listdir("/proc/self/task")), frozenset(filter(None, map(_target, os.listdir("/proc/self/fd")))))
        except OSError as error:
            raise Unfit(f"nothing can be said of threads and descriptors: {error}") from None

    def grown(self, who: str) -> "_Holdings":
        """What there is now, unless that is too much. Threads may yet turn out to be of those that survive a fork."""
        now = self.now()
        for target in sorted(now.open - self.open):
            if target.startswith(_DEVICES):
                raise Unfit(f"{who} has opened {target}")
            if target.startswith("socket:"):
                raise Unfit(f"{who} has opened a socket, which all workers would share")
        if _has_children():
            raise Unfit(f"{who} has started a process, which is no child of those who are forked")
        if _has_initialized_cuda():
            raise Unfit(f"{who} has initialized CUDA, which cannot be used after a fork")
        if now.threads > self.threads and _threads_that_stay() > self.threads:
            names = ", ".join(sorted(_names_of_threads())) or "not Python's"
            raise Unfit(f"{who} has started threads ({names}), which do not survive a fork")
        return now


def _target(fd: str) -> Optional[str]:
    with suppress(OSError):
        return os.readlink(f"/proc/self/fd/{fd}")
    return None


def _has_children() -> bool:
    with suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return True
    return False


def _has_initialized_cuda() -> bool:
    torch = sys.modules.get("torch")
    with suppress(Exception):
        return bool(torch.cuda.is_initialized())
    return False


def _threads_that_stay() -> int:
    """Libraries that know of forks, OpenBLAS for one, end their threads before one and start others when they need them. So one
    fork is made, for nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(0)
    _reap(child)
    return _Holdings.now().threads


def _names_of_threads() -> set:
    import threading

    return {thread.name for thread in threading.enumerate() if thread is not threading.main_thread()}


def _look_at_threads() -> None:
    """Before a fork. What came later than its module's import is found here."""
    try:
        count = len(os.listdir("/proc/self/task"))
    except OSError as error:
        raise Unfit(f"nothing can be said of threads: {error}") from None
    if count > 1 and _threads_that_stay() > 1:
        names = ", ".join(sorted(_names_of_threads())) or "not Python's"
        raise Unfit(f"threads were started ({names}), which do not survive a fork")


def _reap(child: int) -> None:
    with suppress(ChildProcessError):  # A module has said that it wants to hear of no child's end.
        os.waitpid(child, 0)


class Template:
    """Obeys the host until it is gone."""

    def __init__(self, report: int, orders: int):
        self.report = report
        self.environment: dict = {}
        self._orders = socket.socket(fileno=orders)
        self._kernel: Any = None
        self._guardian = os.getppid()
        self._collects = True

    def obey(self) -> None:
        """Forks on order. Returns in a worker."""
        self._kernel = _Kernel()
        self._kernel.name(b"hatch-template")
        self._settle()
        while True:
            order = self._next()
            if order is None:
                os._exit(0)
            try:
                _look_at_threads()
                if self._fork(order):
                    return
            except Unfit as reason:
                _refuse(order.line, f"unfit: {reason}")
            except (OSError, MemoryError) as error:
                _refuse(order.line, f"{type(error).__name__}: {error}")
            _put_away(order)

    def _settle(self) -> None:
        """What is there now stays where it is: a collector that writes into it would copy its pages in every worker."""
        self._collects = gc.isenabled()
        gc.collect()
        gc.disable()
        gc.freeze()

    def _next(self) -> Optional[Order]:
        body, fds, _, _ = socket.recv_fds(self._orders, 16, len(_RESERVED) + 4)
        if not body:
            return None
        environment, line, *descriptors = fds
        return Order(socket.socket(fileno=line), environment, descriptors)

    def _fork(self, order: Order) -> bool:
        """Whether this is the worker. It is the guardian's child as soon as its own parent, which does nothing else, has ended."""
        if len(order.descriptors) > 2 + len(_RESERVED):
            raise Unfit(f"{len(order.descriptors)} descriptors are more than a worker can have")
        self._flush()
        child = self._kernel.fork()
        if child:
            _reap(child)
            return False
        try:
            if os.fork():
                os._exit(0)
            self._become(order)
        except BaseException as error:  # Whatever it is: this process is no template.
            _refuse(order.line, f"{type_of(error)}: {message_of(error)}")
            os._exit(1)
        return True

    def _flush(self) -> None:
        """Else what is in a buffer would be written by everyone."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        self._kernel.flush()

    def _become(self, order: Order) -> None:
        """In the new process, which nobody owns yet but the template."""
        self._join_guardian(order.line)
        order.line.send(str(os.getpid()).encode())
        if not order.line.recv(16):
            os._exit(0)
        self._orders.close()
        self._kernel.name(b"python3")
        _arrange(order.descriptors)
        _change_environment(order.environment, self.environment)
        _put_away(order)
        forks.FORKED = True
        if self._collects:
            gc.enable()

    def _join_guardian(self, line: socket.socket) -> None:
        """Its death signal is that of its parent, so the parent must be there first, and still be there afterwards."""
        os.setsid()
        deadline = time.monotonic() + _PATIENCE
        while os.getppid() != self._guardian:
            # A host that is gone, or has given up, says so by the end of the line.
            if time.monotonic() > deadline or select.select([line], [], [], 0.0001)[0]:
                os._exit(1)
        self._kernel.die_with_parent()
        if os.getppid() != self._guardian:
            os._exit(1)


def _arrange(descriptors: list) -> None:
    """Standard output and error, then 3 and up; those that were kept free are open no more."""
    targets = [1, 2, *_RESERVED][: len(descriptors)]
    for source, target in zip(descriptors, targets):
        os.dup2(source, target)
    for fd in _RESERVED:
        if fd not in targets:
            os.close(fd)


def _refuse(line: socket.socket, why: str) -> None:
    with suppress(OSError):
        line.send(why.encode("utf-8", "replace")[:120])


def _change_environment(fd: int, given: dict) -> None:
    """Changes what this worker is given otherwise than its template was."""
    entries = os.pread(fd, os.fstat(fd).st_size, 0).split(b"\0")[:-1]
    wanted = {name: value for name, _, value in (entry.partition(b"=") for entry in entries)}
    for name in given.keys() - wanted.keys():
        os.environb.pop(name, None)
    for name, value in wanted.items() - given.items():
        os.environb[name] = value


def _put_away(order: Order) -> None:
    order.line.close()
    for fd in (order.environment, *order.descriptors):
        with suppress(OSError):
            os.close(fd)


class _Kernel:
    """What Python has no names for."""

    def __init__(self) -> None:
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        self._prctl = library.prctl
        self._prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
        self._fflush = library.fflush
        self._fflush.argtypes = [ctypes.c_void_p]
        # A fork without what Python does around one, for a process that does nothing but fork once more. It keeps the lock of
        # the interpreter, and handlers of the C library run.
        self.fork = ctypes.PyDLL(None).fork
        self._address = lambda text: ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value

    def die_with_parent(self) -> None:
        if self._prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            os._exit(1)

    def name(self, name: bytes) -> None:
        self._prctl(_PR_SET_NAME, self._address(name), 0, 0, 0)

    def flush(self) -> None:
        """Of every stream of the C library."""
        self._fflush(None)
