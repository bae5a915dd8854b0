"""The tools of {{name}}.

Try them from the shell:

    hatchery tools --app app.py
    hatchery call greet name=Ada --app app.py
    hatchery stream countdown n=3 --app app.py

or keep the workers running with `hatchery serve` and leave `--app` out.
"""

from collections.abc import Iterator

from hatchery import tool


@tool
def greet(name: str, excited: bool = False) -> str:
    """Greet someone by name."""
    return f"Hello, {name}{'!' if excited else '.'}"


@tool
def countdown(n: int) -> Iterator[int]:
    """Count down from n to 1. A generator is a streaming tool: its caller gets each item as it is yielded."""
    yield from range(n, 0, -1)
