"""The feed of what happens in a daemon."""

from __future__ import annotations

from typing import Any

from .errors import Error, error_in
from .event_stream import ServerSentEvent
from .values import value_of


def event_of(event: ServerSentEvent) -> Any:
    """The event as a dict that has its `name`."""
    data = event.data.encode()
    if event.name == "error":
        raise error_in(data) or Error(event.data)
    value = value_of(data) if data else {}
    return {"name": event.name, **value} if isinstance(value, dict) else {"name": event.name, "data": value}
