"""Connections of the client for asyncio, and one request on one of them."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from time import monotonic
from typing import Any, Optional

from .address import Address, Whereabouts
from .answers import Answer, closed, is_success, lost, may_resend, not_there, of_another_process, too_late
from .connection import CONNECT, IDLE, notice_dead_peers
from .errors import Cancelled
from .http1 import Malformed, Reader, Request
from .security import Security

_MOST_IDLE = 64
_PIECE = 256 << 10
# Kept, as asyncio tells the kernel to wait no more for one that goes.
_INHERITED: list[Connection] = []


class Connection:
    """A connection to a daemon. Whoever waits on it when `abort` is called gets its end."""

    def __init__(self, address: Address, security: Security, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.address = address
        self._security = security
        self.idle_since = 0.0
        self._process = os.getpid()
        self._reader = reader
        self._writer = writer

    def encoded(self, request: Request) -> bytes:
        return request.encode(self.address.authority, self._security.headers(self.address))

    async def send(self, data: bytes) -> bool:
        """Whether all of it is on its way. Where it is not, what the daemon has said about that can still be read."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            # What is left in the transport was not sent, and never will be.
            return not self._writer.transport.get_write_buffer_size()  # type: ignore[attr-defined]
        return True

    async def receive(self) -> bytes:
        """What has come; nothing once the daemon has hung up."""
        if self.is_inherited:
            raise of_another_process()
        return await self._reader.read(_PIECE)

    def is_fit(self) -> bool:
        """Whether it can have another request: its daemon has not hung up, and has not said what nobody asked for."""
        is_old = monotonic() - self.idle_since > IDLE
        return not (is_old or self._writer.is_closing() or self._has_said() or self._has_news())

    @property
    def is_inherited(self) -> bool:
        """Whether it is that of the parent of a fork: with the loop it shares what waits for it, too, so it must not be touched."""
        return self._process != os.getpid()

    def abort(self) -> None:
        if self.is_inherited:
            return _INHERITED.append(self)
        try:
            self._writer.transport.abort()  # type: ignore[attr-defined]
        except RuntimeError:  # Its loop was closed before it.
            self._hang_up()

    def _hang_up(self) -> None:
        try:
            self._writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It has ended already.

    def _has_said(self) -> bool:
        """Whether something has come, or the end: then reading would not wait."""
        reading = self._reader.read(1)
        try:
            reading.send(None)
        except (StopIteration, OSError):
            return True
        reading.close()
        return False

    def _has_news(self) -> bool:
        """Whether something has come that the loop has not seen yet, as it was busy. With TLS that may be anything, and means nothing."""
        if self._writer.get_extra_info("ssl_object") is not None:
            return False
        poll = select.poll()
        poll.register(self._writer.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))


