"""NumPy arrays in shared memory: views that hold their place, arrays that may be written to, results made in place."""

import unittest

from hatchery import wire

from .host import with_attachments
from .sharing import NOTHING, HoldingTest

try:
    import numpy
except ImportError:
    numpy = None

ARRAYS = NOTHING + """
import gc, os, pickle, sys, threading
from typing import Annotated, Any, Optional
import numpy as np
import hatchery
KEPT = []
@tool
def about(a): return [type(a).__name__, str(a.dtype), list(a.shape), a.flags.writeable, float(a.sum())]
@tool
def views(a, how: str):
    KEPT.append({"whole": lambda: a, "slice": lambda: a[1:], "views of views": lambda: a[1:][:, 1:].T[0], "reshaped": lambda: a.reshape(-1)[3:],
                 "other type": lambda: a.view("u1")[..., 4:], "a thread's": lambda: a, "copied": lambda: a.copy(), "pickled": lambda: pickle.loads(pickle.dumps(a)),
                 "a buffer": lambda: memoryview(a)[1:], "iterated": lambda: next(iter(a)), "broadcast": lambda: np.broadcast_to(a, (2, *a.shape)), "sum": lambda: a.sum(0)}[how]())
@tool
def forgets(): KEPT.clear(); gc.collect()
@tool
def writes(a): a[0, 0] = 5
@tool
def doubles(a: Annotated[np.ndarray, hatchery.Writable]):
    a *= 2
    return [a.flags.writeable, float(a.sum())]
@tool
def doubled(a: Annotated[np.ndarray, hatchery.Writable]):
    a *= 2
    return a
@tool
def untouched(a: Annotated[np.ndarray, hatchery.Writable]): KEPT.append(a)
@tool
def doubles_all(d: Annotated[dict, hatchery.Writable]):
    for a in d.values(): a *= 2
    return {name: float(a.sum()) for name, a in d.items()}
@tool
def made(n: int, how: str):
    a = hatchery.empty((n, 8), "<f4")
    a[:] = 3
    KEPT.append(a)
    return {"whole": a, "part": a[8:], "turned": a.T, "every other": a[::2], "copy": a.copy()}[how]
@tool
def buffer(n: int):
    b = hatchery.buffer(n)
    b[:] = b"z" * n
    return b
@tool
def named(n: int): return {"weight": np.ones((n, 4), "<f4"), "bias": np.zeros(n, "<f8"), "step": 3}
@tool
def transposed(a): return a.T
@tool
def echo(a): return a
@tool
def chunks(n: int, each: int):
    for i in range(n): yield np.full(each, i, "<f8")
"""


