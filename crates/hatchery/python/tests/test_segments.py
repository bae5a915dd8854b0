"""Values in shared memory: what comes there, how long it is held, what goes there."""

import time
import unittest
from typing import Annotated

import hatchery
from hatchery import wire

from .host import PATIENCE
from .sharing import MEBIBYTE, NOTHING, HoldingTest, SharingTest, SharingWorker

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


class Receiving(HoldingTest):
    SOURCE = BYTES

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


class Sending(SharingTest):
    SOURCE = BYTES

    def setUp(self):
        self.worker.settle()  # Of the test before, no place is taken any more.

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
            worker.settle()
            worker.value("made", n=2 * PAGE)
            worker.settle()
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
                if n % 8 == 0:
                    worker.heard()  # Else a slow machine has its RELEASE frames still to read when there is no room left.
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
    def test_nothing_is_shared_with_a_host_that_does_not_know_of_it(self):
        capabilities = [name for name in wire.CAPABILITIES if name != "segments"]
        with SharingWorker(BYTES, capabilities=capabilities, introduce=False) as worker:
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
            # The thread that gave the last answer lets go of it after that, and says RELEASE: another one may be asked meanwhile.
            end = time.monotonic() + PATIENCE
            while (worker.value("taken") or len(worker.released) < 200) and time.monotonic() < end:
                pass
            self.assertEqual(worker.value("taken"), 0)
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
