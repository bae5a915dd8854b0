"""Workers that run several calls at once. That calls overlap is proven by barriers that only open for all of them."""

import signal
import unittest

from hatchery import wire

from . import test_worker
from .host import Worker

APP = '''
import asyncio, os, sys, threading, time
from contextvars import ContextVar
import hatchery
from hatchery import Context, tool

barrier = threading.Barrier(4)
met = asyncio.Event() if sys.version_info >= (3, 10) else None
setting = ContextVar("setting", default="unset")
setting.set("by the app")

@tool
def one(): return 1

@tool
def meets(): return barrier.wait(10) >= 0

async def all_here():
    """Returns when four coroutines are here at once."""
    global met
    met = met or asyncio.Event()
    all_here.count += 1
    if all_here.count == 4: met.set()
    await met.wait()
all_here.count = 0

@tool
async def meets_on_the_loop():
    await all_here()
    return [id(asyncio.get_running_loop()), threading.get_ident()]

@tool
def holds(path: str):
    print("holding")
    while not os.path.exists(path): time.sleep(0.001)
    return "let go"

@tool
def counts(n: int, word: str):
    for i in range(n): yield [word, i]
    return word

@tool
async def counts_async(n: int, word: str):
    for i in range(n):
        await asyncio.sleep(0)
        yield [word, i]

@tool
def prints(word: str):
    print(word, end=""); barrier.wait(10)
    print("-", end=""); barrier.wait(10)
    print(word); print(word, end="")

@tool
async def prints_on_the_loop(word: str):
    print(word, end="")
    await asyncio.sleep(0)
    print("-" + word)

@tool
def asks(n: int, ctx: Context):
    barrier.wait(10)
    return [n, [ctx.call("double", n=n + i) for i in range(20)], ctx.correlation_id]

@tool
def exits(): barrier.wait(10); sys.exit(3)

@tool
def raises(n: int): barrier.wait(10); raise ValueError(str(n))

@tool
async def exits_on_the_loop(): raise SystemExit(4)

@tool
async def yields_on_the_loop():
    await asyncio.sleep(0)
    return "went on"

@tool
async def stops_the_loop(): asyncio.get_running_loop().stop()

@tool
async def sleeps(ctx: Context):
    ctx.log("asleep")
    try: await asyncio.sleep(3600)
    finally: ctx.log("woken"); print(ctx.cancelled)

@tool
def reports(ctx: Context):
    print("reporting")
    while True:
        time.sleep(0.001)
        ctx.progress(None, "p") if ctx.cancelled else None

@tool
def waits_for_host(ctx: Context): return ctx.call("never")

@tool
def endless():
    try:
        while True: yield 1
    finally: print("closed")

@tool
async def endless_async():
    try:
        while True: yield 1
    finally: print("closed")

def fork():
    pid = os.fork()
    return "never seen" if pid == 0 else os.waitpid(pid, 0)[1]

@tool
def forks_in_a_thread(): return fork()
@tool
async def forks_on_the_loop(): return fork()
@tool(thread_sensitive=True)
def forks_in_main(): return fork()

@tool
def sets(value: str):
    before = setting.get()
    setting.set(value)
    barrier.wait(10)
    return [before, setting.get()]

class Together:
    running = most = 0
    @tool(thread_sensitive=True)
    def sensitive(self):
        self.running += 1
        self.most = max(self.most, self.running)
        time.sleep(0.002)
        self.running -= 1
        return [threading.current_thread() is threading.main_thread(), self.most, hatchery.current_context().correlation_id]
    @tool(thread_sensitive=True)
    def sensitive_stream(self):
        yield threading.current_thread() is threading.main_thread()
    @tool(thread_sensitive=True)
    def sensitive_holds(self, path: str): return holds(path)
    @tool(thread_sensitive=True)
    def sensitive_fails(self): raise KeyError("main")
    @tool
    def shared(self):
        barrier.wait(10)
        return id(self)
    async def close(self): print("closed", threading.current_thread().name)
'''


class InThreads(test_worker.Calls):
    """All that holds for one call at a time."""

    stated = {"max_in_flight": 4}

    def test_calls_sent_at_once_are_answered_in_order(self):
        """In any order, here."""
        ids = [self.worker.start("add", a=n) for n in range(50)]
        answers = {frame.id: frame.body for frame in (self.worker.read() for _ in ids)}
        self.assertEqual(answers, {id: n + 1 for n, id in enumerate(ids)})


