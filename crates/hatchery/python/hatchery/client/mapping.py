"""Many calls of one tool at once, in threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Iterable

from .errors import Cancelled, Error
from .exchange import Exchange


class Mapping(Iterator):
    """The results, in the order of the input. Closing it or dropping it cancels what runs."""

    def __init__(self, begin: Callable[[Any], Exchange], arguments: Iterable[Any], concurrency: int, return_exceptions: bool):
        self._crew = _Crew(begin, concurrency)
        self._arguments = iter(arguments)
        # As many again as run: so that nobody is idle while the first of them takes long.
        self._most = 2 * concurrency
        self._ahead: deque[Future] = deque()
        self._return_exceptions = return_exceptions

    def __next__(self) -> Any:
        try:
            self._fill()
            if self._ahead:
                return self._result(self._ahead.popleft())
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def close(self) -> None:
        self._arguments = iter(())
        for future in self._ahead:
            future.cancel()
        self._ahead.clear()
        self._crew.close()

    def __enter__(self) -> Mapping:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _fill(self) -> None:
        while len(self._ahead) < self._most:
            for arguments in self._arguments:
                self._ahead.append(self._crew.begin(arguments))
                break
            else:
                break

    def _result(self, future: Future) -> Any:
        try:
            return future.result()
        except Error as error:
            if not self._return_exceptions:
                raise
            return error


class _Crew:
    """The threads, and the exchanges that they wait for. It does not know the mapping, which can so be dropped while they run."""

    def __init__(self, begin: Callable[[Any], Exchange], concurrency: int):
        self._begin = begin
        self._threads = ThreadPoolExecutor(concurrency, "hatchery-map")
        self._lock = threading.Lock()
        self._running: set[Exchange] = set()
        self._is_closed = False

    def begin(self, arguments: Any) -> Future:
        return self._threads.submit(self._run, arguments)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            running = list(self._running)
        for exchange in running:
            exchange.close()
        self._threads.shutdown(wait=False)

    def _run(self, arguments: Any) -> Any:
        exchange = self._begin(arguments)
        with self._lock:
            if self._is_closed:
                raise Cancelled("the call was given up")
            self._running.add(exchange)
        try:
            return exchange.whole().content()
        finally:
            with self._lock:
                self._running.discard(exchange)
