"""NumPy arrays, met where they are."""

import sys
import unittest
from types import SimpleNamespace

from hatchery import wire

from .host import Worker, with_attachments

try:
    import numpy
except ImportError:
    numpy = None

APP = """
from typing import Any
import numpy as np
from numpy.typing import NDArray
from hatchery import tool
@tool
def shape(a): return [type(a).__name__, list(a.shape), str(a.dtype), float(a.sum()), a.flags.writeable, a.flags.owndata]
@tool
def typed(a: NDArray[np.float32]): return [str(a.dtype), a.tolist()]
@tool
def untyped(a: np.ndarray): return a.tolist()
@tool
def bare(a: np.ndarray): return a.dtype.str
@tool
def of_any(a: NDArray[Any]): return a.dtype.str
@tool
def of_number(a: NDArray[np.number]): return a.dtype.str
@tool
def given(kind: str):
    a = np.arange(6, dtype="<f4").reshape(2, 3)
    return {"c": a, "t": a.T, "bool": np.array([True]), "zero": np.float64(1.5) * a[0, 1], "0d": np.array(7), "empty": np.zeros((0, 3)),
            "text": np.array(["a"]), "objects": np.array([{1: 2}, None], dtype=object), "scalars": [np.int64(5), np.bool_(True), np.float32("nan")],
            "keys": {np.int64(3): 1}, "long": np.longdouble(2.5), "masked": np.ma.array([1, 2], mask=[0, 1]), "big": np.arange(3, dtype=">i2"),
            "matrix": np.matrix([[1, 2], [3, 4]], dtype="<i2"), "strided": np.arange(6, dtype="|u1")[::-2], "half": np.float16(1.5),
            "record": np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]), "day": np.array(["2020-01-01"], "M8[D]")}[kind]
@tool
def chunks(n: int):
    for i in range(n): yield np.full(3, i, dtype="|u1")
@tool
def large(n: int): return np.ones(n, dtype="<f4")
"""


