"""A host for tests: it starts a real worker with boot.py and speaks the wire to it."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap

from hatchery import wire

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BOOT = os.path.join(ROOT, "boot.py")
PATIENCE = 10  # Only ever waited out by a test that fails.


class Worker:
    """One worker, its app given as source. Use as a context manager: at its end nothing is left."""

    def __init__(self, source, attr=None, capabilities=wire.CAPABILITIES, limits=None, environment=None,
                 python=sys.executable, app=None, hello=True, versions=(1,), ledger=False, **stated):  # fmt: skip
        self.folder = tempfile.TemporaryDirectory()
        self.app = app or os.path.join(self.folder.name, "app.py")
        with open(os.path.join(self.folder.name, "app.py"), "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(source))
        self.stdout = tempfile.TemporaryFile()
        self.stderr = tempfile.TemporaryFile()
        self.buffers = {}
        self.next_id = 1
        self.ledger = os.memfd_create("ledger") if ledger else None
        self._start(python, ["--attr", attr] if attr else [], environment or {})
        if hello:
            self.say_hello(capabilities, limits, versions, **stated)

    def say_hello(self, capabilities=wire.CAPABILITIES, limits=None, versions=(1,), **stated):
        body = {"versions": versions, "host": "test", "capabilities": capabilities, "limits": limits or {}, **stated}
        self.send_control(wire.HELLO, 0, body)

    def _start(self, python, arguments, environment):
        data_in, self.calls = os.pipe()
        self.replies, data_out = os.pipe()
        self.control, control = socket.socketpair()
        theirs = (data_in, data_out, control.fileno())
        inherited = list(theirs)
        if self.ledger is not None:
            os.truncate(self.ledger, 4096)
            inherited.append(self.ledger)
            environment = {**environment, "HATCHERY_LEDGER": str(self.ledger)}
        for fd in inherited:
            os.set_inheritable(fd, True)
        self.process = subprocess.Popen(
            [python, BOOT, self.app, *arguments],
            env={**os.environ, "HATCHERY_WIRE": "%d,%d,%d" % theirs, **environment},
            pass_fds=inherited, stdin=subprocess.DEVNULL, stdout=self.stdout, stderr=self.stderr,
            cwd=self.folder.name, start_new_session=True,
        )  # fmt: skip
        os.close(data_in)
        os.close(data_out)
        control.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close_calls()
        self.control.close()
        try:
            self.process.wait(PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            os.close(self.replies)
            if self.ledger is not None:
                os.close(self.ledger)
            self.stdout.close()
            self.stderr.close()
            self.folder.cleanup()

    def close_calls(self):
        if self.calls is not None:
            os.close(self.calls)
            self.calls = None

    def last_begun(self):
        """What stands in the ledger."""
        return int.from_bytes(os.pread(self.ledger, 8, 0), sys.byteorder)

    def ready(self):
        frame = self.read_control()
        assert frame.name == "READY", (frame, self.err())
        return frame.body

    def send(self, kind, id, body=None, flags=0, extra=0, parts=b""):
        os.write(self.calls, parts or wire.frame(kind, id, _dump(body), flags, extra))

    def send_control(self, kind, id=0, body=None, extra=0):
        self.control.sendall(wire.frame(kind, id, _dump(body), 0, extra))

    def start(self, tool, stream=False, credit=1 << 20, keys=None, **arguments):
        """Sends a CALL and gives its id."""
        id, self.next_id = self.next_id, self.next_id + 1
        body = {"tool": tool, "args": arguments, "correlation_id": f"{id:016x}", **(keys or {})}
        self.send(wire.CALL, id, body, flags=int(stream), extra=credit if stream else 0)
        return id

    def call(self, tool, **arguments):
        """The value of a RESULT; any other frame is an error of the test."""
        frame = self.outcome(tool, **arguments)
        assert frame.name == "RESULT", frame
        return frame.value

    def outcome(self, tool, **arguments):
        """The frame that ends a call, which must be the first to come."""
        id = self.start(tool, **arguments)
        frame = self.read()
        assert frame.id == id, frame
        return frame

    def error(self, tool, **arguments):
        frame = self.outcome(tool, **arguments)
        assert frame.name == "ERROR", frame
        return frame.body

    def stream(self, tool, credit=1 << 20, **arguments):
        """All frames of a streaming call."""
        id = self.start(tool, stream=True, credit=credit, **arguments)
        return self.until_end(id)

    def until_end(self, id):
        frames = []
        while not frames or frames[-1].name not in ("END", "ERROR", "RESULT"):
            frames.append(self.read())
            assert frames[-1].id == id, frames
        return frames

    def read(self):
        return self._read(self.replies)

    def read_control(self):
        return self._read(self.control.fileno())

    def _read(self, fd):
        header = self._exactly(fd, wire.HEADER_LENGTH)
        if header is None:
            return Frame("EOF", 0, b"", None, b"")
        parsed = wire.parse_header(header)
        body, table, data = (self._exactly(fd, n) for n in (parsed.body, parsed.table, parsed.data))
        return Frame(wire.NAMES[parsed.kind], parsed.id, body, table, data, parsed.extra)

    def _exactly(self, fd, length):
        taken = b""
        while len(taken) < length:
            if not select.select([fd], [], [], PATIENCE)[0]:
                raise AssertionError(f"nothing came; stderr: {self.err()}")
            more = os.read(fd, length - len(taken))
            if not more:
                return None
            taken += more
        return taken

    def exit_status(self):
        return self.process.wait(PATIENCE)

    def out(self):
        self.stdout.seek(0)
        return self.stdout.read().decode()

    def err(self):
        self.stderr.seek(0)
        return self.stderr.read().decode()


class Frame:
    def __init__(self, name, id, raw, table, data, extra=0):
        self.name = name
        self.id = id
        self.extra = extra
        self.raw = raw
        self.body = json.loads(raw) if raw else None
        self.table = json.loads(table) if table else None
        self.data = data

    @property
    def value(self):
        """The body with `bytes` items, and arrays as (dtype, shape, bytes), in the place of their marks."""
        return self._open(self.body) if self.table else self.body

    def _open(self, value):
        if isinstance(value, dict):
            if list(value) == [self.table["mark"]]:
                return self._item(self.table["items"][value[self.table["mark"]]])
            return {key: self._open(item) for key, item in value.items()}
        return [self._open(item) for item in value] if isinstance(value, list) else value

    def _item(self, item):
        data = self.data[item["offset"] : item["offset"] + item["length"]]
        return data if item["kind"] == "bytes" else (item["dtype"], tuple(item["shape"]), data)

    def __repr__(self):
        return f"{self.name} {self.id} {self.raw!r}"


def with_attachments(kind, id, body, table, data, flags=0):
    """A frame that carries attachments, for `Worker.send(..., parts=)`."""
    body, table = _dump(body), _dump(table)
    return struct.pack("<HBBIQIIQ", wire.MAGIC, kind, flags, len(body), id, len(table), 0, len(data)) + body + table + data


def _dump(body):
    return b"" if body is None else json.dumps(body).encode()
