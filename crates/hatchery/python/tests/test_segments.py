"""Values in shared memory: what comes there, how long it is held, what goes there."""

import unittest
from typing import Annotated

import hatchery
from hatchery import wire

from .sharing import MEBIBYTE, NOTHING, SharingWorker

try:
    import numpy
except ImportError:
    numpy = None

PAGE = 4096

BYTES = NOTHING + """
import os, sys, threading, gc, pickle
KEPT = []
@tool
def given(a): return [type(a).__name__, len(a), a[:2].decode()]
@tool
def viewed(a: memoryview): return [type(a).__name__, a.readonly, a.nbytes, bytes(a[:2]).decode()]
@tool
def array_of(a: bytearray): a[0] = 33; return a[:2].decode()
@tool
def keeps(a: memoryview): KEPT.append(a)
@tool
def keeps_slice(a: memoryview): KEPT.append(a[8:16][2:4])
@tool
def forgets(): KEPT.clear(); gc.collect()
@tool
def twice(a: memoryview, b: memoryview): return [a == b]
@tool
def echo(a: memoryview): return a
@tool
def tail(a: memoryview, n: int): return a[n:]
@tool
def made(n: int, fill: int = 7): return bytes([fill]) * n
@tool
def picky(a: int): return a
@tool
def cyclic(a: memoryview):
    circle = [a]; circle.append(circle)
@tool
def in_thread(a: memoryview):
    done, hold = threading.Event(), [a]
    KEPT.append((done, threading.Thread(target=lambda: (done.wait(), hold.clear()))))
    KEPT[-1][1].start()
@tool
def let_thread_go():
    for done, thread in KEPT: done.set(); thread.join()
    KEPT.clear()
@tool
def forks(a: memoryview):
    pid = os.fork()
    if pid == 0:
        del a; KEPT.clear(); gc.collect()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if hasattr(os, 'waitstatus_to_exitcode') else os.waitpid(pid, 0)[1]
"""


class Receiving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.worker = SharingWorker(BYTES)

    @classmethod
    def tearDownClass(cls):
        cls.worker.__exit__()

    def tearDown(self):
        self.worker.value("forgets")
        self.worker.releases()

    def item(self, offset=0, content=b"ab" * 4096):
        return self.worker.put(content, offset)

    def released_by(self, tool, **arguments):
        self.worker.ask(tool, {"a": self.item()}, **arguments)
        return self.worker.releases()

    def test_it_is_agreed(self):
        self.assertIn("segments", self.worker.greeting["capabilities"])

    def test_bytes_are_copied_and_released(self):
        self.assertEqual(self.worker.value("given", {"a": self.item(64)}), ["bytes", 8192, "ab"])
        self.assertEqual(self.worker.releases(), [(1, 64)])

    def test_views_look_at_the_segment_and_cannot_write_there(self):
        self.assertEqual(self.worker.value("viewed", {"a": self.item(128)}), ["memoryview", True, 8192, "ab"])
        self.assertEqual(self.worker.releases(), [(1, 128)])

    def test_a_bytearray_is_a_copy(self):
        self.assertEqual(self.worker.value("array_of", {"a": self.item()}), "!b")
        self.assertEqual(self.worker.segments[1].memory[:2], b"ab")

    def test_an_empty_item_is_held_like_any_other(self):
        self.assertEqual(self.worker.value("given", {"a": self.item(192, b"")}), ["bytes", 0, ""])
        self.assertEqual(self.worker.releases(), [(1, 192)])

    def test_a_place_is_held_as_long_as_anything_looks_there(self):
        for tool in ("keeps", "keeps_slice"):
            with self.subTest(tool):
                self.assertEqual(self.released_by(tool), [])
                self.worker.value("forgets")
                self.assertEqual(self.worker.releases(), [(1, 0)])

    def test_each_item_is_released_once_though_they_lie_in_one_place(self):
        items = {"a": self.item(), "b": self.item()}
        self.assertEqual(self.worker.value("twice", items), [True])
        self.assertEqual(self.worker.releases(), [(1, 0), (1, 0)])

    def test_a_cycle_holds_its_place_until_it_is_collected(self):
        self.worker.ask("cyclic", {"a": self.item()})
        self.worker.value("forgets")
        self.assertEqual(self.worker.releases(), [(1, 0)])

    def test_another_thread_releases(self):
        self.assertEqual(self.released_by("in_thread"), [])
        self.worker.value("let_thread_go")
        self.assertEqual(self.worker.releases(), [(1, 0)])

    def test_what_is_not_acted_upon_is_released(self):
        for tool, arguments in (("no_such_tool", {}), ("picky", {}), ("given", {"unknown": 1})):
            with self.subTest(tool):
                self.assertEqual(self.worker.ask(tool, {"a": self.item(256)}, **arguments).name, "ERROR")
                self.assertEqual(self.worker.releases(), [(1, 256)])

    def test_a_call_that_was_cancelled_before_it_came_releases(self):
        self.worker.send_control(wire.CANCEL, self.worker.next_id)
        self.worker.heard()
        self.assertEqual(self.worker.ask("given", {"a": self.item(64)}).body["kind"], "cancelled")
        self.assertEqual(self.worker.releases(), [(1, 64)])

    def test_a_forked_child_says_nothing(self):
        self.assertEqual(self.released_by("keeps"), [])
        self.assertEqual(self.released_by("forks"), [(1, 0)])
        self.worker.value("forgets")
        self.assertEqual(self.worker.releases(), [(1, 0)])

    def test_a_segment_that_comes_after_the_frame_that_needs_it_is_waited_for(self):
        segment = self.worker.introduce(9, MEBIBYTE, "read")
        self.worker.settle()
        item = self.worker.put(b"xy" * 4096, 0, 9)
        del self.worker.segments[9]
        id = self.worker.start_with("given", {"a": {**item, "segment": 10}})
        self.worker.segments[9] = segment
        self.worker.introduce(10, MEBIBYTE, "read").memory[:2] = b"pq"
        frame = self.worker.read()
        self.assertEqual((frame.id, frame.body[1]), (id, 8192))
        self.assertEqual(self.worker.releases(), [(10, 0)])


