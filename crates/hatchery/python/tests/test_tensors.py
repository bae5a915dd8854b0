"""Tensors that travel by DLPack and, on a device, as handles. Torch is the fake one beside this file, its device a folder."""

import base64
import json
import os
import tempfile
import unittest

from hatchery import wire

from .host import with_attachments
from .sharing import NOTHING, SharingTest, SharingWorker

try:
    import numpy
except ImportError:
    numpy = None

FAKES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fakes")
SOURCE = NOTHING + """
import gc
from typing import Annotated, Optional
import numpy as np
import torch
KEPT = []

class Lends:
    '''A tensor of a library that nobody has heard of.'''
    def __init__(self, array): self.array = array
    def __dlpack__(self): return self.array.__dlpack__()
    def __dlpack_device__(self): return self.array.__dlpack_device__()

class OnDevice(Lends):
    def __dlpack_device__(self): return (7, 1)

class Fetched(OnDevice):
    def get(self): return self.array

def wave(n): return np.arange(n, dtype='<f4').reshape(-1, 4)

@tool
def lent(n: int, how: str):
    a = wave(n)
    return {"plain": lambda: Lends(a), "turned": lambda: Lends(a.T), "reversed": lambda: Lends(a[::-1]), "every other": lambda: Lends(a[::2]),
            "far": lambda: OnDevice(a), "fetched": lambda: Fetched(a), "none": lambda: Lends(a[:0]), "number": lambda: Lends(np.array(5.0)),
            "bool": lambda: Lends(a > 1), "complex": lambda: Lends(a.astype('<c8'))}[how]()
@tool
def tensor(n: int, how: str):
    t = torch.tensor(wave(n))
    if how == "gradient": t.requires_grad = True
    if how == "conjugate": t.conjugated = True
    if how == "turned": t = torch.Tensor(t.array.T, t.dtype)
    if how == "arena":
        import hatchery
        t = torch.frombuffer(hatchery.buffer(4 * n), dtype=torch.float32).reshape(-1, 4)
        t.array[:] = wave(n)
    return t
@tool
def state(n: int): return {"weight": torch.tensor(wave(n)), "bias": torch.tensor([1.0, 2.0])}
@tool
def takes(t: torch.Tensor): return [type(t).__name__, str(t.dtype), list(t.shape), t.sum().item()]
@tool
def takes_perhaps(t: Optional[torch.Tensor] = None): return type(t).__name__
@tool
def doubles(t: torch.Tensor): t *= 2; return t.sum().item()
@tool
def keeps(t: torch.Tensor): KEPT.append(t)
@tool
def takes_all(d: dict[str, torch.Tensor]): return {name: type(t).__name__ for name, t in d.items()}
@tool
def on_device(n: int):
    t = torch.tensor(wave(n)).cuda()
    return {"t": t, "n": n}
@tool
def chunks_on_device(n: int): yield torch.tensor(wave(n)).cuda()
@tool
def echo(t): return t
@tool
def where(t): return [str(t.device), t.sum().item()]
@tool
def keeps_any(t): KEPT.append(t)
@tool
def forgets(): KEPT.clear(); gc.collect()
"""