class Overlap(unittest.TestCase):
    def setUp(self):
        self.worker = Worker(APP, max_in_flight=4)
        self.addCleanup(self.worker.__exit__)
        self.worker.ready()
        self.path = self.worker.folder.name + "/go"

    def go(self):
        open(self.path, "w").close()

    def answers(self, *ids):
        """What each call came to, and what was printed and sent for each before: {id: [frames]}."""
        frames, left = {id: [] for id in ids}, set(ids)
        while left:
            frame = self.worker.read()
            frames[frame.id].append(frame)
            if frame.name in ("RESULT", "END", "ERROR"):
                left.remove(frame.id)
        return frames

    def values(self, *ids):
        return [frames[-1].body for frames in self.answers(*ids).values()]

    def test_four_functions_run_at_once(self):
        self.assertEqual(self.values(*(self.worker.start("meets") for _ in range(4))), [True] * 4)
        self.assertEqual(self.values(*(self.worker.start("meets") for _ in range(4))), [True] * 4)

    def test_four_coroutines_overlap_on_one_loop(self):
        answers = self.values(*(self.worker.start("meets_on_the_loop") for _ in range(4)))
        self.assertEqual(len(set(map(tuple, answers))), 1, answers)

    def test_an_object_is_shared(self):
        self.assertEqual(len(set(self.values(*(self.worker.start("shared") for _ in range(4))))), 1)

    def test_a_long_call_holds_no_other(self):
        held = self.worker.start("holds", path=self.path)
        self.assertEqual(self.worker.read().body["message"], "holding")
        self.assertEqual([self.worker.call("one") for _ in range(20)], [1] * 20)
        self.go()
        self.assertEqual(self.values(held), ["let go"])

    def test_no_more_than_asked_run_at_once(self):
        held = [self.worker.start("holds", path=self.path) for _ in range(5)]
        self.assertEqual([self.worker.read().name for _ in range(4)], ["LOG"] * 4)
        self.worker.send_control(wire.CANCEL, held[4])  # Still in the pipe: it must not begin.
        self.worker.send_control(wire.PING, 1)
        self.assertEqual(self.worker.read_control().name, "PONG")
        self.go()
        answers = self.answers(*held)
        self.assertEqual([frames[-1].name for frames in answers.values()], ["RESULT"] * 4 + ["ERROR"])
        self.assertEqual([frame.body.get("kind") for frame in answers[held[4]]], ["cancelled"])

    def test_streams_run_side_by_side_each_with_its_own_credit(self):
        for tool in ("counts", "counts_async"):
            with self.subTest(tool):
                poor = self.worker.start(tool, stream=True, credit=1, n=4, word="poor")
                self.assertEqual((self.worker.read().id), poor)
                rich = self.worker.start(tool, stream=True, n=50, word="rich")
                self.assertEqual(len(self.answers(rich)[rich]), 51)  # `poor` sent nothing meanwhile.
                self.worker.send_control(wire.CREDIT, poor, extra=1 << 20)
                self.assertEqual([f.body for f in self.answers(poor)[poor][:3]], [["poor", n] for n in (1, 2, 3)])

    def test_many_streams_keep_their_order(self):
        tools = ["counts", "counts_async", "counts", "counts_async"]
        ids = [self.worker.start(tool, stream=True, credit=500, n=200, word=tool) for tool in tools]
        seen, left = {id: [] for id in ids}, set(ids)
        while left:
            frame = self.worker.read()
            if frame.name == "CHUNK":
                seen[frame.id].append(frame.body[1])
                self.worker.send_control(wire.CREDIT, frame.id, extra=32 + len(frame.raw))
            else:
                self.assertEqual(frame.name, "END", frame)
                left.remove(frame.id)
        self.assertEqual(list(seen.values()), [list(range(200))] * 4)

    def test_what_is_printed_belongs_to_its_call(self):
        words = {self.worker.start("prints", word=word): word for word in "abcd"}
        for id, frames in self.answers(*words).items():
            lines = [(f.body["message"], f.body["correlation_id"]) for f in frames[:-1]]
            word = words[id]
            self.assertEqual(lines, [(f"{word}-{word}", f"{id:016x}"), (word, f"{id:016x}")])

    def test_what_coroutines_print_belongs_to_their_call(self):
        words = {self.worker.start("prints_on_the_loop", word=word): word for word in "abcd"}
        for id, frames in self.answers(*words).items():
            self.assertEqual([f.body["message"] for f in frames[:-1]], [f"{words[id]}-{words[id]}"])

    def test_host_tools_answer_who_asked(self):
        ids = [self.worker.start("asks", n=100 * n) for n in range(4)]
        ended = {}
        while len(ended) < 4:
            frame = self.worker.read()
            if frame.name == "HOST_CALL":
                self.worker.send_control(wire.HOST_RESULT, frame.id, 2 * frame.body["args"]["n"])
            else:
                ended[frame.id] = frame.body
        for n, id in enumerate(ids):
            self.assertEqual(ended[id], [100 * n, [2 * (100 * n + i) for i in range(20)], f"{id:016x}"])

    def test_a_forked_child_ends_where_it_wants_to_answer(self):
        held = self.worker.start("holds", path=self.path)
        self.assertEqual(self.worker.read().body["message"], "holding")
        for tool in ("forks_in_a_thread", "forks_on_the_loop", "forks_in_main"):
            self.assertEqual(self.worker.call(tool), 0, tool)
        self.go()
        self.assertEqual(self.values(held), ["let go"])

    def test_errors_are_of_their_call(self):
        ids = {self.worker.start("raises", n=n): n for n in range(4)}
        for id, [frame] in self.answers(*ids).items():
            self.assertEqual((frame.body["message"], frame.body["correlation_id"]), (str(ids[id]), f"{id:016x}"))
            self.assertIn("app.py", frame.body["traceback"])
            self.assertNotIn("threads.py", frame.body["traceback"])

    def test_an_exit_is_of_its_call_only(self):
        ids = [self.worker.start("exits") for _ in range(4)]
        self.assertEqual({frames[-1].body["python_type"] for frames in self.answers(*ids).values()}, {"SystemExit"})
        self.assertEqual(self.values(*(self.worker.start("meets") for _ in range(4))), [True] * 4)

    def test_coroutines_outlive_one_that_ends_their_loop(self):
        sleeping = self.worker.start("sleeps")
        self.assertEqual(self.worker.read().body["message"], "asleep")
        self.assertEqual(self.worker.error("exits_on_the_loop")["python_type"], "SystemExit")
        self.assertIsNone(self.worker.call("stops_the_loop"))
        self.assertEqual(self.worker.call("yields_on_the_loop"), "went on")
        self.worker.send_control(wire.CANCEL, sleeping)
        self.assertEqual(self.values(sleeping)[0]["kind"], "cancelled")

    def test_context_variables_are_of_the_call_and_begin_as_the_app_left_them(self):
        ids = {self.worker.start("sets", value=value): value for value in "abcd"}
        for id, [frame] in self.answers(*ids).items():
            self.assertEqual(frame.body, ["by the app", ids[id]])

    def test_what_is_sensitive_runs_on_the_main_thread_one_at_a_time(self):
        ids = [self.worker.start("sensitive") for _ in range(12)]
        for id, [frame] in self.answers(*ids).items():
            self.assertEqual(frame.body, [True, 1, f"{id:016x}"])
        self.assertEqual([f.body for f in self.worker.stream("sensitive_stream")], [True, None])
        error = self.worker.error("sensitive_fails")
        self.assertEqual(error["python_type"], "KeyError")
        self.assertNotIn("threads.py", error["traceback"])

    def test_what_is_sensitive_holds_only_its_like(self):
        held = self.worker.start("sensitive_holds", path=self.path)
        self.assertEqual(self.worker.read().body["message"], "holding")
        waiting = self.worker.start("sensitive")
        self.assertEqual(self.worker.call("one"), 1)
        self.worker.send_control(wire.CANCEL, waiting)
        self.worker.send_control(wire.PING, 1)
        self.assertEqual(self.worker.read_control().name, "PONG")
        self.go()
        self.assertEqual(self.values(held, waiting)[1]["kind"], "cancelled")

    def test_a_cancel_reaches_one_call_of_each_kind_and_no_other(self):
        held = self.worker.start("holds", path=self.path)
        self.assertEqual(self.worker.read().body["message"], "holding")
        for tool, stream, begins, lines in (
            ("sleeps", False, "LOG", ["woken", "True"]),
            ("reports", False, "LOG", []),
            ("waits_for_host", False, "HOST_CALL", []),
            ("endless", True, "CHUNK", ["closed"]),
            ("endless_async", True, "CHUNK", ["closed"]),
        ):
            with self.subTest(tool):
                id = self.worker.start(tool, stream=stream, credit=1)
                self.assertEqual(self.worker.read().name, begins)
                self.worker.send_control(wire.CANCEL, id)
                *printed, last = self.answers(id)[id]
                self.assertEqual([frame.body["message"] for frame in printed], lines)
                self.assertEqual((last.name, last.body["kind"]), ("ERROR", "cancelled"))
        self.go()
        self.assertEqual(self.values(held), ["let go"])
        self.worker.send_control(wire.CANCEL, held)  # Long ended: of no effect.
        self.assertEqual(self.worker.call("one"), 1)


