"""The loop of a worker that runs several calls at once: a pool of threads, each of which reads a call, runs it and
writes what it came to.

The threads take turns at the descriptor: one waits in `read`, and the moment it has a call another takes its place. So
a call is read, run and answered by one thread, and no queue lies between. A thread is bound to its call to the end, also
while the call's coroutine runs on the event loop or its function on the main thread; thus as many calls run at once as
there are threads, whatever they are made of.
"""

from __future__ import annotations

import os
import sys
import threading
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Callable, Optional

from .calls import Call
from .channel import Frame, Gone, die_of_breach
from .control import EX_SOFTWARE, Control
from .loop import Loop
from .report import traceback_of
from .wire import Breach


class ThreadLoop(Loop):
    """Serves up to `most` calls at once until there are no more. The calls must be an `OpenCalls`."""

    def __init__(self, most: int, control: Control, *of_loop: Any):
        super().__init__(*of_loop)
        self._most = most
        self._control = control
        self._turn = threading.Lock()
        self._ended = False
        self._main = MainThread()
        self._context = copy_context()
        self._making = threading.Lock()
        if "asyncio" in sys.modules:
            self.runner()  # Until 3.9, it must be made in the thread that loaded the app.

    def serve(self) -> None:
        """Called from the main thread, which then runs what is sensitive to threads."""
        threads = [
            threading.Thread(target=self._work, name=f"hatchery-call-{n}", daemon=True) for n in range(1, self._most + 1)
        ]
        for thread in threads:
            thread.start()
        self._main.serve(until_left=len(threads))
        for thread in threads:
            thread.join()

    def runner(self) -> Any:
        if self._runner is None:
            with self._making:
                if self._runner is None:
                    from .sharedrunner import SharedRunner

                    self._runner = SharedRunner()
        return self._runner

    def abandon(self) -> None:
        self._main.abandon()
        if self._runner is not None:
            self._runner.abandon()

    def _work(self) -> None:
        """One thread's life."""
        try:
            while True:
                frame = self._next()
                if frame is None:
                    return self._main.leave()
                # What a call sets in the context ends with it; what the app set while it was loading stays.
                self._context.copy().run(self._answer, frame)
                del frame  # It may be large, and the next one long in coming.
        except Breach as breach:
            die_of_breach(breach)
        except Gone:
            os._exit(0)
        except BaseException as error:  # With a thread less the worker would not be what its host takes it for.
            os.write(2, (traceback_of(error) or repr(error)).encode("utf-8", "backslashreplace"))
            os._exit(EX_SOFTWARE)

    def _next(self) -> Optional[Frame]:
        with self._turn:
            if self._ended:
                return None
            self._control.reads_here()
            frame = self._reader.next()
            if frame is not None:
                self._calls.expect(frame.id)
                return frame
            self._ended = True
            self._control.reads_no_more()
            return None

    def _run(self, frame: Frame, call: Call, request: dict[str, Any]) -> list:
        tool = self._tools.get(request["tool"])
        run = super()._run
        if tool is not None and tool.thread_sensitive:
            return self._main.run(lambda: run(frame, call, request))
        return run(frame, call, request)


class MainThread:
    """Runs in the main thread what other threads hand to it, one after another, while they wait."""

    def __init__(self):
        self._orders: SimpleQueue = SimpleQueue()
        self._abandoned = False

    def abandon(self) -> None:
        """In a child that was forked here: when the code that forked is done, there is nobody to tell and nothing to do."""
        self._abandoned = True

    def serve(self, until_left: int) -> None:
        """Until so many threads have left."""
        while until_left:
            order = self._orders.get()
            if order is None:
                until_left -= 1
            else:
                order()
            if self._abandoned:
                os._exit(0)

    def leave(self) -> None:
        """The thread that calls this has nothing more to hand over."""
        self._orders.put(None)

    def run(self, action: Callable[[], Any]) -> Any:
        """What `action` gives or raises, in the context of the thread that asks."""
        outcome: SimpleQueue = SimpleQueue()
        context = copy_context()
        self._orders.put(lambda: outcome.put(_attempt(context, action)))
        value, error = outcome.get()
        if error is not None:
            raise error
        return value


def _attempt(context: Any, action: Callable[[], Any]) -> tuple[Any, Optional[BaseException]]:
    try:
        return context.run(action), None
    except BaseException as error:
        return None, error
