"""Headers and frames, by the golden frames that the Rust implementation is held to as well."""

import json
import os
import unittest

from hatchery import wire
from hatchery.attachments import MARK, Outgoing
from hatchery.channel import Gone, Reader, Writer
from hatchery.received import parse_table

from .host import ROOT

with open(os.path.join(ROOT, "..", "tests", "golden", "frames.json"), encoding="utf-8") as file:
    GOLDEN = json.load(file)

INCOMING = {"HELLO", "SHUTDOWN", "PING", "CALL", "CANCEL", "CREDIT", "HOST_RESULT", "HOST_ERROR", "TELEMETRY", "RECALL"}


def build(golden):
    kind, id = getattr(wire, golden["kind"]), golden["id"]
    body, table = golden["body"].encode(), golden["table"].encode()
    data = bytes.fromhex(golden["data_hex"])
    if table:
        return wire.head(kind, id, body, table, len(data)) + data
    return wire.frame(kind, id, body, golden["flags"], golden["extra"])


def reader_of(data, channel):
    """A reader whose whole input is `data`."""
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    return Reader(ours, channel, agreed=frozenset(wire.CAPABILITIES))


def read_all(data, channel):
    reader = reader_of(data, channel)
    frames = []
    try:
        while True:
            frame = reader.next()
            if frame is None:
                return frames
            frames.append(frame)
    finally:
        os.close(reader.fd)


class GoldenFrames(unittest.TestCase):
    def test_every_frame_is_written_byte_for_byte(self):
        for golden in GOLDEN["valid"]:
            with self.subTest(golden["name"]):
                self.assertEqual(build(golden).hex(), golden["frame_hex"])

    def test_every_frame_for_a_worker_is_read_back(self):
        read = 0
        for golden in GOLDEN["valid"]:
            if golden["kind"] not in INCOMING:
                continue
            with self.subTest(golden["name"]):
                channel = wire.DATA if golden["kind"] == "CALL" else wire.CONTROL
                [frame] = read_all(bytes.fromhex(golden["frame_hex"]), channel)
                self.assertEqual(frame.kind, getattr(wire, golden["kind"]))
                self.assertEqual((frame.id, frame.flags, frame.extra), (golden["id"], golden["flags"], golden["extra"]))
                self.assertEqual(bytes(frame.body).decode(), golden["body"])
                self.assertEqual(bytes(frame.table or b"").decode(), golden["table"])
                self.assertEqual(bytes(frame.data).hex(), golden["data_hex"])
                read += 1
        self.assertGreater(read, 10)

    def test_tables_of_the_invalid_frames_are_refused(self):
        refused = 0
        for golden in GOLDEN["invalid"]:
            if golden["why"] != "table" or golden["name"] == "data without a table":
                continue
            data = bytes.fromhex(golden["frame_hex"])
            header = wire.parse_header(data)
            start = wire.HEADER_LENGTH + header.body
            table = json.loads(data[start : start + header.table])
            with self.subTest(golden["name"]), self.assertRaises(wire.Breach):
                parse_table(table, data[start + header.table :])
            refused += 1
        self.assertGreater(refused, 4)

    def test_headers_of_the_invalid_frames_are_refused_by_a_worker_too(self):
        # What is wrong only because it comes from a worker.
        right_for_us = ("a call from the worker", "release on control", "segment from the worker")
        for golden in GOLDEN["invalid"]:
            if golden["why"] in ("table", "attachments") or golden["name"] in right_for_us:
                continue
            with self.subTest(golden["name"]), self.assertRaises(wire.Breach):
                read_all(bytes.fromhex(golden["frame_hex"]), golden["channel"])


class Breaches(unittest.TestCase):
    def refused(self, data, channel, why):
        with self.assertRaisesRegex(wire.Breach, f"^{why}: "):
            read_all(data, channel)

    def test_each_field_has_its_reason(self):
        call, pack = b'{"tool":"t","args":{}}', wire.HEADER.pack
        self.refused(b"HT" + bytes(30), wire.DATA, "magic")
        self.refused(wire.frame(99), wire.DATA, "kind")
        self.refused(wire.frame(wire.RESULT, 1, b"1"), wire.DATA, "direction")
        self.refused(wire.frame(wire.CALL, 1, call), wire.CONTROL, "channel")
        self.refused(wire.frame(wire.PING, 1), wire.DATA, "channel")
        self.refused(wire.frame(wire.CALL, 1, call, flags=2), wire.DATA, "reserved")
        self.refused(wire.frame(wire.PING, 1, extra=1), wire.CONTROL, "reserved")
        self.refused(wire.frame(wire.SHUTDOWN, 1, b"{}"), wire.CONTROL, "reserved")
        self.refused(wire.frame(wire.CALL, 1), wire.DATA, "body")
        self.refused(wire.frame(wire.PING, 1, b"{}"), wire.CONTROL, "body")
        self.refused(pack(wire.MAGIC, wire.CALL, 0, 2, 1, 0, 0, 5) + b"{}12345", wire.DATA, "table")
        self.refused(pack(wire.MAGIC, wire.TELEMETRY, 0, 2, 0, 2, 0, 0) + b"{}{}", wire.CONTROL, "attachments")
        self.refused(pack(wire.MAGIC, wire.CALL, 0, 1 << 31, 1, 0, 0, 0), wire.DATA, "limit")

    def test_a_capability_that_was_not_agreed(self):
        header = wire.parse_header(wire.frame(wire.CANCEL, 1))
        with self.assertRaisesRegex(wire.Breach, "cancel"):
            wire.check_header(header, wire.CONTROL, wire.Limits(), frozenset())