class Ends(unittest.TestCase):
    def begun(self, **options):
        worker = Worker(APP, max_in_flight=4, **options)
        self.addCleanup(worker.__exit__)
        worker.ready()
        self.path = worker.folder.name + "/go"
        ids = [worker.start(tool, path=self.path) for tool in ("holds", "holds", "sensitive_holds")]
        for _ in ids:
            self.assertEqual(worker.read().body["message"], "holding")
        return worker, ids

    def finishes(self, worker, ids):
        open(self.path, "w").close()
        self.assertEqual({worker.read().id for _ in ids}, set(ids))
        closed = worker.read()
        self.assertEqual(closed.body["message"], "closed hatchery-event-loop")
        self.assertEqual(worker.exit_status(), 0)

    def test_all_calls_are_finished_at_shutdown(self):
        worker, ids = self.begun()
        worker.send_control(wire.SHUTDOWN, 0, {"grace_us": 10_000_000})
        worker.send_control(wire.PING, 1)
        self.assertEqual(worker.read_control().name, "PONG")
        self.finishes(worker, ids)

    def test_all_calls_are_finished_at_sigterm(self):
        worker, ids = self.begun()
        worker.process.send_signal(signal.SIGTERM)
        self.finishes(worker, ids)

    def test_all_calls_are_finished_at_the_end_of_the_input(self):
        worker, ids = self.begun()
        worker.close_calls()
        self.finishes(worker, ids)

    def test_an_idle_worker_ends(self):
        ends = (
            lambda worker: worker.close_calls(),
            lambda worker: worker.process.terminate(),
            lambda worker: worker.send_control(wire.SHUTDOWN, 0, {"grace_us": 1}),
        )
        for end in ends:
            with Worker(APP, max_in_flight=3) as worker:
                worker.ready()
                end(worker)
                self.assertEqual(worker.exit_status(), 0)

    def test_a_host_that_is_gone_ends_it_at_once(self):
        worker, _ = self.begun()
        worker.control.close()
        self.assertEqual(worker.exit_status(), 0)

    def test_a_breach_ends_it_whatever_else_runs(self):
        worker, _ = self.begun()
        worker.send(wire.CALL, 99, {"tool": 7})
        self.assertEqual(worker.exit_status(), 70)
        self.assertIn("protocol breach: body: CALL must have", worker.err())

    def test_a_hello_that_makes_no_sense(self):
        for most in (0, -1, True, "4", 1.5):
            with Worker(APP, max_in_flight=most) as worker:
                self.assertEqual(worker.exit_status(), 70, most)
                self.assertIn("max_in_flight", worker.err())