@unittest.skipIf(numpy is None, "NumPy is not installed")
class Tensors(SharingTest):
    SOURCE = SOURCE
    ENVIRONMENT = {"PYTHONPATH": FAKES}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.wave = numpy.arange(4096, dtype="<f4").reshape(-1, 4)

    def item(self, array=None):
        return self.worker.put_array(self.wave if array is None else array, 0)

    def test_what_any_library_lends(self):
        for how, expected in (("plain", self.wave), ("turned", self.wave.T), ("reversed", self.wave[::-1]), ("every other", self.wave[::2]),
                              ("fetched", self.wave), ("none", self.wave[:0]), ("bool", self.wave > 1), ("complex", self.wave.astype("<c8"))):
            with self.subTest(how):
                self.assertEqual(self.worker.value("lent", n=4096, how=how), (expected.dtype.str, expected.shape, expected.tobytes()))
        self.assertEqual(self.worker.value("lent", n=4096, how="number"), ("<f8", (), numpy.float64(5).tobytes()))

    def test_a_tensor_that_cannot_be_fetched_is_a_clear_error(self):
        error = self.worker.ask("lent", n=4096, how="far").body
        self.assertEqual(error["kind"], "unavailable")
        self.assertIn("OnDevice on device 7:1 cannot be copied", error["message"])

    def test_tensors_of_torch(self):
        for how in ("plain", "gradient", "conjugate", "turned"):
            expected = self.wave.T if how == "turned" else self.wave
            with self.subTest(how):
                self.assertEqual(self.worker.value("tensor", n=4096, how=how), ("<f4", expected.shape, expected.tobytes()))

    def test_a_tensor_over_a_buffer_of_the_arena_is_not_copied(self):
        frame = self.worker.ask("tensor", n=4096, how="arena")
        self.assertEqual(frame.table["items"][0]["offset"] % 4096, 0)
        self.assertEqual(self.worker.value_of(frame)[2], self.wave.tobytes())
        self.worker.let_go(frame)

    def test_named_tensors(self):
        self.assertEqual(self.worker.value("state", n=8)["weight"], ("<f4", (2, 4), self.wave[:2].tobytes()))

    def test_a_parameter_that_is_a_tensor(self):
        self.worker.releases()
        self.assertEqual(self.worker.value("takes", {"t": self.item()}), ["Tensor", "torch.float32", [1024, 4], float(self.wave.sum())])
        self.assertEqual(self.worker.releases(), [(1, 0)])
        self.assertEqual(self.worker.value("takes", t=[[1.0, 2.0]]), ["Tensor", "torch.float64", [1, 2], 3.0])
        self.assertEqual(self.worker.value("takes_perhaps", {"t": self.item()}), "Tensor")
        self.assertEqual(self.worker.value("takes_perhaps"), "NoneType")
        self.assertIn("must be Tensor", self.worker.ask("takes", t="x").body["message"])

    def test_tensors_within_an_argument(self):
        id, self.worker.next_id = self.worker.next_id, self.worker.next_id + 1
        body = {"tool": "takes_all", "args": {"d": {"x": {"$m": 0}, "y": {"$m": 0}}}}
        self.worker.send(0, 0, parts=with_attachments(wire.CALL, id, body, {"mark": "$m", "items": [self.item()]}, b""))
        self.assertEqual(self.worker.read().body, {"x": "Tensor", "y": "Tensor"})

    def test_a_tensor_may_be_written_to_and_nobody_else_sees_it(self):
        for _ in range(2):
            self.assertEqual(self.worker.value("doubles", {"t": self.item()}), 2 * float(self.wave.sum()))
        self.assertEqual(self.worker.segments[1].memory[: self.wave.nbytes], self.wave.tobytes())

    def test_a_tensor_holds_its_place(self):
        self.worker.releases()
        self.worker.value("keeps", {"t": self.item()})
        self.assertEqual(self.worker.releases(), [])
        self.worker.value("forgets")
        self.assertEqual(self.worker.releases(), [(1, 0)])

    def test_a_type_that_torch_has_not(self):
        error = self.worker.ask("takes", {"t": self.item(self.wave.astype(">f4"))}).body
        self.assertEqual((error["kind"], error["message"]), ("validation", "torch has no tensors of >f4"))

    def test_a_device_that_is_not_there_is_a_clear_error(self):
        item = {"kind": "cuda", "dtype": "<f4", "shape": [4], "device": "cuda:0", "offset": 7, "length": 0, "ipc": made_elsewhere()}
        error = self.worker.ask("where", {"t": item}).body
        self.assertEqual((error["kind"], error["message"]), ("unavailable", "a tensor on cuda:0 came, and this worker sees no such device"))
        self.assertEqual(self.worker.releases(), [(0, 7)])
        self.assertEqual(self.worker.ask("where", {"t": {**item, "ipc": "e30="}}).body["kind"], "validation")
        self.worker.releases()


