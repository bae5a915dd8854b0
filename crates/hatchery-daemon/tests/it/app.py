"""Tools of which the tests of the daemon need to see more than their results."""
import os
import time

from hatchery import Context, tool


@tool
def counted(path: str, chunks: int, size: int):
    """Writes down how many chunks were asked for."""
    for number in range(1, chunks + 1):
        with open(path + ".new", "w") as file:
            file.write(str(number))
        os.replace(path + ".new", path)
        yield "x" * size


@tool
def silent_after(n: int, mark: str, closed: str, ctx: Context):
    """Yields so many, and then is silent until it is cancelled."""
    yield from range(n)
    open(mark, "w").close()
    while not ctx.cancelled:
        time.sleep(0.005)
    open(closed, "w").close()


@tool
def long_text(size: int) -> str:
    return "x" * size


@tool
def reverse(data: bytes) -> bytes:
    return data[::-1]


@tool
def nothing():
    """A stream without chunks."""
    return
    yield


@tool
def time_left(ctx: Context) -> float:
    """Seconds until the deadline of the call."""
    return ctx.time_left


@tool
def span(ctx: Context):
    return ctx.traceparent


@tool
def numbers(n: int):
    yield from range(n)


@tool
def raises(depth: int):
    """Raises from so deep that the traceback is long."""
    if depth > 0:
        return raises(depth - 1)
    raise ValueError("no")


@tool
def wait_for_ever(ctx: Context) -> None:
    while not ctx.cancelled:
        time.sleep(0.005)


@tool
def emits(events: int, size: int, ctx: Context) -> None:
    for number in range(events):
        ctx.emit("test.emitted", {"number": number}, {"text": "x" * size})
