"""Random and broken frames, by seed: a worker answers each, or says what was wrong and exits with status 70. It never hangs,
never dies of a signal, never answers what is not a frame.

HATCHERY_FUZZ_ROUNDS makes it go on for longer.
"""

import json
import os
import random
import select
import time
import unittest

from hatchery import wire
from hatchery.channel import Gone, Reader
from hatchery.jsonlib import choose
from hatchery.received import parse_table
from hatchery.values import Codec
from hatchery.wire import Breach

from .host import with_attachments
from .sharing import MEBIBYTE, NOTHING, SharingWorker
from .test_wire import GOLDEN

ROUNDS = int(os.environ.get("HATCHERY_FUZZ_ROUNDS", "1"))
PATIENCE = 20  # Only ever waited out by a test that fails.

APP = "import hatchery.segments\nhatchery.segments.PATIENCE = 0.02\n" + NOTHING + """
@tool
def echo(a=None, b=None): return [a, b]
@tool
def view(a: memoryview = b""): return a
@tool
def count(n: int = 3):
    for i in range(n): yield bytes(5000)
"""

ODD = (None, True, 0, -1, 1, 7, 63, 64, 65, 4096, 2**31, 2**32, 2**53, 2**63, 2**64, 10**30, 1.5, "", "x", "1", [], [1], {}, {"a": 1},
       "<f4", "|u1", ">f8", "<M8[ns]", "|O8", "<f3", "$m", "bytes", "array", "arrow", "cuda")  # fmt: skip


