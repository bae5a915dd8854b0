"""The tools that the tests of the command call."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from hatchery import Context, tool


@tool
def word_count(text: str) -> dict:
    """Count words."""
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


@tool
def countdown(n: int):
    """Count down to one."""
    yield from range(n, 0, -1)


@tool
def gated_countdown(n: int, gate: str):
    """The first number, then the others once the file exists."""
    yield n
    wait_for(gate)
    yield from range(n - 1, 0, -1)


@tool
def countdown_that_fails(n: int):
    """A generator that raises after its chunks."""
    yield from range(n, 0, -1)
    raise ValueError("no further")


@tool
def echo(value: Any) -> Any:
    return value


@tool
def meet(folder: str, people: int, line: int) -> dict:
    """Returns once as many processes are here as are expected."""
    (Path(folder) / str(os.getpid())).touch()
    while len(os.listdir(folder)) < people:
        time.sleep(0.005)
    return {"line": line, "pid": os.getpid()}


@tool
def wait_after(mark: str):
    """Says that it runs, and never ends."""
    Path(mark).touch()
    time.sleep(3600)


@tool
def until_cancelled(mark: str, told: str, ctx: Context):
    """Says that it runs, and that it was told to stop."""
    Path(mark).touch()
    while not ctx.cancelled:
        time.sleep(0.005)
    Path(told).touch()


@tool
def pass_gate(mark: str, gate: str) -> str:
    """Says that it runs, and returns once the file exists."""
    Path(mark).touch()
    wait_for(gate)
    return "passed"


@tool
def stubborn(mark: str):
    """Says that it runs, never ends, and ignores whoever asks it to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Path(mark).touch()
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            pass


@tool
def silent_after_one(mark: str):
    yield 1
    Path(mark).touch()
    time.sleep(3600)


@tool
def fail(message: str):
    raise IndexError(message)


@tool
def leave(status: int):
    print("I am leaving", flush=True)
    os._exit(status)


@tool
def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


@tool
def write_garbage():
    """Into every descriptor that is not a standard one, the wire's among them."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"this is no frame at all, but 64 bytes of plain English: garbage!")
        except OSError:
            pass
    time.sleep(3600)


@tool
def flood(mebibytes: int) -> int:
    """Past `print`, into descriptor 1."""
    line = b"x" * 1023 + b"\n"
    for _ in range(mebibytes * 1024):
        os.write(1, line)
    return mebibytes


@tool
def say(text: str):
    print(text)
    print(text + " on stderr", file=sys.stderr)


@tool
def give_up(how: str):
    """Raises what usually ends a program."""
    raise {"KeyboardInterrupt": KeyboardInterrupt, "SystemExit": SystemExit}[how]


@tool
def odd_values() -> list:
    return ["a\x00b", "a\ud800b", "é 漢字 \U0001f600", float("nan"), float("-inf"), 10**30]


@tool
def reverse(data: bytes) -> bytes:
    return data[::-1]


@tool
def long_text(mebibytes: int) -> str:
    return "x" * (mebibytes << 20)


@tool
def leave_a_child() -> str:
    """One of the worker's own process group, which knows nothing of its parent's end."""
    if os.fork() == 0:
        time.sleep(3600)
    return "forked"


@tool
def wreck_the_house() -> str:
    """Takes from under the worker what a process can lose."""
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    os.chdir("/")
    os.environ.clear()
    return "wrecked"


@tool
def print_bytes():
    sys.stdout.buffer.write(bytes(range(256)) + b"\n")
    sys.stdout.flush()


CALLS = 0


@tool
def mark_call(mark: str, number: int):
    """Makes the file in the call of this number."""
    global CALLS
    CALLS += 1
    if CALLS == number:
        Path(mark).touch()


def wait_for(path: str):
    while not os.path.exists(path):
        time.sleep(0.005)