class Sending(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.worker = SharingWorker(BYTES)

    @classmethod
    def tearDownClass(cls):
        cls.worker.__exit__()

    def test_a_long_value_lies_in_the_segment_and_a_short_one_in_the_frame(self):
        for length, shared in ((4095, False), (4096, True), (100_000, True)):
            frame = self.worker.ask("made", n=length)
            [item] = frame.table["items"]
            self.assertEqual(("segment" in item, len(frame.data)), (shared, 0 if shared else length))
            self.assertEqual(self.worker.value_of(frame), b"\7" * length)
            self.worker.let_go(frame)

    def test_a_place_is_used_again_once_it_is_released_and_not_before(self):
        first, second = self.worker.ask("made", n=8192), self.worker.ask("made", n=8192, fill=8)
        places = [frame.table["items"][0]["offset"] for frame in (first, second)]
        self.assertEqual(len(set(places)), 2)
        self.assertEqual([self.worker.value_of(frame)[0] for frame in (first, second)], [7, 8])
        self.worker.let_go(first)
        self.worker.settle()
        third = self.worker.ask("made", n=8192)
        self.assertEqual(third.table["items"][0]["offset"], places[0])
        for frame in (second, third):
            self.worker.let_go(frame)

    def test_an_argument_comes_back_as_a_reference(self):
        item = self.worker.put(b"ab" * 5000, 4096)
        frame = self.worker.ask("echo", {"a": item})
        self.assertEqual(frame.table["items"], [{"kind": "bytes", "segment": 1, "offset": 4096, "length": 10_000}])
        self.assertEqual(self.worker.released, [], "RELEASE must not come before the frame that passes the value on")
        self.assertEqual(self.worker.releases(), [(1, 4096)])

    def test_a_part_of_an_argument_comes_back_as_a_reference_if_it_can(self):
        item = self.worker.put(bytes(range(250)) * 100, 0)
        for start, segment in ((64, 1), (65, 2)):
            frame = self.worker.ask("tail", {"a": item}, n=start)
            self.assertEqual(frame.table["items"][0]["segment"], segment)
            self.assertEqual(self.worker.value_of(frame), (bytes(range(250)) * 100)[start:])
            self.worker.let_go(frame)
            self.worker.releases()

    def test_a_result_that_is_passed_back_is_held_again(self):
        frame = self.worker.ask("made", n=8192)
        [item] = frame.table["items"]
        again = self.worker.ask("echo", {"a": item})
        self.assertEqual(again.table["items"], [item])
        self.assertEqual(self.worker.releases(), [(2, item["offset"])])
        for held in (frame, again):
            self.assertEqual(self.worker.value_of(held), b"\7" * 8192)
            self.worker.let_go(held)
        self.worker.settle()
        third = self.worker.ask("made", n=8192)
        self.assertEqual(third.table["items"][0]["offset"], item["offset"])
        self.worker.let_go(third)


class Limits(unittest.TestCase):
    SOURCE = NOTHING + """
@tool
def made(n: int): return bytes(n)
@tool
def chunks(n: int, each: int):
    for i in range(n): yield bytes([i]) * each
@tool
def many(n: int, each: int): return [bytes(each) for i in range(n)]
"""

    def test_without_room_a_value_goes_with_the_frame_and_it_is_said_once(self):
        with SharingWorker(self.SOURCE, size=16 * PAGE) as worker:
            frame = worker.ask("many", n=10, each=2 * PAGE)
            places = ["segment" in item for item in frame.table["items"]]
            self.assertEqual(places, [True] * 8 + [False] * 2)
            self.assertEqual(worker.value_of(frame), [bytes(2 * PAGE)] * 10)
            self.assertEqual([event["name"] for event in worker.logged], ["arena.full"])
            worker.let_go(frame)
            worker.value("made", n=2 * PAGE)
            frame = worker.ask("many", n=9, each=2 * PAGE)
            self.assertEqual([event["name"] for event in worker.logged], ["arena.full"] * 2)
            worker.let_go(frame)

    def test_without_telemetry_it_is_a_line_of_log(self):
        capabilities = [name for name in wire.CAPABILITIES if name != "telemetry"]
        with SharingWorker(self.SOURCE, size=PAGE, capabilities=capabilities) as worker:
            worker.value("made", n=2 * PAGE)
            self.assertEqual([(line["level"], "no room for 8192 bytes" in line["message"]) for line in worker.logged], [("warning", True)])

    def test_pages_over_what_may_stay_are_given_back(self):
        with SharingWorker(self.SOURCE, size=64 * MEBIBYTE, keep=2 * MEBIBYTE) as worker:
            segment = worker.segments[2]
            frame = worker.ask("made", n=16 * MEBIBYTE)
            self.assertGreaterEqual(segment.resident(), 16 * MEBIBYTE)
            worker.let_go(frame)
            worker.settle()
            self.assertLessEqual(segment.resident(), 2 * MEBIBYTE)
            self.assertEqual(worker.value("made", n=3 * MEBIBYTE), bytes(3 * MEBIBYTE))

    def test_chunks_cost_their_credit_as_if_they_were_sent(self):
        with SharingWorker(self.SOURCE) as worker:
            id = worker.start("chunks", stream=True, credit=1, n=3, each=2 * PAGE)
            first = worker.read()
            self.assertEqual((first.name, first.table["items"][0]["segment"], first.data), ("CHUNK", 2, b""))
            cost = 32 + first.lengths + 2 * PAGE
            worker.send_control(wire.CREDIT, id, extra=cost - 1)  # One byte too little: the balance is 0.
            worker.heard()
            worker.send_control(wire.CREDIT, id, extra=1)
            second = worker.read()
            worker.send_control(wire.CREDIT, id, extra=1 << 20)
            third, end = worker.read(), worker.read()
            self.assertEqual([worker.value_of(frame)[0] for frame in (first, second, third)], [0, 1, 2])
            self.assertEqual(end.name, "END")

    def test_thousands_of_values_leave_no_place_taken(self):
        with SharingWorker(self.SOURCE + "\nimport hatchery.sharing\n@tool\ndef taken(): return hatchery.sharing._segments._arena.in_use()",
                           size=4 * MEBIBYTE) as worker:
            for n in range(1500):
                worker.value("made", n=PAGE + n * 97 % (64 * PAGE))
            worker.settle()
            self.assertEqual(worker.value("taken"), 0)
            self.assertEqual(worker.logged, [])

    def test_a_worker_that_has_no_room_for_the_mapping_works_without(self):
        source = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (4 << 30, -1))\n" + self.SOURCE + "\n@tool\ndef size(a): return len(a)"
        with SharingWorker(source, introduce=False) as worker:
            worker.introduce(1, 8 << 30, "read")
            worker.introduce(2, 8 << 30, "write")
            self.assertEqual(worker.value("size", {"a": worker.put(b"ab" * 4096, 1 << 20)}), 8192)
            self.assertEqual(worker.releases(), [(1, 1 << 20)])
            self.assertNotIn("segment", worker.ask("made", n=1 << 16).table["items"][0])