class Reading(unittest.TestCase):
    CALL = wire.frame(wire.CALL, 7, b'{"tool":"t","args":{}}')

    def test_many_frames_of_one_read_come_one_by_one(self):
        frames = read_all(self.CALL * 300, wire.DATA)
        self.assertEqual([frame.id for frame in frames], [7] * 300)

    def test_an_end_within_a_frame_is_noticed_at_every_byte(self):
        golden = next(g for g in GOLDEN["valid"] if g["name"] == "call with an array")
        for whole in (self.CALL, bytes.fromhex(golden["frame_hex"])):
            for length in range(1, len(whole)):
                with self.subTest(length=length), self.assertRaises(Gone):
                    read_all(whole[:length], wire.DATA)

    def test_a_frame_that_comes_byte_by_byte_is_put_together(self):
        golden = next(g for g in GOLDEN["valid"] if g["name"] == "call with an array")
        whole = bytes.fromhex(golden["frame_hex"]) + self.CALL
        for cut in range(len(whole)):
            ours, theirs = os.pipe()
            reader = Reader(ours, wire.DATA, agreed=frozenset(wire.CAPABILITIES))
            reader._buffer = whole[:cut]  # What an earlier read brought.
            os.write(theirs, whole[cut:])
            os.close(theirs)
            self.assertEqual([reader.next().id, reader.next().id, reader.next()], [4, 7, None])
            os.close(ours)

    def test_stop_ends_the_input_after_what_was_sent(self):
        ours, theirs = os.pipe()
        reader = Reader(ours, wire.DATA)
        os.write(theirs, self.CALL * 2)
        self.assertEqual(reader.next().id, 7)
        reader.stop()
        os.write(theirs, self.CALL)
        self.assertEqual([frame and frame.id for frame in (reader.next(), reader.next(), reader.next())], [7, 7, None])
        for fd in (ours, theirs, reader._kept):
            os.close(fd)


class Writing(unittest.TestCase):
    def test_parts_leave_whole_through_a_full_pipe(self):
        import threading

        ours, theirs = os.pipe()
        parts = [b"a" * 10, b"b" * 3_000_000, bytes(7), *[b"%d" % n for n in range(1000)]]
        writer = Writer(theirs)
        thread = threading.Thread(target=lambda: (writer.send_parts(parts), os.close(theirs)))
        thread.start()
        with open(ours, "rb") as file:
            self.assertEqual(file.read(), b"".join(parts))
        thread.join()

    def test_a_frame_sent_in_the_midst_of_another_comes_after_it(self):
        import signal
        import threading

        ours, theirs = os.pipe()
        writer, interrupted, seen = Writer(theirs), threading.Event(), []

        def interrupt(*_):
            if writer._busy and not interrupted.is_set():
                writer.send(b"second")
                interrupted.set()

        def drain():
            interrupted.wait()
            with open(ours, "rb") as file:
                seen.append(file.read())

        thread = threading.Thread(target=drain)
        thread.start()
        previous = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            writer.send(b"1" * 1_000_000)  # More than a pipe holds: it blocks until the handler has run.
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        os.close(theirs)
        thread.join()
        self.assertEqual(seen, [b"1" * 1_000_000 + b"second"])

    def test_an_answered_call_says_nothing_more(self):
        class Call:
            ended = True

        writer = Writer(-1)
        self.assertFalse(writer.send(b"late", Call))


class Attachments(unittest.TestCase):
    def test_items_stand_at_multiples_of_64(self):
        outgoing = Outgoing()
        marks = [outgoing.add_bytes(value) for value in (b"abc", b"", bytearray(65), memoryview(b"x"))]
        self.assertEqual(marks, [{MARK: n} for n in range(4)])
        received = parse_table(json.loads(outgoing.table()), b"".join(outgoing.parts))
        self.assertEqual((received.mark, [item.as_bytes() for item in received.items]), (MARK, [b"abc", b"", bytes(65), b"x"]))
        self.assertEqual([entry["offset"] for entry in outgoing.items], [0, 64, 64, 192])

    def test_a_view_that_is_not_contiguous_is_sent_in_its_order(self):
        outgoing = Outgoing()
        outgoing.add_bytes(memoryview(b"abcdef")[::2])
        self.assertEqual(b"".join(outgoing.parts), b"ace")


if __name__ == "__main__":
    unittest.main()