class Connections:
    """The open connections that nobody uses, of one event loop. One that is taken is given back, or aborted."""

    def __init__(self, whereabouts: Whereabouts, security: Security):
        self._whereabouts = whereabouts
        self._security = security
        self._idle: list[Connection] = []
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._is_closed = False

    async def take(self, fresh: bool = False) -> tuple[Connection, bool]:
        """A connection, and whether it is a new one."""
        if self._is_closed:
            raise closed()
        self._stay_in_loop()
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.is_fit():
                return connection, False
            connection.abort()
        return await self._connected(), True

    def give_back(self, connection: Connection) -> None:
        connection.idle_since = monotonic()
        if self._is_closed or len(self._idle) >= _MOST_IDLE:
            connection.abort()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        self._is_closed = True
        while self._idle:
            self._idle.pop().abort()

    def _stay_in_loop(self) -> None:
        """A connection belongs to the loop that it was made in; with another one, the old ones are as lost as their loop."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            for connection in self._idle:
                connection.abort()
            self._loop, self._idle = loop, []

    async def _connected(self) -> Connection:
        address = self._whereabouts.address()
        try:
            reader, writer = await asyncio.wait_for(self._open(address), CONNECT)
        except asyncio.TimeoutError:
            raise not_there(address, TimeoutError(f"not connected within {CONNECT:g} s")) from None
        except OSError as why:
            raise not_there(address, why) from None
        return Connection(address, self._security, reader, writer)

    async def _open(self, address: Address) -> Any:
        if address.path:
            return await asyncio.open_unix_connection(address.path, limit=_PIECE)
        context = self._security.context(address)
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context, limit=_PIECE)
        notice_dead_peers(writer.get_extra_info("socket"))
        return reader, writer


class Exchange:
    """Sends a request when it is begun, and reads its answer. It ends with that, or with `close`: then its connection is closed, and that cancels a call. So
    does the end of the task that waits for it. `limit` is how many seconds the next part of the answer is waited for."""

    def __init__(self, connections: Connections, request: Request, limit: Optional[float]):
        self._connections = connections
        self._request = request
        self._limit = limit
        self._connection: Optional[Connection] = None
        self._is_closed = False
        self._is_late = False
        self._sent_whole = False
        self._reader = Reader()
        self.address = Address()

    async def whole(self) -> Answer:
        """Begins it, if it is not begun, and reads it to its end."""
        with _Clock(self):
            connection = self._connection or await self._begun()
            while not self._reader.is_complete:
                await self._feed(connection)
        body = self._reader.take()
        self._end()
        return Answer(connection.address, self._reader.status, self._reader.headers, body)

    async def begin(self) -> bool:
        """Waits for the head of the answer. Whether it is one of success."""
        with _Clock(self):
            await self._begun()
        return is_success(self._reader.status)

    async def read(self) -> bytes:
        """More of the body; nothing at its end."""
        with _Clock(self):
            while self._connection is not None:
                body = self._reader.take()
                if body or self._reader.is_complete:
                    return body or self._end()
                await self._feed(self._connection)
        if self._is_late:
            raise too_late(self.address, self._limit or 0)
        return b""

    def close(self) -> None:
        self._is_closed = True
        self._abort()

    def expire(self) -> None:
        """Its time has passed."""
        self._is_late = True
        self._abort()

    @property
    def limit(self) -> Optional[float]:
        return self._limit

    async def _begun(self) -> Connection:
        """A connection that was closed while nobody used it is replaced unseen."""
        connection, is_fresh = await self._connections.take()
        if not await self._has_head(connection, is_fresh):
            connection, is_fresh = await self._connections.take(True)
            await self._has_head(connection, is_fresh)
        return connection

    async def _has_head(self, connection: Connection, is_fresh: bool) -> bool:
        """Whether the head of the answer is there; if it is not, the request may be sent once more."""
        self._connection, self.address = connection, connection.address
        self._reader, self._sent_whole = Reader(), False
        if self._is_closed or self._is_late:  # While it was being connected.
            raise self._failure(ConnectionAbortedError())
        try:
            self._sent_whole = await connection.send(connection.encoded(self._request))
            while not self._reader.has_head:
                self._reader.feed(await connection.receive())
            return True
        except BaseException as why:
            is_stale = not is_fresh and not (self._is_closed or self._is_late)
            if is_stale and may_resend(self._request, self._reader, self._sent_whole, why):
                connection.abort()
                return False
            raise self._failure(why) from None

    async def _feed(self, connection: Connection) -> None:
        try:
            self._reader.feed(await connection.receive())
        except BaseException as why:
            raise self._failure(why) from None

    def _failure(self, why: BaseException) -> BaseException:
        """What to raise. The connection is closed: nobody knows what would come on it."""
        self._abort()
        if not isinstance(why, (OSError, Malformed)):
            return why
        if self._is_late:
            return too_late(self.address, self._limit or 0)
        if self._is_closed:
            return Cancelled("the call was given up")
        return lost(self.address, why, self._request, self._reader, self._sent_whole)

    def _abort(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def _end(self) -> bytes:
        connection, self._connection = self._connection, None
        if connection is not None and self._reader.is_reusable:
            self._connections.give_back(connection)
        elif connection is not None:
            connection.abort()
        return b""


class _Clock:
    """Ends an exchange when its time has passed. One timer of the loop: a task for each part of an answer would cost more than to read it."""

    def __init__(self, exchange: Exchange):
        self._exchange = exchange
        self._timer: Any = None

    def __enter__(self) -> None:
        if self._exchange.limit is not None:
            self._timer = asyncio.get_running_loop().call_later(self._exchange.limit, self._exchange.expire)

    def __exit__(self, *_: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