def table(chance):
    """A table that is right, and how much data it wants."""
    items, end = [], 0
    for _ in range(chance.randrange(4)):
        kind, length = chance.choice(("bytes", "array", "arrow", "cuda")), chance.choice((0, 1, 4, 64, 4096))
        made = {"kind": kind, "offset": -(-end // 64) * 64, "length": length}
        if kind == "cuda":
            made.update(device="cuda:0", ipc="e30=", length=0, dtype="|u1", shape=[length])
        elif chance.random() < 0.6:
            made.update(segment=1, offset=64 * chance.randrange(100))
        else:
            end = made["offset"] + length
        if kind == "array":
            made.update(dtype="|u1", shape=[length])
        items.append(made)
    return {"mark": "$m", "items": items}, end


def spoilt(chance, value):
    """The same with one thing replaced, somewhere."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(sorted(value))
        if chance.random() < 0.15:
            return {name: part for name, part in value.items() if name != key}
        return {**value, key: spoilt(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return [*value[:at], spoilt(chance, value[at]), *value[at + 1 :]]
    return chance.choice(ODD)


def bent(chance, frame):
    """A frame with some bytes of it changed, left out or doubled."""
    made = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(made)) if made else 0
        how = chance.randrange(4)
        if how == 0 and made:
            made[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            del made[at : at + chance.randint(1, 8)]
        elif how == 2:
            made[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
        elif made:
            made[at] = chance.choice((0, 1, 127, 128, 255))
    return bytes(made)


def call(chance, id, badness):
    made, end = table(chance)
    tool = chance.choice(("echo", "echo", "view", "count", "nothing"))
    marks = range(len(made["items"]))
    body = {"tool": tool, "args": {name: {"$m": chance.choice(marks)} for name in ("a", "b") if marks and chance.random() < 0.6}}
    if chance.random() < badness:
        made = spoilt(chance, made)
    if chance.random() < badness:
        body = spoilt(chance, body)
    frame = bytearray(with_attachments(wire.CALL, id, body, made, bytes(end), flags=int(tool == "count")))
    frame[20:24] = (1 << 30 if tool == "count" else 0).to_bytes(4, "little")
    return bent(chance, frame) if chance.random() < badness else frame


def on_control(chance, badness):
    """What may come at any time; or, at times, what may not."""
    number = chance.choice((0, 1, 2, 3, 64, 2**32, 2**63))
    if chance.random() < badness:
        kind = chance.choice((wire.RELEASE, wire.SEGMENT, wire.TELEMETRY, wire.CALL, wire.HELLO, 99))
        body = spoilt(chance, {"size": 4096, "access": "read", "keep": 0, "threshold": 0, "sampling": 0.5})
        body = b"" if kind == wire.RELEASE else json.dumps(body).encode()
        return wire.frame(kind, number, body, extra=number % 2**32 if kind == wire.RELEASE else 0)
    kind = chance.choice((wire.CANCEL, wire.CREDIT, wire.PING, wire.HOST_RESULT, wire.TELEMETRY))
    if kind == wire.HOST_RESULT:
        made, end = table(chance)
        return with_attachments(kind, number, {"$m": 0}, made, bytes(end))
    if kind == wire.TELEMETRY:
        return wire.frame(kind, 0, json.dumps({"sampling": chance.random(), "allow": ["*"]}).encode())
    return wire.frame(kind, number, extra=64 if kind == wire.CREDIT else 0)


class Parsing(unittest.TestCase):
    """Within this process: fast, so many of them."""

    class Segment:
        size = MEBIBYTE

        def receive(self, offset, length):
            assert 0 <= offset <= offset + length <= self.size, (offset, length)
            return memoryview(bytes(length))

        def private(self, offset, length, kept):
            return memoryview(bytearray(kept))

    def find(self, number):
        if type(number) is not int or number not in (0, 1):
            raise Breach("no such segment")
        return Numbered() if number == 0 else self.Segment()

    def test_a_table_is_opened_or_refused(self):
        codec, opened, refused = Codec(choose()), 0, 0
        for seed in range(4000 * ROUNDS):
            chance = random.Random(seed)
            made, end = table(chance)
            made = spoilt(chance, made) if chance.random() < 0.6 else made
            try:
                received = parse_table(made, bytes(end), self.find)
                opened += 1
            except Breach:
                refused += 1
                continue
            for entry in received.items:
                self.assertEqual(len(entry.view), made["items"][received.items.index(entry)]["length"])
            value = {"a": {"$m": 0}}
            try:
                if not any(entry.kind in ("cuda", "arrow") for entry in received.items):
                    codec.attach(value, received)
            except Breach:
                self.assertEqual((received.mark == "$m", made["items"]), (True, []))
        self.assertGreater(min(opened, refused), 500)

    def test_a_reader_reads_or_refuses_what_is_bent(self):
        frames = [bytes.fromhex(golden["frame_hex"]) for golden in GOLDEN["valid"] + GOLDEN["invalid"]]
        read = refused = 0
        for seed in range(3000 * ROUNDS):
            chance = random.Random(seed)
            channel = chance.choice((wire.DATA, wire.CONTROL))
            ours, theirs = os.pipe()
            reader = Reader(ours, channel)
            reader.agree(wire.Limits(1 << 16, 1 << 12, 1 << 16), frozenset(wire.CAPABILITIES), Codec(choose()).opener(self.find))
            os.write(theirs, b"".join(bent(chance, chance.choice(frames)) if chance.random() < 0.5 else chance.choice(frames) for _ in range(3)))
            os.close(theirs)
            try:
                while reader.next() is not None:
                    read += 1
            except (Breach, Gone):
                refused += 1
            finally:
                os.close(ours)
        self.assertGreater(min(read, refused), 200)


class Numbered:
    size = 0

    def receive(self, number, length):
        return object()


class Living(unittest.TestCase):
    """Workers that hear nonsense."""

    def test_each_ends_in_order(self):
        statuses = []
        for seed in range(16 * ROUNDS):
            with self.subTest(seed=seed):
                statuses.append(self.live(random.Random(seed), badness=(0, 0.01, 0.03, 0.2)[seed % 4]))
        self.assertEqual(statuses[::4], [0] * len(statuses[::4]), "without any fault a worker lives on")
        self.assertIn(70, statuses)

    def live(self, chance, badness):
        with SharingWorker(APP, size=MEBIBYTE, threshold=64) as worker:
            for step in range(chance.randint(20, 60)):
                try:
                    self.write(worker, call(chance, step + 1, badness))
                    if chance.random() < 0.3:
                        worker.control.sendall(on_control(chance, badness))
                except OSError:
                    break  # It has gone already.
                self.drain(worker)
            worker.close_calls()
            status = self.ended(worker)
            self.assertIn(status, (0, 70), worker.err())
            self.assertEqual("protocol breach" in worker.err(), status == 70, worker.err())
            self.assertNotIn("Traceback", worker.err())
            return status

    def grant(self, worker):
        try:
            for id in range(1, 61):
                worker.send_control(wire.CREDIT, id, extra=1 << 30)
        except OSError:
            pass  # It has gone.

    def write(self, worker, frame):
        """Writes as much as the worker takes, and reads meanwhile what it says."""
        rest, end = memoryview(frame), time.monotonic() + PATIENCE
        while rest:
            self.assertLess(time.monotonic(), end, "it takes no more, and lives: " + worker.err())
            if time.monotonic() > end - PATIENCE + 1:
                self.grant(worker)
            if select.select([], [worker.calls], [], 0.02)[1]:
                rest = rest[os.write(worker.calls, rest[:4096]) :]
            self.drain(worker)

    def drain(self, worker):
        """Reads what has come; all of it are frames, and none too large."""
        while select.select([worker.replies], [], [], 0)[0]:
            frame = worker._read(worker.replies)
            if frame.name == "EOF":
                return False
            self.assertIn(frame.name, ("RESULT", "ERROR", "CHUNK", "END", "RELEASE", "LOG", "EVENT"))
        return True

    def ended(self, worker):
        """Its status, when all that it says has been read. A stream whose credit was bent gets some."""
        began = time.monotonic()
        while worker.process.poll() is None:
            self.assertLess(time.monotonic(), began + PATIENCE, "it hangs: " + worker.err())
            if time.monotonic() > began + 1:
                self.grant(worker)
            select.select([worker.replies], [], [], 0.02)
            self.drain(worker)
        return worker.process.returncode


if __name__ == "__main__":
    unittest.main()