class OneWay(unittest.TestCase):
    def test_without_a_segment_of_its_own_a_worker_still_refers_to_what_came(self):
        with SharingWorker(BYTES, introduce=False) as worker:
            worker.introduce(1, MEBIBYTE, "read")
            [item] = worker.ask("echo", {"a": worker.put(b"ab" * 4096, 64)}).table["items"]
            self.assertEqual((item["segment"], item["offset"]), (1, 64))
            self.assertNotIn("segment", worker.ask("made", n=8192).table["items"][0])


class Ends(unittest.TestCase):
    def test_a_worker_that_keeps_what_it_got_ends_in_order_and_says_nothing(self):
        with SharingWorker(BYTES + "\nMADE = []\n@tool\ndef makes():\n    import hatchery\n    MADE.append(hatchery.buffer(8192))") as worker:
            worker.value("keeps", {"a": worker.put(b"ab" * 4096, 0)})
            worker.value("makes")
            worker.close_calls()
            self.assertEqual((worker.exit_status(), worker.err()), (0, ""))


class Elsewhere(unittest.TestCase):
    """The functions for apps, where there is no worker, as in an app's own tests."""

    def test_a_buffer_is_ordinary_memory(self):
        made = hatchery.buffer(5)
        made[:] = b"hello"
        self.assertEqual(bytes(made), b"hello")

    @unittest.skipIf(numpy is None, "NumPy is not installed")
    def test_so_is_an_array(self):
        for shape, expected in ((3, (3,)), ((2, 4), (2, 4)), ((), ()), (numpy.int64(2), (2,))):
            self.assertEqual((hatchery.empty(shape).shape, hatchery.empty(shape, "<f4").dtype.str), (expected, "<f4"))

    def test_what_a_parameter_says_of_itself(self):
        def scale(a: Annotated[list, hatchery.Writable]): ...

        from hatchery.tools import Options, Tool

        self.assertEqual(Tool(scale, Options()).describe()["parameters"], [{"name": "a", "type": "list", "required": True}])


