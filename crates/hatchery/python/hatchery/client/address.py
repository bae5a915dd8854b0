"""Where a daemon is: what the caller says, the variable `HATCHERY_ADDR`, or the record in the data directory."""

from __future__ import annotations

import os
from typing import NamedTuple, Optional
from urllib.parse import unquote, urlsplit

from .errors import Unavailable, ValidationError
from .record import find, usual_data_dir

VARIABLE = "HATCHERY_ADDR"
START_ONE = "start one with `hatchery serve --app app.py`"


class Address(NamedTuple):
    """A port of a host, with TLS or without, or a Unix socket."""

    host: str = ""
    port: int = 0
    is_secure: bool = False
    path: str = ""

    @property
    def authority(self) -> str:
        """What stands in the `Host` of a request."""
        if self.path:
            return "localhost"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"{'https' if self.is_secure else 'http'}://{self.authority}"


class Whereabouts:
    """Says where the daemon is. One that was found by its record is looked for again for each connection, as it is elsewhere after it was
    started anew."""

    def __init__(self, address: Optional[str] = None, data_dir: Optional[str] = None):
        said = address or (None if data_dir else os.environ.get(VARIABLE))
        self._known = None if not said else parse(said, "" if address else f"{VARIABLE}: ")
        self._data_dir = data_dir

    def address(self) -> Address:
        """Raises `Unavailable` where no daemon is."""
        return self._known or self._recorded()

    def _recorded(self) -> Address:
        data_dir = self._data_dir or usual_data_dir()
        record = find(data_dir)
        if record is None:
            raise Unavailable(f"no daemon is running with the data directory {data_dir}; {START_ONE}, or say where it is:"
                              f" connect('http://HOST:PORT'), or {VARIABLE}")  # fmt: skip
        if record.socket:
            return Address(path=record.socket)
        return parse(f"{'https' if record.is_secure else 'http'}://{record.address}")


def parse(text: str, whence: str = "") -> Address:
    """`HOST:PORT`, `http://HOST:PORT`, `https://HOST[:PORT]` or `unix:/PATH`. Raises `ValidationError`."""
    address = _of(text) if isinstance(text, str) else None
    if address is not None:
        return address
    raise ValidationError(
        f"{whence}expected the address of a daemon, like http://127.0.0.1:7411, https://host:7411 or unix:/path, found {text!r}"
    )


def _of(text: str) -> Optional[Address]:
    scheme, colon, rest = text.partition(":")
    if not colon or scheme != "unix":
        return _of_host(text if "://" in text else f"http://{text}")
    path = rest[2:] if rest.startswith("//") else rest
    return Address(path=unquote(path)) if path.startswith("/") else None


def _of_host(text: str) -> Optional[Address]:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    is_secure = parts.scheme == "https"
    is_bare = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    is_plain = text.isascii() and text.isprintable() and " " not in text
    if not (host and is_bare and is_plain and parts.scheme in ("http", "https")):
        return None
    if port is None and not is_secure:
        return None
    return Address(host, port or 443, is_secure)