def made_elsewhere(**changed):
    about = {"device": 0, "handle": {"bytes": "aGFuZGxl"}, "size": 16, "offset": 0, "counter": {"bytes": "Yw=="}, "counter_offset": 0,
             "event": {"bytes": ""}, "event_needed": False, "owner": "another", "number": 1, "type": "float32", "start": 0, "stride": [1]}
    return base64.b64encode(json.dumps({**about, **changed}).encode()).decode()


class WithoutTorch(unittest.TestCase):
    def test_a_handle_is_a_clear_error(self):
        with SharingWorker(NOTHING + "import sys\nsys.modules['torch'] = None\n@tool\ndef f(t): return 1") as worker:
            item = {"kind": "cuda", "dtype": "<f4", "shape": [4], "device": "cuda:0", "offset": 7, "length": 0, "ipc": made_elsewhere()}
            error = worker.ask("f", {"t": item}).body
            self.assertEqual((error["kind"], error["message"]), ("unavailable", "a tensor on cuda:0 came, and this worker has no torch"))
            self.assertEqual(worker.releases(), [(0, 7)])


@unittest.skipIf(numpy is None, "NumPy is not installed")
class Handles(unittest.TestCase):
    def setUp(self):
        self.device = tempfile.TemporaryDirectory()
        self.addCleanup(self.device.cleanup)
        self.worker = self.start()

    def start(self):
        worker = SharingWorker(SOURCE, environment={"PYTHONPATH": FAKES, "FAKE_CUDA": self.device.name})
        self.addCleanup(worker.__exit__)
        return worker

    def counters(self):
        return [name for name in os.listdir(self.device.name) if name.endswith(".counter")]

    def handle(self):
        frame = self.worker.ask("on_device", keys={"handles": True}, n=4096)
        [item] = frame.table["items"]
        self.assertEqual((item["kind"], item["device"], item["dtype"], item["shape"], item["length"], frame.body["n"]),
                         ("cuda", "cuda:0", "<f4", [1024, 4], 0, 4096))
        return item

    def test_without_a_wish_for_handles_it_is_copied_to_memory(self):
        value = self.worker.value("on_device", n=4096)["t"]
        self.assertEqual(value, ("<f4", (1024, 4), numpy.arange(4096, dtype="<f4").tobytes()))
        self.assertEqual(self.counters(), [])

    def test_another_worker_opens_a_handle(self):
        item, other, total = self.handle(), self.start(), float(numpy.arange(4096, dtype="<f4").sum())
        self.assertEqual(other.value("where", {"t": {**item, "offset": 3}}), ["cuda:0", total])
        self.assertEqual(other.releases(), [(0, 3)])
        other.value("keeps_any", {"t": {**item, "offset": 4}})
        self.assertEqual(other.releases(), [])
        other.value("forgets")
        self.assertEqual(other.releases(), [(0, 4)])

    def test_its_maker_gets_the_very_tensor(self):
        item = self.handle()
        again = self.worker.ask("echo", {"t": {**item, "offset": 9}}, keys={"handles": True})
        self.assertEqual(again.table["items"][0]["shape"], [1024, 4])

    def test_a_release_lets_the_tensor_go_also_if_nobody_opened_it(self):
        item = self.handle()
        self.assertEqual(len(self.counters()), 1)
        self.worker.send_control(wire.RELEASE, item["offset"], extra=0)
        self.worker.heard()
        self.assertEqual(self.counters(), [])

    def test_a_release_of_what_is_not_lent_is_a_breach(self):
        self.worker.send_control(wire.RELEASE, 77, extra=0)
        self.assertEqual(self.worker.exit_status(), 70)

    def test_chunks_too(self):
        self.worker.start("chunks_on_device", stream=True, keys={"handles": True}, n=64)
        self.assertEqual([self.worker.read().name for _ in range(2)], ["CHUNK", "END"])
        self.assertEqual(len(self.counters()), 1)


if __name__ == "__main__":
    unittest.main()
