"""One request and its answer, for the client that waits."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Optional

from .address import Address
from .answers import Answer, is_success, lost, may_resend, too_late
from .connection import Connection, Connections, Late
from .errors import Cancelled
from .http1 import Malformed, Reader, Request


class Exchange:
    """Sends a request when it is begun, and reads its answer. It ends with that, or with `close`, which any thread may call: then its
    connection is closed, and that cancels a call. `limit` is how many seconds the next part of the answer is waited for."""

    def __init__(self, connections: Connections, request: Request, limit: Optional[float]):
        self._connections = connections
        self._request = request
        self._limit = limit
        self._lock = threading.Lock()
        self._connection: Optional[Connection] = None
        self._is_closed = False
        self._sent_whole = False
        self._reader = Reader()
        self.address = Address()  # Of the daemon that it went to.

    def whole(self) -> Answer:
        """Begins it, if it is not begun, and reads it to its end."""
        connection = self._connection or self._begun()
        deadline = self._deadline()
        while not self._reader.is_complete:
            self._feed(connection, deadline)
        body = self._reader.take()
        self._end()
        return Answer(connection.address, self._reader.status, self._reader.headers, body)

    def begin(self) -> bool:
        """Waits for the head of the answer. Whether it is one of success."""
        self._begun()
        return is_success(self._reader.status)

    def read(self) -> bytes:
        """More of the body; nothing at its end."""
        deadline = self._deadline()
        while self._connection is not None:
            body = self._reader.take()
            if body or self._reader.is_complete:
                return body or self._end()
            self._feed(self._connection, deadline)
        return b""

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.interrupt()
            connection.close()

    def _begun(self) -> Connection:
        """A connection that was closed while nobody used it is replaced unseen."""
        deadline = self._deadline()
        connection, is_fresh = self._connections.take(deadline=deadline)
        if not self._has_head(connection, deadline, is_fresh):
            connection, is_fresh = self._connections.take(True, deadline)
            self._has_head(connection, deadline, is_fresh)
        return connection

    def _has_head(self, connection: Connection, deadline: Optional[float], is_fresh: bool) -> bool:
        """Whether the head of the answer is there; if it is not, the request may be sent once more."""
        self._hold(connection)
        self._reader, self._sent_whole = Reader(), False
        try:
            self._sent_whole = connection.send(connection.encoded(self._request), deadline)
            while not self._reader.has_head:
                self._reader.feed(connection.receive(deadline))
            return True
        except (OSError, Malformed) as why:
            is_stale = not is_fresh and not self._is_closed and may_resend(self._request, self._reader, self._sent_whole, why)
            failure = self._failure(connection, why)
            if is_stale:
                return False
            raise failure from None
        except BaseException as why:
            raise self._failure(connection, why) from None

    def _feed(self, connection: Connection, deadline: Optional[float]) -> None:
        try:
            self._reader.feed(connection.receive(deadline))
        except BaseException as why:
            raise self._failure(connection, why) from None

    def _hold(self, connection: Connection) -> None:
        with self._lock:
            self.address = connection.address
            self._connection = None if self._is_closed else connection
        if self._is_closed:
            connection.close()
            raise Cancelled("the call was given up")

    def _failure(self, connection: Connection, why: BaseException) -> BaseException:
        """What to raise. The connection is closed: nobody knows what would come on it."""
        is_closed = self._is_closed
        self._connection = None
        connection.close()
        if is_closed and isinstance(why, (OSError, Malformed)):
            return Cancelled("the call was given up")
        if isinstance(why, Late):
            return too_late(connection.address, self._limit or 0)
        if isinstance(why, (OSError, Malformed)):
            return lost(connection.address, why, self._request, self._reader, self._sent_whole)
        return why

    def _end(self) -> bytes:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None and self._reader.is_reusable:
            self._connections.give_back(connection)
        elif connection is not None:
            connection.close()
        return b""

    def _deadline(self) -> Optional[float]:
        return None if self._limit is None else monotonic() + self._limit
