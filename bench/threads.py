"""How much faster calls are when one worker runs several at once: python3 bench/threads.py [PYTHON].

For each kind of work, the calls per second with 1, 2 and 4 calls in flight, in a worker of that many threads. One
that releases the GIL (hashing) gains on every build; one in plain Python only on a free-threaded one. `echo` shows
what the loop itself costs. The figures are the best of many short rounds, as other programs only ever add to the time.
"""

import json
import os
import sys
import time
from contextlib import ExitStack

ROOT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crates", "hatchery", "python")
sys.path.insert(0, ROOT)

from hatchery import wire  # noqa: E402
from tests.host import Worker  # noqa: E402

APP = """
import asyncio, hashlib, time
from hatchery import tool
DATA = bytes(4 << 20)
@tool
def echo(): return 1
@tool
async def echo_async(): return 1
@tool
def hashes(): return hashlib.sha256(DATA).hexdigest()
@tool
def loops():
    total = 0
    for i in range(200_000): total += i * i
    return total
@tool
def waits(): time.sleep(0.01)
@tool
async def waits_async(): await asyncio.sleep(0.01)
"""
ROUNDS = 25
CALLS = {"echo": 1000, "echo_async": 500, "hashes": 24, "loops": 12, "waits": 12, "waits_async": 12}


def main(python: str) -> None:
    with ExitStack() as stack:
        workers = {most: stack.enter_context(Worker(APP, python=python, max_in_flight=most)) for most in (1, 2, 4)}
        runtime = [worker.ready()["runtime"] for worker in workers.values()][0]
        table = {tool: best(workers, tool, count) for tool, count in CALLS.items()}
    print(f"{runtime['implementation']} {runtime['version']}, GIL {'on' if runtime['gil'] else 'off'}, {os.cpu_count()} CPUs")
    print(f"{'calls per second':<18}{'1 at once':>12}{'2':>12}{'4':>12}{'2 : 1':>9}{'4 : 1':>9}")
    for tool, rates in table.items():
        shares = "".join(f"{rates[most] / rates[1]:>8.2f}x" for most in (2, 4))
        print(f"{tool:<18}" + "".join(f"{rate:>12.0f}" for rate in rates.values()) + shares)


def best(workers: dict, tool: str, count: int) -> dict:
    """The workers take turns, so that what else the machine does falls on all of them."""
    rates = dict.fromkeys(workers, 0.0)
    for _ in range(ROUNDS):
        for most, worker in workers.items():
            rates[most] = max(rates[most], rate(worker, tool, count, most))
    return rates


def rate(worker: Worker, tool: str, count: int, most: int) -> float:
    """Calls per second, with as many in flight as the worker runs at once."""
    body = json.dumps({"tool": tool, "args": {}}).encode()
    begin = time.perf_counter()
    sent = answered = 0
    while answered < count:
        while sent < count and sent - answered < most:
            worker.send(wire.CALL, worker.next_id, parts=wire.frame(wire.CALL, worker.next_id, body))
            worker.next_id += 1
            sent += 1
        answered += take_answers(worker)
    return count / (time.perf_counter() - begin)


def take_answers(worker: Worker) -> int:
    """Waits for answers and counts them. They are short, so no read ends within one."""
    data, count, at = os.read(worker.replies, 65536), 0, 0
    while at < len(data):
        header = wire.parse_header(data, at)
        assert header.kind == wire.RESULT, data[at:]
        at += wire.HEADER_LENGTH + header.body
        count += 1
    return count


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else sys.executable)
