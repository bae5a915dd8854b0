"""A host that shares memory: it makes the segments, puts values there, and keeps account of what is held."""

from __future__ import annotations

import array
import mmap
import os
import socket
import unittest

from hatchery import wire

from .host import Frame, Worker, _dump, with_attachments

MEBIBYTE = 1 << 20


class Segment:
    """Memory that a worker maps."""

    def __init__(self, number, size, access):
        self.number, self.size, self.access = number, size, access
        self.fd = os.memfd_create(f"segment-{number}", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, size)
        self.memory = mmap.mmap(self.fd, size)

    def close(self):
        self.memory.close()
        os.close(self.fd)

    def resident(self):
        """How many bytes of it are in memory."""
        return os.fstat(self.fd).st_blocks * 512


class SharingWorker(Worker):
    """A worker with a segment that the host writes (1) and one that the worker writes (2). RELEASE frames are kept apart."""

    READ, WRITE = 1, 2

    def __init__(self, source, size=64 * MEBIBYTE, keep=64 * MEBIBYTE, threshold=4096, introduce=True, **options):
        self.released = []
        self.logged = []
        self.segments = {}
        super().__init__(source, **options)
        self.greeting = self.ready()
        self.mark = {"segment": self.READ}
        if introduce:
            self.introduce(self.READ, size, "read", keep, threshold)
            self.introduce(self.WRITE, size, "write", keep, threshold)
            self.heard()

    def __exit__(self, *of_error):
        super().__exit__(*of_error)
        for segment in self.segments.values():
            segment.close()

    def introduce(self, number, size, access, keep=0, threshold=4096, stated=None):
        segment = self.segments[number] = Segment(number, size, access)
        body = {"size": size, "access": access, "keep": keep, "threshold": threshold, **(stated or {})}
        self.send_with_descriptor(wire.frame(wire.SEGMENT, number, _dump(body)), segment.fd)
        return segment

    def send_with_descriptor(self, frame, fd):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        sent = self.control.sendmsg([frame], ancillary)
        if sent < len(frame):
            self.control.sendall(frame[sent:])

    def settle(self):
        """Returns when the last call is over, its frame gone, and all that was said on control has been heard."""
        self.heard()
        self.call("hatchery_test_nothing")

    def heard(self):
        """Control is read in order: what was sent before a PING that is answered has been heard."""
        self.send_control(wire.PING, 1)
        frame = self.read_control()
        assert frame.name == "PONG", (frame, self.err())

    def put(self, content, offset, segment=READ, **about):
        """Writes a value and gives the table's item for it."""
        content = memoryview(content).cast("B") if memoryview(content).nbytes else b""
        self.segments[segment].memory[offset : offset + len(content)] = content
        return {"kind": "bytes", "segment": segment, "offset": offset, "length": len(content), **about}

    def put_array(self, values, offset, segment=READ):
        return self.put(values.tobytes(), offset, segment, kind="array", dtype=values.dtype.str, shape=list(values.shape))

    def start_with(self, tool, items, stream=False, credit=1 << 20, keys=None, **arguments):
        """Sends a CALL whose arguments named in `items` are items of the table."""
        id, self.next_id = self.next_id, self.next_id + 1
        marks = {name: {"$m": n} for n, name in enumerate(items)}
        body = {"tool": tool, "args": {**arguments, **marks}, **(keys or {})}
        table = {"mark": "$m", "items": list(items.values())}
        frame = bytearray(with_attachments(wire.CALL, id, body, table, b"", int(stream)))
        frame[20:24] = (credit if stream else 0).to_bytes(4, "little")
        os.write(self.calls, frame)
        return id

    def ask(self, tool, items=None, keys=None, **arguments):
        """The frame that answers a call."""
        id = self.start_with(tool, items or {}, keys=keys, **arguments) if items else self.start(tool, keys=keys, **arguments)
        frame = self.read()
        assert frame.id == id, frame
        return frame

    def value(self, tool, items=None, **arguments):
        """The value of a RESULT, which the host then holds no longer."""
        frame = self.ask(tool, items, **arguments)
        assert frame.name == "RESULT", (frame, self.err())
        value = self.value_of(frame)
        self.let_go(frame)
        return value

    def value_of(self, frame):
        return Shared(frame, self.segments).value if frame.table else frame.body

    def let_go(self, frame):
        """Says RELEASE for what came from the worker's segment."""
        for item in frame.table["items"] if frame.table else ():
            if item.get("segment") == self.WRITE:
                self.send_control(wire.RELEASE, item["offset"], extra=self.WRITE)

    def read(self):
        while True:
            frame = super().read()
            if frame.name == "RELEASE":
                self.released.append((frame.extra, frame.id))
            elif frame.name in ("EVENT", "LOG"):
                self.logged.append(frame.body)
            else:
                return frame

    def releases(self):
        """What has been released up to now, an answer of the worker's being the proof that it is all."""
        self.call("hatchery_test_nothing")
        self.released, released = [], self.released
        return sorted(released)

    def _read(self, fd):
        header = self._exactly(fd, wire.HEADER_LENGTH)
        if header is None:
            return Frame("EOF", 0, b"", None, b"")
        parsed = wire.parse_header(header)
        frame = Frame(wire.NAMES[parsed.kind], parsed.id, *(self._exactly(fd, n) for n in (parsed.body, parsed.table, parsed.data)))
        frame.extra, frame.lengths = parsed.extra, parsed.body + parsed.table + parsed.data
        return frame


class Shared(Frame):
    """A frame that is read again, with items in segments."""

    def __init__(self, frame, segments):
        self.body, self.table, self.data, self.segments = frame.body, frame.table, frame.data, segments

    def _item(self, item):
        source = self.segments[item["segment"]].memory if "segment" in item else self.data
        data = bytes(source[item["offset"] : item["offset"] + item["length"]])
        return (item["dtype"], tuple(item["shape"]), data) if item["kind"] == "array" else data


class SharingTest(unittest.TestCase):
    """One worker for all tests of a class."""

    SOURCE: str
    ENVIRONMENT: dict = {}

    @classmethod
    def setUpClass(cls):
        cls.worker = SharingWorker(cls.SOURCE, environment=cls.ENVIRONMENT)

    @classmethod
    def tearDownClass(cls):
        cls.worker.__exit__()


class HoldingTest(SharingTest):
    """Its worker forgets what a test had it keep, before the next one."""

    def tearDown(self):
        self.worker.value("forgets")
        self.worker.releases()


NOTHING = """
from hatchery import tool
@tool
def hatchery_test_nothing(): return None
"""
