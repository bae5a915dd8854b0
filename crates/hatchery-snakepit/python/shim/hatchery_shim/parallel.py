"""Tools of the threaded server run in as many threads as it was told to have, where it would run them all on its loop's."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def wrap(adapter_class: type, threads: int) -> None:
    """A tool that is a coroutine already stays where it is."""
    execute = adapter_class.execute_tool
    if inspect.iscoroutinefunction(execute):
        return
    if not inspect.isfunction(execute):
        raise TypeError(f"execute_tool of {adapter_class.__name__} is no function")
    executor = ThreadPoolExecutor(threads, "hatchery-tool")

    @functools.wraps(execute)
    async def execute_tool(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = functools.partial(contextvars.copy_context().run, execute, self, *args, **kwargs)
        result = await asyncio.get_running_loop().run_in_executor(executor, call)
        return await result if inspect.isawaitable(result) else result

    adapter_class.execute_tool = execute_tool
