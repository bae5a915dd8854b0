"""The client for asyncio. It has no threads; the end of a task that waits for a call cancels the call."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, AsyncIterator, Generator, Iterable, Optional

from .address import Whereabouts
from .aio_connection import Connections, Exchange
from .answers import NOTHING, Feed
from .errors import Error
from .http1 import Request
from .operations import Operations, Scope
from .requests import PATIENCE, Options, Timeout
from .security import Security
from .tools import Tools


def connect_async(
    address: Optional[str] = None, *, pool: str = "default", token: Optional[str] = None, timeout: Timeout = None, ca: Any = None,
    cert: Any = None, data_dir: Optional[str] = None,
) -> Connecting:  # fmt: skip
    """`connect` for asyncio: `client = await connect_async()`, or `async with connect_async() as client`. Every method that asks something gives an
    awaitable then, and `stream`, `events` and `map` are for `async for`."""
    scope = Scope(pool, Options(timeout=timeout))
    return Connecting(AsyncClient(Whereabouts(address, data_dir), Security(token, ca, cert), scope))


class Connecting:
    """A client that is about to be connected."""

    def __init__(self, client: AsyncClient):
        self._client = client

    def __await__(self) -> Generator[Any, None, AsyncClient]:
        return self._client._reach().__await__()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"{name}: there is no client yet: `client = await connect_async()`, or `async with connect_async() as client`")

    async def __aenter__(self) -> AsyncClient:
        return await self

    async def __aexit__(self, *_: Any) -> None:
        self._client.close()


class AsyncClient(Operations):
    """A daemon, from `connect_async`. Any number of tasks may share it; `pool`, `with_options` and `session` give others on the same connections, and
    closing any of them closes all."""

    def __init__(self, whereabouts: Whereabouts, security: Security, scope: Scope):
        super().__init__(Connections(whereabouts, security), scope)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that nobody uses. Calls that run come to their end."""
        self._connections.close()

    async def aclose(self) -> None:
        """As `close`, for `contextlib.aclosing`."""
        self.close()

    @property
    def tools(self) -> Tools:
        """The tools of the pool as functions: `await client.tools.word_count(text="a b a")`, `async for n in client.tools.countdown(n=3)`. They have their
        texts and signatures, and take arguments by position, once `await client.tool_list()` has asked for them."""
        return Tools(self, self._known.get(self._scope.pool))

    async def tool_list(self) -> list[dict[str, Any]]:
        """The tools of the pool, each `{name, doc, streaming, parameters}`."""
        self._known[self._scope.pool] = found = await super().tool_list()
        return found

    async def map(
        self, tool: str, arguments: Iterable[dict[str, Any]], *, concurrency: Optional[int] = None, return_exceptions: bool = False
    ) -> AsyncIterator[Any]:
        """Calls a tool for each dict of arguments, several at once, and gives the results in the order of the input, which is read as
        results are taken.

        `concurrency` is by default the number of the pool's workers. The first failure ends it, and cancels what runs; with
        `return_exceptions` failures stand among the results. So does `aclose` end it.
        """
        most = asyncio.Semaphore(concurrency or self._most_of(await self.status()))
        ahead: deque[asyncio.Task] = deque()
        rest, room = iter(arguments), 2 * most._value
        try:
            while True:
                for one in rest:
                    ahead.append(asyncio.ensure_future(self._one_of(tool, one, most)))
                    if len(ahead) == room:
                        break
                if not ahead:
                    return
                yield await _outcome(ahead.popleft(), return_exceptions)
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _one_of(self, tool: str, arguments: dict[str, Any], most: asyncio.Semaphore) -> Any:
        async with most:
            return await self._call(tool, arguments)

    async def _reach(self) -> AsyncClient:
        connection, _ = await self._connections.take(True)
        self._connections.give_back(connection)
        return self

    async def _ask(self, request: Request, limit: Optional[float] = PATIENCE) -> Any:
        return (await self._exchange(request, limit).whole()).content()

    def _open(self, request: Request, feed: Feed, limit: Optional[float]) -> AsyncStream:
        return AsyncStream(self._exchange(request, limit), feed)

    def _either(self, tool: str, arguments: dict[str, Any]) -> Either:
        return Either(self, tool, arguments)

    def _exchange(self, request: Request, limit: Optional[float]) -> Exchange:
        return Exchange(self._connections, request, limit)


class AsyncStream:
    """The items of a stream, as they come. Closing it, leaving its `async with` or dropping it ends it, and cancels the call behind it; so does the end of
    the task that waits for an item."""

    def __init__(self, exchange: Exchange, feed: Feed):
        self._exchange = exchange
        self._feed = feed
        self._is_begun = False
        self._is_closed = False

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> Any:
        if self._is_closed:
            raise StopAsyncIteration
        try:
            item = await self._next()
        except BaseException:
            self.close()
            raise
        if item is NOTHING:
            raise StopAsyncIteration
        return item

    def close(self) -> None:
        self._is_closed = True
        self._exchange.close()

    async def aclose(self) -> None:
        """As `close`, for `contextlib.aclosing`."""
        self.close()

    async def __aenter__(self) -> AsyncStream:
        if self._feed.is_live and not self._is_begun:
            await self._begin()
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    async def _next(self) -> Any:
        if not self._is_begun:
            await self._begin()
        item = self._feed.next()
        while item is NOTHING and not self._feed.is_over:
            self._feed.feed(await self._exchange.read(), self._exchange.address)
            item = self._feed.next()
        if self._feed.is_over:
            await self._finish()
        return item

    async def _begin(self) -> None:
        self._is_begun = True
        if not await self._exchange.begin():
            (await self._exchange.whole()).check()

    async def _finish(self) -> None:
        """Reads what is behind the last event, so that the connection can be used again."""
        while await self._exchange.read():
            pass
        self._is_closed = True


class Either:
    """A tool that was called before anybody asked whether it streams: to be awaited, or to be iterated."""

    def __init__(self, client: AsyncClient, tool: str, arguments: dict[str, Any]):
        self._client = client
        self._tool = tool
        self._arguments = arguments

    def __await__(self) -> Generator[Any, None, Any]:
        return self._client._call(self._tool, self._arguments).__await__()

    def __aiter__(self) -> AsyncStream:
        return self._client._stream(self._tool, self._arguments)


async def _outcome(task: asyncio.Task, return_exceptions: bool) -> Any:
    try:
        return await task
    except Error as error:
        if not return_exceptions:
            raise
        return error
    finally:
        task.cancel()  # If who waited for it was cancelled; for one that is done it means nothing.
