"""What the worker was told on its command line, as far as it matters here."""

from __future__ import annotations

import os
import sys


def address() -> str:
    """Where the worker finds its host."""
    environment = os.environ.get("SNAKEPIT_GRPC_ADDRESS") or os.environ.get("SNAKEPIT_ELIXIR_ADDRESS")
    return _flag("--elixir-address") or environment or ""


def adapter() -> str:
    return _flag("--adapter")


def threads() -> int:
    """How many calls a threaded server is for; none, where it is not one."""
    script = os.path.basename(sys.argv[0]) if sys.argv else ""
    wanted = _flag("--max-workers") or ("10" if "threaded" in script else "0")
    return int(wanted) if wanted.isdigit() else 0


def _flag(name: str) -> str:
    """Its last value, with a space or `=` before it; empty without."""
    value = ""
    for word, following in zip(sys.argv, [*sys.argv[1:], ""]):
        if word == name:
            value = following
        elif word.startswith(f"{name}="):
            value = word[len(name) + 1 :]
    return value
