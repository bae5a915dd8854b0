"""The tools of {{name}}. Every function under `@tool` can be called by name:

    hatchery tools --app app.py
    hatchery call --app app.py word_count text="a b a"
    hatchery stream --app app.py countdown n=3
"""

from collections.abc import Iterator

from hatchery import tool


@tool
def word_count(text: str) -> dict[str, int]:
    """Count how often each word occurs."""
    counts: dict[str, int] = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


@tool
def countdown(n: int) -> Iterator[int]:
    """Count down from n to 1. A generator is a streaming tool: its caller gets each item as it is yielded."""
    yield from range(n, 0, -1)
