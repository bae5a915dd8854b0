"""The event loop of a worker that runs several calls at once, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Coroutine

from .calls import Call, raise_if_cancelled
from .runner import Runner


class SharedRunner(Runner):
    """Runs the coroutines of all calls on one loop, where they overlap, while the threads of the calls wait."""

    def __init__(self):
        super().__init__()
        self._closing = False
        self._abandoned = False
        self._thread = threading.Thread(target=self._turn, name="hatchery-event-loop", daemon=True)
        self._thread.start()

    def run(self, call: Call, coroutine: Coroutine) -> Any:
        """What the coroutine returns. A cancelled call cancels its task."""
        try:
            return self._wait(coroutine, lambda task: self._attend(call, task))
        except asyncio.CancelledError:
            raise_if_cancelled(call)
            raise
        finally:
            call.interrupt = None

    def finish(self, value: Any) -> Any:
        return self._wait(value, lambda task: None)

    def close(self) -> None:
        self._wait(self._end_tasks(), lambda task: None)
        self._closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def abandon(self) -> None:
        """In a child that was forked here: when the task that forked is done, there is nobody to tell and nothing to do."""
        self._abandoned = True

    def _turn(self) -> None:
        """The loop's thread. What ends the loop but `close`, an exit in a task or a tool that stops it, is the affair of
        that tool: the calls of others go on."""
        asyncio.set_event_loop(self._loop)
        while not self._closing:
            try:
                self._loop.run_forever()
            except BaseException:  # The task holds it as well, and its call is answered with it.
                continue

    def _wait(self, coroutine: Coroutine, on_start: Any) -> Any:
        """What the coroutine comes to on the loop, in the context of this thread's call."""
        ended: SimpleQueue = SimpleQueue()

        def begin() -> None:
            task = self._loop.create_task(coroutine)
            task.add_done_callback(lambda task: os._exit(0) if self._abandoned else ended.put(task))
            on_start(task)

        self._loop.call_soon_threadsafe(begin, context=copy_context())
        return ended.get().result()

    def _attend(self, call: Call, task: asyncio.Task) -> None:
        """On the loop: from now on a CANCEL reaches the task; one that has come already does so here."""
        with call.changed:
            call.interrupt = lambda: self._notify(call, task)
        if call.cancelled:
            task.cancel()
