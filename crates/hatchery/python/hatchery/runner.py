"""The one event loop of a worker. It runs in the main thread, while a call of a coroutine does; `sharedrunner.py` has the
one of a worker that runs several calls at once."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any, Coroutine

from .calls import Call, raise_if_cancelled


class Runner:
    """Runs coroutines to their end, one call at a time, on a loop that is kept across calls."""

    def __init__(self):
        self._loop = _main_loop()
        # Of each call whose stream waits. Touched on the loop only.
        self._credit: dict[Call, asyncio.Event] = {}

    def run(self, call: Call, coroutine: Coroutine) -> Any:
        """What the coroutine returns. A cancelled call cancels its task."""
        loop = self._loop
        task = loop.create_task(coroutine)
        call.interrupt = lambda: self._notify(call, task)
        if call.cancelled:
            task.cancel()
        try:
            return loop.run_until_complete(task)
        except asyncio.CancelledError:
            raise_if_cancelled(call)
            raise
        finally:
            call.interrupt = None
            if not task.done():
                self._give_up(task)

    async def wait_for_credit(self, call: Call) -> None:
        """Returns when a chunk may be sent, while the loop goes on; a cancelled call's task is cancelled instead."""
        while call.granted <= call.spent:
            granted = self._credit[call] = asyncio.Event()
            try:
                # A grant from before the event was there is seen here, a later one sets it.
                if call.granted <= call.spent:
                    await granted.wait()
            finally:
                del self._credit[call]

    def finish(self, value: Any) -> Any:
        """Runs a coroutine of the app outside of calls."""
        return self._loop.run_until_complete(value)

    def close(self) -> None:
        """Ends what still runs on the loop, as `asyncio.run` does."""
        self._loop.run_until_complete(self._end_tasks())
        self._loop.close()

    async def _end_tasks(self) -> None:
        """On the loop, as its last."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

    def _give_up(self, task: asyncio.Task) -> None:
        """Ends a task that was left in the midst, as something stopped the loop or exited on it. It must not
        go on, and speak for its call, when the loop runs again."""
        while not task.done():
            task.cancel()
            with suppress(BaseException):
                self._loop.run_until_complete(task)

    def _notify(self, call: Call, task: asyncio.Task) -> None:
        """From the control thread."""
        with suppress(RuntimeError):  # The call has ended meanwhile, and the loop was closed.
            self._loop.call_soon_threadsafe(self._interrupt, call, task)

    def _interrupt(self, call: Call, task: asyncio.Task) -> None:
        """On the loop: the call was cancelled, or got credit."""
        if call.cancelled:
            task.cancel()
        elif call in self._credit:
            self._credit[call].set()


def _main_loop() -> asyncio.AbstractEventLoop:
    # Until 3.9, locks made while the app was loading belong to the loop that asyncio made for them then.
    if sys.version_info < (3, 10):
        with suppress(RuntimeError):  # There is none after `asyncio.run`.
            loop = asyncio.get_event_loop()
            if not loop.is_closed():
                return loop
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop
