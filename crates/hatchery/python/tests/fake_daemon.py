"""A daemon made of a socket, which says exactly what a test has it say; and both clients behind one face that waits."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import struct
import tempfile
import threading
import warnings
from typing import Any, NamedTuple

import hatchery
from hatchery.client.aio import AsyncClient

PATIENCE = 20  # Only ever waited out by a test that fails.


class Seen(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: dict
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """One connection, from the side of the daemon."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self.socket.settimeout(PATIENCE)
        self._rest = b""

    def request(self) -> Seen:
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self._rest) < length:
            self._rest += self._more()
        body, self._rest = self._rest[:length], self._rest[length:]
        method, target, _ = first.split(" ")
        return Seen(method, target, headers, body)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, value: Any, status: str = "200 OK") -> None:
        self.send(answer(value, status))

    def serve(self, value: Any, status: str = "200 OK") -> Seen:
        """Answers one request."""
        seen = self.request()
        self.answer(value, status)
        return seen

    def is_gone(self) -> bool:
        """Waits until the client hangs up; False if it says something instead."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        """Ends the connection as the kernel of a process that was killed does, with a word that says so."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def _more(self) -> bytes:
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError("the client has hung up")
        return data


class FakeDaemon:
    """Each connection that comes is handed to the next of the scripts, in a thread of its own. What a script raises, leaving raises."""

    def __init__(self, *scripts: Any, path: bool = False, security: Any = None):
        self._security = security
        self._folder = tempfile.TemporaryDirectory() if path else None
        self._listener = self._of_path() if path else socket.create_server(("127.0.0.1", 0))
        self._name = self._listener.getsockname()
        self._listener.settimeout(PATIENCE)
        self._scripts = list(scripts)
        self._failures: list = []
        self._threads: list = []
        self._accepting = threading.Thread(target=self._accept)

    @property
    def address(self) -> str:
        name = self._name
        if isinstance(name, str):
            return f"unix:{name}"
        return f"{'https' if self._security else 'http'}://localhost:{name[1]}"

    def __enter__(self) -> FakeDaemon:
        self._accepting.start()
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self._accepting.join()
            for thread in self._threads:
                thread.join()
        self._listener.close()
        if self._folder:
            self._folder.cleanup()
        if self._failures and kind is None:
            raise self._failures[0]

    def _of_path(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{self._folder.name}/socket")
        listener.listen()
        return listener

    def _accept(self) -> None:
        for script in self._scripts:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                self._failures.append(AssertionError(f"a connection did not come: {error}"))
                return
            thread = threading.Thread(target=self._play, args=(script, connection))
            self._threads.append(thread)
            thread.start()
        self._listener.close()  # A connection that no script is for is refused, and not waited for.

    def _play(self, script: Any, connection: socket.socket) -> None:
        try:
            if self._security:
                connection = self._security.wrap_socket(connection, server_side=True)
            script(Peer(connection))
        except Exception as error:
            self._failures.append(error)
        finally:
            connection.close()


def silent(peer: Peer) -> None:
    """Takes the connection, and says nothing until the client hangs up."""
    assert peer.is_gone()


def answer(value: Any, status: str = "200 OK", headers: str = "") -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


def error(kind: str, message: str, **more: Any) -> dict:
    return {"error": {"kind": kind, "message": message, "retryable": False, **more}}


def event(name: str, value: Any, id: str = "") -> bytes:
    return f"{f'id: {id}{chr(10)}' if id else ''}event: {name}\ndata: {json.dumps(value)}\n\n".encode()


def events(*pieces: bytes, chunked: bool = True, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(chunk(piece) for piece in pieces) + b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def waiting(address: Any = None, **options: Any) -> Any:
    """The client that waits."""
    return hatchery.connect(address, **options)


class looping:
    """The client for asyncio, as one that waits: the same tests are for both."""

    def __init__(self, address: Any = None, **options: Any):
        self._loop = asyncio.new_event_loop()
        try:
            self._client: Any = self._run(_connected(address, options))
        except BaseException:
            self._loop.close()
            raise

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self._client.close()
            self._run(asyncio.sleep(0))
            self._loop.close()

    def __getattr__(self, name: str) -> Any:
        return self._faced(getattr(self._client, name))

    def _faced(self, value: Any) -> Any:
        if asyncio.iscoroutine(value):
            return self._run(value)
        if hasattr(value, "__aiter__"):
            return _Iterated(self, value)
        if callable(value):
            return functools.wraps(value)(lambda *args, **named: self._faced(value(*args, **named)))
        return _Face(self, value) if type(value).__module__.startswith("hatchery.client") else value

    def _run(self, awaitable: Any) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(awaitable, PATIENCE))


class _Face:
    def __init__(self, client: looping, value: Any):
        self._client = client
        self._value = value

    def __getattr__(self, name: str) -> Any:
        return self._client._faced(getattr(self._value, name))

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


class _Iterated:
    def __init__(self, client: looping, stream: Any):
        self._client = client
        self._stream = stream

    def __enter__(self) -> _Iterated:
        self._client._run(self._stream.__aenter__())
        return self

    def __iter__(self) -> _Iterated:
        return self

    def __next__(self) -> Any:
        try:
            return self._client._run(_next(self._stream))
        except _Over:
            raise StopIteration from None

    def close(self) -> None:
        self._client._run(self._stream.aclose())

    def __exit__(self, *_: Any) -> None:
        self.close()


class _Over(Exception):
    """StopAsyncIteration, which cannot leave a coroutine."""


async def _next(stream: Any) -> Any:
    try:
        return await stream.__anext__()
    except StopAsyncIteration:
        raise _Over from None


async def _connected(address: Any, options: dict) -> AsyncClient:
    return await hatchery.connect_async(address, **options)


class BothClients:
    """Mixed into a test case: each test is made one for each client, which it gets as `connect`."""

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        for name in [name for name in vars(cls) if name.startswith("test_")]:
            test = getattr(cls, name)
            delattr(cls, name)
            for connect in (waiting, looping):
                setattr(cls, f"{name}_{connect.__name__}", _with(test, connect))


def _with(test: Any, connect: Any) -> Any:
    return lambda self: test(self, connect)
