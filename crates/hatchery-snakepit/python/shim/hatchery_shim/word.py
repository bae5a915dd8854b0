"""What could not be done is said on stderr, once."""

from __future__ import annotations

import sys

_said: set = set()


def say(what: str) -> None:
    if what not in _said:
        _said.add(what)
        print(f"hatchery shim: {what}; the worker is left as it is", file=sys.stderr, flush=True)