class NotAgreed(unittest.TestCase):
    def test_nothing_is_shared_and_the_worker_does_not_say_that_it_could(self):
        capabilities = [name for name in wire.CAPABILITIES if name != "segments"]
        with SharingWorker(BYTES, capabilities=capabilities, introduce=False) as worker:
            self.assertNotIn("segments", worker.greeting["capabilities"])
            self.assertNotIn("segment", worker.ask("made", n=1 << 20).table["items"][0])


class Breaches(unittest.TestCase):
    """Each ends the worker with status 70, and says what was wrong."""

    SOURCE = "import hatchery.segments\nhatchery.segments.PATIENCE = 0.05\n" + BYTES

    def ends(self, act, why, **options):
        with SharingWorker(self.SOURCE, **options) as worker:
            act(worker)
            self.assertEqual(worker.exit_status(), 70)
            self.assertIn(why, worker.err())

    def given(self, **changed):
        return lambda worker: worker.start_with("given", {"a": {"kind": "bytes", "segment": 1, "offset": 0, "length": 64, **changed}})

    def test_items(self):
        self.ends(self.given(segment=7), "never introduced")
        self.ends(self.given(segment="1"), "never introduced")
        self.ends(self.given(offset=65), "multiple of 64")
        self.ends(self.given(offset=-64), "numbers from 0")
        self.ends(self.given(offset=1 << 62), "lie outside")
        self.ends(self.given(length=1 << 62), "lie outside")
        self.ends(self.given(length=64 * MEBIBYTE + 1), "lie outside")

    def test_releases(self):
        for number, offset, why in ((2, 0, "nothing was sent"), (1, 0, "does not write"), (9, 0, "does not write")):
            self.ends(lambda worker: worker.send_control(wire.RELEASE, offset, extra=number), why)

    def test_a_release_too_many(self):
        def act(worker):
            frame = worker.ask("made", n=8192)
            worker.let_go(frame)
            worker.let_go(frame)

        self.ends(act, "nothing was sent")

    def test_segments(self):
        for changed, why in (({"size": "x"}, "no number of bytes"), ({"size": 0}, "cannot be"), ({"access": "all"}, "cannot be"),
                             ({"size": 2 * MEBIBYTE}, "has 1048576 bytes"), ({"keep": -1}, "no number"), ({"threshold": 1.5}, "no number")):
            with self.subTest(changed):
                self.ends(lambda worker: worker.introduce(5, MEBIBYTE, "read", stated=changed), why)

    def test_a_number_twice_and_a_second_one_to_write(self):
        self.ends(lambda worker: worker.send_with_descriptor(
            wire.frame(wire.SEGMENT, 1, b'{"size":4096,"access":"read","keep":0,"threshold":0}'), worker.segments[1].fd), "is used")
        self.ends(lambda worker: worker.introduce(5, MEBIBYTE, "write"), "cannot be")

    def test_a_segment_without_a_descriptor(self):
        frame = wire.frame(wire.SEGMENT, 5, b'{"size":4096,"access":"read","keep":0,"threshold":0}')
        self.ends(lambda worker: worker.control.sendall(frame), "without a descriptor")

    def test_a_segment_item_where_segments_were_not_agreed(self):
        capabilities = [name for name in wire.CAPABILITIES if name != "segments"]
        self.ends(self.given(), "not agreed", capabilities=capabilities, introduce=False)


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
class Arrays(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.worker = SharingWorker(ARRAYS)
        cls.array = numpy.arange(64 * 100, dtype="<f4").reshape(64, 100)

    @classmethod
    def tearDownClass(cls):
        cls.worker.__exit__()

    def tearDown(self):
        self.worker.value("forgets")
        self.worker.releases()

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
        from .host import with_attachments

        for tool, name, expected in (("doubles", "RESULT", [True, 8.0]), ("writes", "ERROR", None)):
            id, self.worker.next_id = self.worker.next_id, self.worker.next_id + 1
            body, table = {"tool": tool, "args": {"a": {"$m": 0}}}, {"mark": "$m", "items": [item]}
            self.worker.send(0, 0, parts=with_attachments(wire.CALL, id, body, table, small.tobytes()))
            frame = self.worker.read()
            self.assertEqual((frame.name, frame.body if expected else None), (name, expected))

    def test_all_within_a_writable_argument_is_writable(self):
        id, self.worker.next_id = self.worker.next_id, self.worker.next_id + 1
        from .host import with_attachments

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


class Threads(unittest.TestCase):
    def test_many_calls_at_once_keep_account(self):
        source = BYTES + "\nimport hatchery.sharing\n@tool\ndef taken(): return hatchery.sharing._segments._arena.in_use()"
        with SharingWorker(source, max_in_flight=4) as worker:
            for _ in range(100):
                ids = {worker.start_with("echo", {"a": worker.put(b"ab" * 4096, 8192 * n)}) for n in range(2)}
                ids |= {worker.start("made", n=8192 + n) for n in range(2)}
                frames = [worker.read() for _ in ids]
                self.assertEqual({frame.id for frame in frames}, ids)
                for frame in frames:
                    self.assertIn(worker.value_of(frame)[:1], (b"a", b"\7"))
                    worker.let_go(frame)
            worker.settle()
            self.assertEqual(worker.value("taken"), 0)
            # The last RELEASE comes after the answer that it belongs to, from another thread perhaps.
            while len(worker.released) < 200:
                worker.value("hatchery_test_nothing")
            self.assertEqual(sorted(set(worker.released)), [(1, 0), (1, 8192)])


class Descriptors(unittest.TestCase):
    def test_programs_that_a_tool_starts_get_none(self):
        source = NOTHING + "import subprocess, sys\n@tool\ndef listed(): return subprocess.run([sys.executable, '-c', 'import os; print(sorted(os.listdir(\"/proc/self/fd\")))'], capture_output=True, text=True, close_fds=False).stdout\n@tool\ndef made(n: int): return bytes(n)"
        with SharingWorker(source) as worker:
            worker.value("made", n=8192)
            listed = worker.value("listed")
            with SharingWorker(source, introduce=False) as other:
                self.assertEqual(listed, other.value("listed"))


if __name__ == "__main__":
    unittest.main()
