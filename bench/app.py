"""The app that the benchmark calls: the same two tools as the floor's; two that keep a worker busy; and one that does nothing."""

import os
import time

from hatchery import tool


@tool
def echo(id: int, text: str, values: list):
    return {"id": id, "text": text, "values": values}


@tool
def ticks(n: int):
    for i in range(n):
        yield {"id": i, "text": "hello world", "values": [1, 2, 3, 4, 5, 6, 7, 8]}


@tool
def nap(ms: int):
    time.sleep(ms / 1000)
    return os.getpid()


@tool
def hold(gate: str):
    """Until a file of this name is there."""
    while not os.path.exists(gate):
        time.sleep(0.001)


@tool
def empty():
    pass
