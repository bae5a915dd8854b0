"""Facts in the messages of numeric libraries, and the text of errors."""

import unittest

from hatchery.facts import facts
from hatchery.report import report

GIB = 1 << 30


class Facts(unittest.TestCase):
    def test_memory(self):
        old = "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 1; 7.79 GiB total capacity; 6.00 GiB already allocated; 512.00 MiB free)"
        new = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB of which 512.00 MiB is free."
        for text, device in ((old, "cuda:1"), (new, "cuda:0")):
            self.assertEqual(facts(text), {"category": "out_of_memory", "device": device, "requested_bytes": 2 * GIB,
                                           "available_bytes": GIB // 2})  # fmt: skip
        text = "Unable to allocate 8.00 GiB for an array with shape (1073741824,) and data type float64"
        self.assertEqual(facts(text), {"category": "out_of_memory", "device": "cpu", "requested_bytes": 8 * GIB})

    def test_shapes(self):
        for text, expected, got in (
            ("shape mismatch: expected [2, 3], got [2, 4]", [2, 3], [2, 4]),
            ("shapes (2,3) and (4,5) not aligned: 3 (dim 1) != 4 (dim 0)", [2, 3], [4, 5]),
            ("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", [2, 3], [4, 5]),
        ):
            found = facts(text)
            self.assertEqual((found["category"], found["expected"], found["got"]), ("shape_mismatch", expected, got), text)
        text = "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1"
        self.assertEqual(facts(text), {"category": "shape_mismatch", "expected_dim": 3, "got_dim": 4, "dimension": 1})

    def test_devices(self):
        text = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
        self.assertEqual(facts(text), {"category": "device_mismatch", "device": "cuda:0", "other_device": "cpu"})

    def test_ordinary_messages_have_none(self):
        for text in ("", "list index out of range", "the shape of things", "room for one", "expected str", "device is busy"):
            self.assertEqual(facts(text), {}, text)


class Reports(unittest.TestCase):
    def test_a_group_of_exceptions_and_long_causes(self):
        error = ValueError("outer")
        error.__cause__ = KeyError("x" * 100_000)
        body = report(error, "c")
        self.assertLessEqual(len(body["traceback"].encode()), 65536)
        self.assertTrue(body["traceback"].endswith("ValueError: outer\n"))
        self.assertEqual((body["kind"], body["correlation_id"]), ("remote", "c"))


if __name__ == "__main__":
    unittest.main()
