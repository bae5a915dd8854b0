"""The client that waits, for any number of threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Iterable, Optional

from .address import Whereabouts
from .answers import NOTHING, Feed
from .connection import Connections
from .exchange import Exchange
from .http1 import Request
from .mapping import Mapping
from .operations import Operations, Scope
from .requests import PATIENCE, Options, Timeout
from .security import Security
from .tools import Tools


def connect(
    address: Optional[str] = None, *, pool: str = "default", token: Optional[str] = None, timeout: Timeout = None, ca: Any = None,
    cert: Any = None, data_dir: Optional[str] = None,
) -> Client:  # fmt: skip
    """Connects to a daemon: at this address (`http://HOST:PORT`, `https://HOST:PORT`, `unix:/PATH`, `HOST:PORT`), else the one that
    HATCHERY_ADDR names, else the one of this instance's data directory.

    `timeout` is that of each call that has none of its own. `token` is what `hatchery token new` has printed, else HATCHERY_TOKEN. `ca` is a file with
    the authorities that a daemon with TLS is checked against (or an `ssl.SSLContext`), `cert` the client's own certificate and key, a file or two.

    Raises `Unavailable` where no daemon is.
    """
    client = Client(Whereabouts(address, data_dir), Security(token, ca, cert), Scope(pool, Options(timeout=timeout)))
    client._reach()
    return client


class Client(Operations):
    """A daemon, from `connect`. Threads may share it; `pool`, `with_options` and `session` give others on the same connections, and closing
    any of them closes all."""

    def __init__(self, whereabouts: Whereabouts, security: Security, scope: Scope):
        super().__init__(Connections(whereabouts, security), scope)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections. Calls of other threads that run come to their end."""
        self._connections.close()

    @property
    def tools(self) -> Tools:
        """The tools of the pool as functions: `client.tools.word_count(text="a b a")`."""
        return Tools(self, self._known.get(self._scope.pool), self.tool_list)

    def tool_list(self) -> list[dict[str, Any]]:
        """The tools of the pool, each `{name, doc, streaming, parameters}`."""
        self._known[self._scope.pool] = found = super().tool_list()
        return found

    def map(
        self, tool: str, arguments: Iterable[dict[str, Any]], *, concurrency: Optional[int] = None, return_exceptions: bool = False
    ) -> Mapping:
        """Calls a tool for each dict of arguments, several at once, and gives the results in the order of the input, which is read as
        results are taken.

        `concurrency` is by default the number of the pool's workers. The first failure ends it, and cancels what runs; with
        `return_exceptions` failures stand among the results. So do a `break` and `close` end it.
        """
        def begin(one: dict[str, Any]) -> Exchange:
            return self._exchange(*self._request_of(tool, one))

        return Mapping(begin, arguments, concurrency or self._most_of(self.status()), return_exceptions)

    def _reach(self) -> None:
        connection, _ = self._connections.take(True)
        self._connections.give_back(connection)

    def _ask(self, request: Request, limit: Optional[float] = PATIENCE) -> Any:
        return self._exchange(request, limit).whole().content()

    def _open(self, request: Request, feed: Feed, limit: Optional[float]) -> Stream:
        return Stream(self._exchange(request, limit), feed)

    def _exchange(self, request: Request, limit: Optional[float]) -> Exchange:
        return Exchange(self._connections, request, limit)


class Stream(Iterator):
    """The items of a stream, as they come. Closing it, leaving its `with` or dropping it ends it, and cancels the call behind it."""

    def __init__(self, exchange: Exchange, feed: Feed):
        self._exchange = exchange
        self._feed = feed
        self._is_begun = False
        self._is_closed = False
        self._turn = threading.Lock()

    def __next__(self) -> Any:
        with self._turn:
            if self._is_closed:
                raise StopIteration
            try:
                item = self._next()
            except BaseException:
                self.close()
                raise
            if item is NOTHING:
                raise StopIteration
            return item

    def close(self) -> None:
        """May be called by any thread; one that waits for an item gets a `Cancelled`."""
        self._is_closed = True
        self._exchange.close()

    def __enter__(self) -> Stream:
        if self._feed.is_live and not self._is_begun:
            self._begin()
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _next(self) -> Any:
        if not self._is_begun:
            self._begin()
        item = self._feed.next()
        while item is NOTHING and not self._feed.is_over:
            self._feed.feed(self._exchange.read(), self._exchange.address)
            item = self._feed.next()
        if self._feed.is_over:
            self._finish()
        return item

    def _begin(self) -> None:
        self._is_begun = True
        if not self._exchange.begin():
            self._exchange.whole().check()

    def _finish(self) -> None:
        """Reads what is behind the last event, so that the connection can be used again."""
        while self._exchange.read():
            pass
        self._is_closed = True
