"""{{name}}: tools that hatchery runs in worker processes."""

from __future__ import annotations

from hatchery import tool


@tool
def word_count(text: str) -> dict[str, int]:
    """Count words."""
    counts: dict[str, int] = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


@tool
def countdown(n: int):
    """Count down to one; a generator is a streaming tool."""
    yield from range(n, 0, -1)
