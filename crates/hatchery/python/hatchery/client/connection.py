"""One connection of the client that waits, and the pool of those that are open."""

from __future__ import annotations

import os
import socket
import threading
from time import monotonic
from typing import Any, Optional

from .address import Address, Whereabouts
from .answers import closed, not_there, of_another_process
from .http1 import Request
from .security import Security

# How long it may take to be connected.
CONNECT = 10.0
# A daemon hangs up on who says nothing for 30 s; one that is about to is not asked.
IDLE = 20.0
_MOST_IDLE = 64
_PIECE = 256 << 10


class Late(Exception):
    """The time for something has passed."""


class Connection:
    """A connection to a daemon. `deadline` is always an instant of `monotonic`, or None."""

    def __init__(self, address: Address, security: Security, deadline: Optional[float] = None):
        self.address = address
        self.idle_since = 0.0
        self._security = security
        self._process = os.getpid()
        until = monotonic() + CONNECT
        try:
            self._socket = _connected(address, security, min(until, deadline or until))
        except OSError as why:
            raise not_there(address, why) from None

    def encoded(self, request: Request) -> bytes:
        return request.encode(self.address.authority, self._security.headers(self.address))

    def send(self, data: bytes, deadline: Optional[float]) -> bool:
        """Whether all of it is on its way. Where it is not, what the daemon has said about that can still be read."""
        rest = memoryview(data)
        while rest:
            self._allow(deadline)
            try:
                rest = rest[self._socket.send(rest) :]
            except socket.timeout:
                self._allow(deadline)
                raise
            except (ConnectionError, OSError):
                return False
        return True

    def receive(self, deadline: Optional[float]) -> bytes:
        """What has come; nothing once the daemon has hung up. Raises `Late`, or OSError."""
        self._allow(deadline)
        try:
            return self._socket.recv(_PIECE)
        except socket.timeout:
            self._allow(deadline)
            raise

    def is_fit(self) -> bool:
        """Whether it can have another request: its daemon has not hung up, and has not said what nobody asked for."""
        if monotonic() - self.idle_since > IDLE:
            return False
        try:
            self._socket.settimeout(0)
            self._socket.recv(1)
        except OSError as why:
            return _would_wait(why)
        return False

    def interrupt(self) -> None:
        """Ends what another thread waits for, and not what the parent of a fork does."""
        if self._process != os.getpid():
            return
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It has ended already.

    def close(self) -> None:
        self._socket.close()

    def _allow(self, deadline: Optional[float]) -> None:
        if self._process != os.getpid():
            raise of_another_process()
        left = None if deadline is None else deadline - monotonic()
        if left is not None and left <= 0:
            raise Late
        self._socket.settimeout(left)


class Connections:
    """The open connections that nobody uses, for any number of threads. One that is taken is given back, or closed."""

    def __init__(self, whereabouts: Whereabouts, security: Security):
        self._whereabouts = whereabouts
        self._security = security
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._process = os.getpid()
        self.is_closed = False

    def take(self, fresh: bool = False, deadline: Optional[float] = None) -> tuple[Connection, bool]:
        """A connection, and whether it is a new one."""
        while not fresh:
            connection = self._last()
            if connection is None:
                break
            if connection.is_fit():
                return connection, False
            connection.close()
        return Connection(self._whereabouts.address(), self._security, deadline), True

    def give_back(self, connection: Connection) -> None:
        connection.idle_since = monotonic()
        with self._lock:
            is_kept = not self.is_closed and len(self._idle) < _MOST_IDLE and self._process == os.getpid()
            if is_kept:
                self._idle.append(connection)
        if not is_kept:
            connection.close()

    def close(self) -> None:
        with self._lock:
            self.is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _last(self) -> Optional[Connection]:
        """The one that was used last, as it is the least likely to have ended."""
        if self._process != os.getpid():
            self._leave_to_parent()
        with self._lock:
            if self.is_closed:
                raise closed()
            return self._idle.pop() if self._idle else None

    def _leave_to_parent(self) -> None:
        """After a fork the connections are the parent's, and so may be the lock."""
        self._lock, idle, self._idle = threading.Lock(), self._idle, []
        self._process = os.getpid()
        for connection in idle:
            connection.close()


def _connected(address: Address, security: Security, deadline: float) -> Any:
    limit = max(deadline - monotonic(), 0.001)
    if address.path:
        return _of_path(address.path, limit)
    context = security.context(address)
    plain = socket.create_connection((address.host, address.port), limit)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        notice_dead_peers(plain)
        return context.wrap_socket(plain, server_hostname=address.host) if context else plain
    except BaseException:
        plain.close()
        raise


def _of_path(path: str, limit: float) -> socket.socket:
    local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        local.settimeout(limit)
        local.connect(path)
    except BaseException:
        local.close()
        raise
    return local


def notice_dead_peers(connected: Any) -> None:
    """A machine that is gone says nothing; so the kernel asks it, and ends the connection after a minute."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _would_wait(why: OSError) -> bool:
    if isinstance(why, BlockingIOError):
        return True
    # TLS has a class of its own for it; without TLS the module was never imported.
    return type(why).__name__ == "SSLWantReadError"
