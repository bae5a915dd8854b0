"""What READY says of the interpreter, for people and for the choice of a profile."""

from __future__ import annotations

import sys
from typing import Any


def describe(json_library: str) -> dict[str, Any]:
    """The facts of this process, not of its version: a free-threaded build runs with the GIL when it is told to, or when a
    module that was imported asks for it. So this is asked after the app is loaded."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return {
        "language": "python",
        "version": sys.version.split()[0],
        "json": json_library,
        "implementation": sys.implementation.name,
        # As `Py_GIL_DISABLED` of sysconfig says, which would take milliseconds to import.
        "free_threaded_build": "t" in getattr(sys, "abiflags", ""),
        "gil": True if enabled is None else bool(enabled()),
    }
