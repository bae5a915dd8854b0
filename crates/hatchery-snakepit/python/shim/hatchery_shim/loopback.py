"""A server that wants all addresses gets the one that only this machine reaches."""

from __future__ import annotations

import functools
import re
from typing import Any, Callable

_ALL = re.compile(r"(?:(?:dns|ipv4|ipv6):/{0,3})?(?:\[[:0]*\]|0\.0\.0\.0|\*)?:([0-9]+)")


def wrap(grpc: Any) -> None:
    blocking, waiting = _binding_to_loopback(grpc.server), _binding_to_loopback(grpc.aio.server)
    grpc.server, grpc.aio.server = blocking, waiting


def _binding_to_loopback(make: Callable) -> Callable:
    @functools.wraps(make)
    def server(*args: Any, **kwargs: Any) -> Any:
        made = make(*args, **kwargs)
        bind = made.add_insecure_port
        made.add_insecure_port = lambda address: bind(on_loopback(address))
        return made

    return server


def on_loopback(address: Any) -> Any:
    """An address that names a host, a path or a socket stays."""
    wanted = _ALL.fullmatch(address) if isinstance(address, str) else None
    return f"127.0.0.1:{wanted.group(1)}" if wanted else address
