"""A host for one worker, just enough to put it to the test; written from docs/design/wire.md alone."""

import json
import os
import select
import socket
import struct
import subprocess
from typing import Any, Dict, List, NamedTuple

KIND = {
    "HELLO": 1, "READY": 2, "SHUTDOWN": 3, "PING": 4, "PONG": 5,
    "CALL": 16, "RESULT": 17, "CHUNK": 18, "END": 19, "ERROR": 20, "CANCEL": 21, "CREDIT": 22,
    "HOST_CALL": 32, "HOST_RESULT": 34, "HOST_ERROR": 35,
}  # fmt: skip
NAME = {number: name for name, number in KIND.items()}
HEADER = struct.Struct("<2sBBIQIIQ")  # magic, kind, flags, body, id, table, extra, data
CAPABILITIES = ["streams", "cancel", "attachments", "progress", "log", "host_tools", "telemetry", "telemetry_control"]
PATIENCE = 20.0  # seconds; only a test that fails ever waits so long
NOTHING = object()  # no body, which is not the body `null`


class Frame(NamedTuple):
    kind: str
    id: int = 0
    body: Any = NOTHING
    table: Any = None
    data: bytes = b""
    flags: int = 0
    extra: int = 0

    @property
    def attachments(self) -> List[bytes]:
        items = self.table["items"] if self.table else []
        return [self.data[item["offset"] : item["offset"] + item["length"]] for item in items]


def encode(frame: Frame) -> bytes:
    body = b"" if frame.body is NOTHING else json.dumps(frame.body).encode()
    table = json.dumps(frame.table).encode() if frame.table else b""
    lengths = (len(body), frame.id, len(table), frame.extra, len(frame.data))
    return HEADER.pack(b"hy", KIND[frame.kind], frame.flags, *lengths) + body + table + frame.data


def read_exactly(descriptor: int, size: int) -> bytes:
    """Up to `size` bytes: fewer at the end of the file."""
    collected = bytearray()
    while len(collected) < size:
        if not select.select([descriptor], [], [], PATIENCE)[0]:
            raise TimeoutError(f"the worker sent {len(collected)} of {size} bytes")
        part = os.read(descriptor, min(size - len(collected), 1 << 20))
        if not part:
            break
        collected += part
    return bytes(collected)


class MockHost:
    """Starts a worker and speaks the wire with it."""

    def __init__(self, command: List[str], **hello: Any) -> None:
        worker_in, self.data_in = os.pipe()
        self.data_out, worker_out = os.pipe()
        self.control, worker_control = socket.socketpair()
        self.inherited = (worker_in, worker_out, worker_control.fileno())
        descriptors = ",".join(map(str, self.inherited))
        wire = {"HATCHERY_WIRE": descriptors, "HATCHERY_WORKER": "test-1", "HATCHERY_RUN": "0" * 32}
        self.process = subprocess.Popen(
            command, pass_fds=self.inherited, env={**os.environ, **wire}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.close(worker_in)
        os.close(worker_out)
        worker_control.close()
        self.hello = {"versions": [1], "host": "mock 1", "run": "0" * 32, "worker": "test-1", "app": "worker.js",
                      "capabilities": CAPABILITIES, "limits": {}, **hello}  # fmt: skip

    def close(self) -> None:
        """Leave nothing behind, whatever became of the test."""
        self.vanish()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        os.close(self.data_out)

    def vanish(self) -> None:
        """What the worker sees when the host dies: the end of both channels it reads."""
        if self.data_in >= 0:
            os.close(self.data_in)
            self.data_in = -1
        self.control.close()

    def shake_hands(self) -> Frame:
        self.tell("HELLO", body=self.hello)
        return self.hear()

    def tell(self, kind: str, id: int = 0, **fields: Any) -> None:
        """Send a frame on control."""
        self.control.sendall(encode(Frame(kind, id, **fields)))

    def hear(self) -> Frame:
        """The next frame on control."""
        return self._read(self.control.fileno())

    def call(self, id: int, tool: str, args: Dict[str, Any], **fields: Any) -> None:
        body = {"tool": tool, "args": args, "correlation_id": f"c{id}"}
        frame = encode(Frame("CALL", id, body=body, **fields))
        while frame:
            frame = frame[os.write(self.data_in, frame) :]

    def reply(self) -> Frame:
        """The next frame on data out."""
        return self._read(self.data_out)

    def settle(self) -> None:
        """Return once the worker's loop has gone round, having read what control held."""
        self.tell("PING", id=2**64 - 1)
        assert self.hear() == Frame("PONG", id=2**64 - 1)

    def status(self) -> int:
        """The worker's exit status, and the proof that its process group is empty."""
        self.log, self.complaints = self.process.communicate(timeout=PATIENCE)
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return self.process.returncode
        raise AssertionError("the worker left a process behind")

    def _read(self, descriptor: int) -> Frame:
        header = read_exactly(descriptor, HEADER.size)
        if len(header) < HEADER.size:
            raise EOFError(f"the worker is gone: {self.process.communicate(timeout=PATIENCE)}")
        magic, kind, flags, body, id, table, extra, data = HEADER.unpack(header)
        assert magic == b"hy", header
        text, items, section = (read_exactly(descriptor, size) for size in (body, table, data))
        value = json.loads(text) if text else NOTHING
        return Frame(NAME[kind], id, value, json.loads(items) if items else None, section, flags, extra)