@unittest.skipIf(numpy is None, "NumPy is not installed")
class Arrays(HoldingTest):
    SOURCE = ARRAYS

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.array = numpy.arange(64 * 100, dtype="<f4").reshape(64, 100)

    def item(self, offset=0):
        return self.worker.put_array(self.array, offset)

    def test_an_array_is_a_read_only_view(self):
        expected = ["ndarray", "float32", [64, 100], False, float(self.array.sum())]
        self.assertEqual(self.worker.value("about", {"a": self.item()}), expected)
        self.assertEqual(self.worker.releases(), [(1, 0)])
        error = self.worker.ask("writes", {"a": self.item()}).body
        self.assertIn("read-only", error["message"])

    def test_all_types_travel(self):
        for dtype in ("|b1", "|i1", "|u1", "<i2", ">u2", "<i4", "<u8", "<f2", "<f4", ">f8", "<c8", "<c16"):
            array = numpy.arange(4096).astype(dtype)
            with self.subTest(dtype):
                self.assertEqual(self.worker.value("about", {"a": self.worker.put_array(array, 0)})[1:3], [str(array.dtype), [4096]])
                [item] = self.worker.ask("echo", {"a": self.worker.put_array(array, 64)}).table["items"]
                self.assertEqual((item["segment"], item["offset"], item["dtype"]), (1, 64, dtype))

    def test_views_of_all_kinds_hold_the_place(self):
        holding = {"whole", "slice", "views of views", "reshaped", "other type", "a thread's", "a buffer", "iterated", "broadcast"}
        for how in (*sorted(holding), "copied", "pickled", "sum"):
            with self.subTest(how):
                self.worker.value("views", {"a": self.item()}, how=how)
                self.assertEqual(self.worker.releases(), [] if how in holding else [(1, 0)])
                self.worker.value("forgets")
                self.assertEqual(self.worker.releases(), [(1, 0)] if how in holding else [])

    def test_a_writable_argument_is_the_tools_own(self):
        self.assertEqual(self.worker.value("doubles", {"a": self.item(64)}), [True, 2 * float(self.array.sum())])
        self.assertEqual(self.worker.releases(), [(1, 64)])
        self.assertEqual(self.worker.segments[1].memory[64 : 64 + self.array.nbytes], self.array.tobytes())
        # Again, from the same place: nothing is left of what was written.
        self.assertEqual(self.worker.value("doubles", {"a": self.item(64)}), [True, 2 * float(self.array.sum())])

    def test_a_writable_argument_is_held_as_long_as_it_lives(self):
        self.worker.value("untouched", {"a": self.item(64)})
        self.assertEqual(self.worker.releases(), [])
        self.worker.value("forgets")
        self.assertEqual(self.worker.releases(), [(1, 64)])

    def test_what_was_written_is_sent_as_a_new_value(self):
        frame = self.worker.ask("doubled", {"a": self.item()})
        self.assertEqual(frame.table["items"][0]["segment"], 2)
        self.assertEqual(self.worker.value_of(frame)[2], (self.array * 2).tobytes())
        self.worker.let_go(frame)

    def test_small_arrays_are_read_only_and_writable_by_the_same_rules(self):
        small = numpy.ones((2, 2))
        item = {"kind": "array", "dtype": "<f8", "shape": [2, 2], "offset": 0, "length": 32}
        for tool, name, expected in (("doubles", "RESULT", [True, 8.0]), ("writes", "ERROR", None)):
            id, self.worker.next_id = self.worker.next_id, self.worker.next_id + 1
            body, table = {"tool": tool, "args": {"a": {"$m": 0}}}, {"mark": "$m", "items": [item]}
            self.worker.send(0, 0, parts=with_attachments(wire.CALL, id, body, table, small.tobytes()))
            frame = self.worker.read()
            self.assertEqual((frame.name, frame.body if expected else None), (name, expected))

    def test_all_within_a_writable_argument_is_writable(self):
        id, self.worker.next_id = self.worker.next_id, self.worker.next_id + 1
        body = {"tool": "doubles_all", "args": {"d": {"x": {"$m": 0}, "y": {"$m": 1}}}}
        table = {"mark": "$m", "items": [self.item(0), self.item(1 << 16)]}
        self.worker.send(0, 0, parts=with_attachments(wire.CALL, id, body, table, b""))
        total = 2 * float(self.array.sum())
        self.assertEqual(self.worker.read().body, {"x": total, "y": total})

    def test_a_result_made_in_place_is_not_copied(self):
        for how, same, shape in (("whole", True, (1024, 8)), ("part", True, (1016, 8)), ("turned", False, (8, 1024)), ("every other", False, (512, 8)), ("copy", False, (1024, 8))):
            with self.subTest(how):
                frame = self.worker.ask("made", n=1024, how=how)
                [item] = frame.table["items"]
                self.assertEqual(self.worker.value_of(frame), ("<f4", shape, numpy.full(shape, 3, "<f4").tobytes()))
                # The tool has kept it, and changes it: the host sees that where nothing was copied.
                self.assertEqual((item["segment"], item["offset"] % 4096), (2, 256 if how == "part" else 0))
                self.worker.let_go(frame)

    def test_a_kept_result_keeps_its_place_after_the_hosts_release(self):
        first = self.worker.ask("made", n=1024, how="whole")
        self.worker.let_go(first)
        self.worker.settle()
        second = self.worker.ask("made", n=1024, how="whole")
        self.assertNotEqual(first.table["items"][0]["offset"], second.table["items"][0]["offset"])
        self.worker.let_go(second)

    def test_a_buffer(self):
        frame = self.worker.ask("buffer", n=10_000)
        self.assertEqual((self.worker.value_of(frame), frame.data), (b"z" * 10_000, b""))
        self.worker.let_go(frame)
        self.assertEqual(self.worker.value("buffer", n=10), b"z" * 10)

    def test_named_arrays(self):
        frame = self.worker.ask("named", n=4096)
        self.assertEqual([item.get("segment") for item in frame.table["items"]], [2, 2])
        value = self.worker.value_of(frame)
        self.assertEqual((value["weight"][1], value["bias"][2], value["step"]), ((4096, 4), bytes(8 * 4096), 3))
        self.worker.let_go(frame)

    def test_what_is_not_in_order_is_copied_once_and_right(self):
        self.assertEqual(self.worker.value("transposed", {"a": self.item()}), ("<f4", (100, 64), self.array.T.tobytes()))

    def test_chunks(self):
        id = self.worker.start("chunks", stream=True, n=3, each=1024)
        frames = [self.worker.read() for _ in range(4)]
        self.assertEqual({frame.id for frame in frames}, {id})
        values = [self.worker.value_of(frame) for frame in frames[:3]]
        self.assertEqual(values, [("<f8", (1024,), numpy.full(1024, i, "<f8").tobytes()) for i in range(3)])
        for frame in frames:
            self.worker.let_go(frame)


if __name__ == "__main__":
    unittest.main()