class Safety(unittest.TestCase):
    UNSAFE = "from hatchery import tool\nclass C:\n thread_safe = False\n @tool\n def f(self): return 1\n"

    def test_a_class_that_is_not_safe_is_not_served_in_threads(self):
        with Worker(self.UNSAFE, max_in_flight=2) as worker:
            body = worker.read_control().body
            self.assertEqual(body["kind"], "validation")
            self.assertIn("class C says thread_safe = False", body["message"])
            self.assertIn('profile = "process"', body["message"])
            self.assertEqual(worker.exit_status(), 78)
        with Worker(self.UNSAFE) as worker:
            worker.ready()
            self.assertEqual(worker.call("f"), 1)

    def test_libraries_are_warned_of_only_where_asked(self):
        source = "import sqlite3\n" + self.UNSAFE.replace("False", "True")
        for stated, expected in (
            ({"max_in_flight": 2, "thread_safety_checks": True}, ["LOG", "RESULT"]),
            ({"max_in_flight": 2}, ["RESULT"]),
            ({"thread_safety_checks": True}, ["RESULT"]),
        ):
            with Worker(source, **stated) as worker:
                worker.ready()
                worker.start("f")
                frames = [worker.read() for _ in expected]
                self.assertEqual([frame.name for frame in frames], expected)
                if expected[0] == "LOG":
                    self.assertEqual((frames[0].id, frames[0].body["level"]), (0, "warning"))
                    self.assertIn("sqlite3 is not safe in threads", frames[0].body["message"])


if __name__ == "__main__":
    unittest.main()
