"""Server-sent events, from bytes that come in pieces of any size."""

from __future__ import annotations

from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    """One event. `id` is empty where it has none."""

    name: str
    data: str
    id: str = ""


class Decoder:
    """Collects bytes into events. Lines may end with a line feed, a carriage return, or both; comments and fields that mean nothing here
    are skipped, and so is a last event that was cut off."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # Of the line that has not ended yet: joined once, however many they are.
        self._after_return = False
        self._name = ""
        self._id = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that are complete with these bytes."""
        if self._after_return and data.startswith(b"\n"):
            data, self._after_return = data[1:], False
        if not data:
            return []
        self._after_return = data.endswith(b"\r")
        lines, events = _split(data), []
        self._pieces.append(lines[0])
        for following in lines[1:]:
            line, self._pieces = b"".join(self._pieces), [following]
            if line:
                self._field(line.decode("utf-8", "replace"))
            elif self._data or self._name:
                events.append(self._take())
        return events

    def _field(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id":
            self._id = value

    def _take(self) -> ServerSentEvent:
        event = ServerSentEvent(self._name or "message", "\n".join(self._data), self._id)
        self._name, self._id, self._data = "", "", []
        return event


def _split(data: bytes) -> list[bytes]:
    """Lines, the last of which has not ended. (`splitlines` of bytes knows just these three ends, but not whether the last one has one.)"""
    lines = data.splitlines()
    return [*lines, b""] if data.endswith((b"\n", b"\r")) else lines