@unittest.skipIf(numpy is None, "NumPy is not installed")
class Arrays(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.worker = Worker(APP)
        cls.worker.ready()

    @classmethod
    def tearDownClass(cls):
        cls.worker.__exit__()

    def send(self, tool, array, worker=None):
        worker = worker or self.worker
        id, worker.next_id = worker.next_id, worker.next_id + 1
        item = {"kind": "array", "dtype": array.dtype.str, "shape": array.shape, "offset": 0, "length": array.nbytes}
        frame = with_attachments(wire.CALL, id, {"tool": tool, "args": {"a": {"$m": 0}}}, {"mark": "$m", "items": [item]}, array.tobytes())
        import threading

        writing = threading.Thread(target=write_all, args=(worker.calls, frame))
        writing.start()
        reply = worker.read()
        writing.join()
        return reply

    def test_arguments_are_read_only_views_of_the_received_buffer(self):
        for array in (numpy.arange(6, dtype="<f4").reshape(2, 3), numpy.zeros((0, 3)), numpy.array(5), numpy.ones(500_000)):
            reply = self.send("shape", array).body
            self.assertEqual(reply, ["ndarray", list(array.shape), str(array.dtype), float(array.sum()), False, False])

    def test_annotations(self):
        self.assertEqual(self.worker.call("typed", a=[1, 2.5]), ["float32", [1.0, 2.5]])
        self.assertEqual(self.worker.call("untyped", a=[[1, 2], [3, 4]]), [[1, 2], [3, 4]])
        self.assertEqual(self.send("typed", numpy.array([1.0, 2.0])).body, ["float32", [1.0, 2.0]])
        for tool, value, message in (("untyped", "a", "must be array"), ("typed", [[1], [2, 3]], "cannot be an array"), ("typed", 5, "must be array")):
            self.assertIn(message, self.worker.error(tool, a=value)["message"])

    def test_an_annotation_without_a_type_leaves_the_type_alone(self):
        for dtype in ("<f8", ">i2", "|b1"):
            for tool in ("bare", "of_any", "of_number"):
                with self.subTest(dtype=dtype, tool=tool):
                    self.assertEqual(self.send(tool, numpy.ones(2, dtype=dtype)).body, dtype)

    def test_texts_and_times_come_too(self):
        for array in (numpy.array(["a", "bc"]), numpy.array([b"a"]), numpy.array(["2026-11-21"], dtype="<M8[D]")):
            with self.subTest(array.dtype.str):
                self.assertEqual(self.send("bare", array).body, array.dtype.str)

    def test_an_array_that_numpy_does_not_know_is_refused_and_the_worker_lives_on(self):
        odd = SimpleNamespace(dtype=SimpleNamespace(str="<f3"), shape=(1,), nbytes=3, tobytes=lambda: b"abc")
        error = self.send("bare", odd).body
        self.assertEqual(error["kind"], "validation")
        self.assertIn("NumPy has no array of 1 dimensions of <f3", error["message"])
        self.assertEqual(self.send("bare", numpy.ones(1)).body, "<f8")

    def test_results(self):
        array = numpy.arange(6, dtype="<f4").reshape(2, 3)
        for kind, expected in {
            "c": ("<f4", (2, 3), array.tobytes()), "t": ("<f4", (3, 2), array.T.tobytes()), "bool": ("|b1", (1,), b"\1"), "zero": 1.5,
            "0d": ("<i8", (), numpy.int64(7).tobytes()), "empty": ("<f8", (0, 3), b""), "text": ["a"], "objects": [{"1": 2}, None],
            "scalars": [5, True, None], "keys": {"3": 1}, "long": 2.5, "masked": [1, None], "big": (">i2", (3,), b"\0\0\0\1\0\2"),
            "matrix": ("<i2", (2, 2), b"\1\0\2\0\3\0\4\0"), "strided": ("|u1", (3,), b"\5\3\1"), "half": 1.5,
            "record": [[1, 2.0]], "day": ["2020-01-01"],
        }.items():  # fmt: skip
            with self.subTest(kind):
                self.assertEqual(self.worker.call("given", kind=kind), expected)

    def test_chunks(self):
        frames = self.worker.stream("chunks", n=2)
        self.assertEqual([frame.value for frame in frames], [("|u1", (3,), b"\0\0\0"), ("|u1", (3,), b"\1\1\1"), None])

    def test_a_large_result(self):
        self.assertEqual(len(self.worker.call("large", n=2_000_000)[2]), 8_000_000)

    def test_numpy_is_imported_for_an_array_that_comes_and_only_then(self):
        source = "import sys\nfrom hatchery import tool\n@tool\ndef f(a=None): return ['numpy' in sys.modules, type(a).__name__]"
        with Worker(source) as worker:
            worker.ready()
            self.assertEqual(worker.call("f", a=[1]), [False, "list"])
            self.assertEqual(self.send("f", numpy.ones(2), worker).body, [True, "ndarray"])


class WithoutNumpy(unittest.TestCase):
    def test_an_array_is_a_memoryview_of_its_shape(self):
        source = "import sys\nsys.modules['numpy'] = None\nfrom hatchery import tool\n@tool\ndef f(a): return [type(a).__name__, a.tolist()]"
        with Worker(source) as worker:
            worker.ready()
            data = b"".join(n.to_bytes(4, sys.byteorder) for n in range(6))
            item = {"kind": "array", "dtype": "<i4", "shape": [2, 3], "offset": 0, "length": 24}
            frame = with_attachments(wire.CALL, 1, {"tool": "f", "args": {"a": {"$m": 0}}}, {"mark": "$m", "items": [item]}, data)
            worker.send(0, 0, parts=frame)
            self.assertEqual(worker.read().body, ["memoryview", [[0, 1, 2], [3, 4, 5]]])


def write_all(fd, data):
    import os

    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


if __name__ == "__main__":
    unittest.main()
