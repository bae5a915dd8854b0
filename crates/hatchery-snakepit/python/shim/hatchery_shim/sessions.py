"""What a tool gives to a tool of the host, noted on its way to where it is sent."""

from __future__ import annotations

import functools
import threading
from typing import Any

_CALLING = threading.local()


def arguments() -> dict:
    """What this thread is about to send."""
    return getattr(_CALLING, "arguments", {})


def wrap(bridge: Any) -> None:
    session = bridge.SessionContext
    call = session.call_elixir_tool

    @functools.wraps(call)
    def call_elixir_tool(self: Any, *args: Any, **kwargs: Any) -> Any:
        _CALLING.arguments = kwargs
        try:
            return call(self, *args, **kwargs)
        finally:
            _CALLING.arguments = {}

    session.call_elixir_tool = call_elixir_tool
