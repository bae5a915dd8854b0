"""Frames of docs/design/wire.md: headers, what may come when, limits. No I/O.

A frame is a header of 32 bytes, a JSON body, a JSON table of attachments and their data.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Optional

MAGIC = 0x7968  # the bytes "hy", read as a little-endian number
HEADER = struct.Struct("<HBBIQIIQ")
HEADER_LENGTH = HEADER.size

HELLO, READY, SHUTDOWN, PING, PONG = 1, 2, 3, 4, 5
CALL, RESULT, CHUNK, END, ERROR, CANCEL, CREDIT, PROGRESS = 16, 17, 18, 19, 20, 21, 22, 23
HOST_CALL, HOST_TOOLS, HOST_RESULT, HOST_ERROR = 32, 33, 34, 35
LOG, EVENT, TELEMETRY = 48, 49, 50
RECALL, RECALLED = 66, 67

NAMES = {
    value: name for name, value in list(globals().items()) if name.isupper() and type(value) is int
    and name not in ("MAGIC", "HEADER_LENGTH")
}

STREAM = 1  # bit 0 of a CALL's flags

CAPABILITIES = (
    "streams",
    "cancel",
    "attachments",
    "progress",
    "log",
    "host_tools",
    "telemetry",
    "telemetry_control",
    "health",
    "ahead",
)

DATA, CONTROL = "data", "control"


class Breach(Exception):
    """The host broke the contract; there is no way to read on."""


class Limits(NamedTuple):
    """The longest of each that a side takes."""

    max_body: int = 64 << 20
    max_table: int = 1 << 20
    max_data: int = 1 << 30


class Header(NamedTuple):
    kind: int
    flags: int
    body: int
    id: int
    table: int
    extra: int
    data: int


class Rule(NamedTuple):
    """What one kind of frame may carry when it comes to a worker."""

    channel: str
    body: bool = True
    attachments: bool = False
    flags: int = 0
    extra: bool = False
    id: bool = True
    needs: Optional[str] = None


INCOMING = {
    HELLO: Rule(CONTROL, id=False),
    SHUTDOWN: Rule(CONTROL, id=False),
    PING: Rule(CONTROL, body=False),
    CALL: Rule(DATA, attachments=True, flags=STREAM, extra=True),
    CANCEL: Rule(CONTROL, body=False, needs="cancel"),
    CREDIT: Rule(CONTROL, body=False, extra=True, needs="streams"),
    HOST_RESULT: Rule(CONTROL, attachments=True, needs="host_tools"),
    HOST_ERROR: Rule(CONTROL, needs="host_tools"),
    TELEMETRY: Rule(CONTROL, id=False, needs="telemetry_control"),
    RECALL: Rule(CONTROL, body=False, extra=True, needs="ahead"),
}


def frame(kind: int, id: int = 0, body: bytes = b"", flags: int = 0, extra: int = 0) -> bytes:
    """A whole frame that carries no attachments."""
    return HEADER.pack(MAGIC, kind, flags, len(body), id, 0, extra, 0) + body


def head(kind: int, id: int, body: bytes, table: bytes, data_length: int) -> bytes:
    """A frame with attachments, up to where the data begins."""
    packed = HEADER.pack(MAGIC, kind, 0, len(body), id, len(table), 0, data_length)
    return packed + body + table


def parse_header(buffer, start: int = 0) -> Header:
    """The header at `start`; the magic alone is checked here."""
    magic, kind, flags, body, id, table, extra, data = HEADER.unpack_from(buffer, start)
    if magic != MAGIC:
        found = bytes(buffer[start : start + 2])
        raise Breach(f"magic: a frame must begin with 68 79, found {found.hex(' ')}")
    return Header(kind, flags, body, id, table, extra, data)


def check_header(header: Header, channel: str, limits: Limits, agreed) -> None:
    """Raises Breach for a header that the host may not send on this channel."""
    rule = INCOMING.get(header.kind)
    name = NAMES.get(header.kind, f"kind {header.kind}")
    if rule is None:
        problem = "direction" if header.kind in NAMES else "kind"
        raise Breach(f"{problem}: a worker never takes {name}")
    if rule.channel != channel:
        raise Breach(f"channel: {name} came on {channel}, it belongs on {rule.channel}")
    if rule.needs is not None and rule.needs not in agreed:
        raise Breach(f"capability: {name} needs `{rule.needs}`, which was not agreed")
    _check_fields(header, rule, name)
    _check_lengths(header, rule, name, limits)
    if header.table and "attachments" not in agreed:
        raise Breach(f"capability: {name} carries attachments, which were not agreed")


def _check_fields(header: Header, rule: Rule, name: str) -> None:
    if header.flags & ~rule.flags:
        raise Breach(f"reserved: {name} has flags {header.flags:#x}")
    if header.extra and not rule.extra:
        raise Breach(f"reserved: {name} has extra {header.extra}")
    if header.id and not rule.id:
        raise Breach(f"reserved: {name} has id {header.id}")


def _check_lengths(header: Header, rule: Rule, name: str, limits: Limits) -> None:
    measures = zip(("body", "table", "data"), (header.body, header.table, header.data), limits)
    for part, length, most in measures:
        if length > most:
            raise Breach(f"limit: the {part} of {name} has {length} bytes, at most {most} may come")
    if bool(header.body) != rule.body:
        raise Breach(f"body: {name} must {'have one' if rule.body else 'have none'}")
    if header.table and not rule.attachments:
        raise Breach(f"attachments: {name} cannot carry them")
    if header.data and not header.table:
        raise Breach(f"table: {name} has {header.data} bytes of data and no table")
