"""Real workers, end to end: calls, streams, cancels, errors, the host's tools, logs."""

import unittest

from hatchery import wire

from .host import Worker, with_attachments

BIG = 123456789012345678901234567890

APP = '''
from __future__ import annotations
import asyncio, logging, os, subprocess, sys, threading, time
import hatchery
from hatchery import Context, tool

@tool
def echo(value): return value

@tool
def add(a: int, b: int = 1) -> int: return a + b

@tool(name="renamed")
def original(): return "renamed"

@tool
def countdown(n: int):
    yield from range(n, 0, -1)
    return "done"

@tool
async def nap(seconds: float = 0.0):
    await asyncio.sleep(seconds)
    return id(asyncio.get_running_loop())

@tool
async def ticks(n: int):
    for i in range(n):
        await asyncio.sleep(0)
        yield i

@tool(stream=True)
def listed(): return [1, 2]

@tool
def endless():
    try:
        while True: yield 1
    finally:
        print("closed")

@tool
async def endless_async():
    try:
        while True:
            yield 1
    finally:
        print("closed")

@tool
async def sleeper(ctx: Context):
    try:
        print("asleep")
        await asyncio.sleep(3600)
    finally:
        print("woken")

@tool
def patient(ctx: Context):
    print("waiting")
    while not ctx.cancelled: time.sleep(0.001)
    return "gave up"

@tool
def fails(how: str):
    if how == "cause":
        try: {}["k"]
        except KeyError as error: raise RuntimeError("outer") from error
    if how == "exit": sys.exit(3)
    if how == "interrupt": raise KeyboardInterrupt
    if how == "stop": raise StopIteration("s")
    if how == "typed": raise hatchery.NotFound("no user 7", {"user": 7})
    if how == "deep":
        def f(): f()
        f()
    if how == "str":
        class Odd(Exception):
            def __str__(self): raise RuntimeError
        raise Odd
    if how == "long": raise ValueError("x" * 200000)
    if how == "details": raise hatchery.Conflict("c", {"raw": b"bytes"})
    if how == "shape": raise ValueError("operands could not be broadcast together with shapes (2,3) (4,3)")

@tool
def fails_midway():
    yield 1
    raise ValueError("midway")

@tool
async def fails_async(): raise SystemExit(4)

@tool
def about(ctx: Context):
    same = hatchery.current_context()
    return [ctx.session_id, ctx.correlation_id, ctx.deadline is not None and 0 < ctx.time_left <= 5, same.correlation_id]

@tool
def progresses(ctx: Context):
    ctx.progress(0.5, "half"); ctx.progress(message="m"); ctx.progress(7)

@tool
def asks(name: str, ctx: Context): return ctx.call(name, key="k", blob=b"raw")

@tool
def asks_for_tools(ctx: Context): return ctx.tools()

@tool
def emits(name: str, ctx: Context): ctx.emit(name, {"ms": 1.5}, {"m": "a"})

@tool
def speaks(ctx: Context):
    print("one\\ntwo", end=""); print("!"); print("err", file=sys.stderr)
    logging.warning("logged"); ctx.log("x %d", 5); ctx.log.error("bad")
    sys.stdout.buffer.write(b"bytes\\n"); print("y" * 10000); print("rest", end="")

@tool
def stray():
    os.write(1, b"stray one\\n"); os.write(2, b"stray two\\n")
    subprocess.run(["echo", "from a child"], stdout=sys.stdout)

@tool
def forks():
    import multiprocessing
    process = multiprocessing.get_context("fork").Process(target=print, args=("from a fork",))
    process.start(); process.join()
    held = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
    held.start(); held.terminate(); held.join()
    pid = os.fork()
    if pid == 0: return "never seen"
    return [process.exitcode, held.exitcode, os.waitpid(pid, 0)[1]]

@tool
def descriptors():
    return subprocess.run("ls -l /proc/self/fd | wc -l; echo $HATCHERY_WIRE", shell=True, capture_output=True, text=True).stdout

@tool
def blob(data: bytes, n: int = 3): return {"data": data, "n": [data[:n]], "kind": type(data).__name__}

@tool
def view(data: memoryview): return [type(data).__name__, data.nbytes]

@tool
def late(ctx: Context):
    go = threading.Event()
    def speak():
        go.wait()
        ctx.log("late")
        try: ctx.progress(1)
        except Exception as error: print(error)
    Late.thread, Late.go = threading.Thread(target=speak), go
    Late.thread.start()

class Late: pass

@tool
def let_late_speak(): Late.go.set(); Late.thread.join()

class Counter:
    def __init__(self): self.n = 0
    @tool
    def count(self, by: int = 1):
        self.n += by
        return self.n
    def close(self): print(f"closed at {self.n}")
'''


class Calls(unittest.TestCase):
    stated = {}  # in HELLO; test_threads.py runs all of this with more than one call at once

    @classmethod
    def setUpClass(cls):
        cls.worker = Worker(APP, **cls.stated)
        cls.ready = cls.worker.ready()

    @classmethod
    def tearDownClass(cls):
        cls.worker.__exit__()

    def names(self, frames):
        return [frame.name for frame in frames]

    def logs(self):
        """The log lines up to the frame that ends the call, and that frame."""
        lines = []
        while True:
            frame = self.worker.read()
            if frame.name != "LOG":
                return lines, frame
            lines.append(frame.body["message"])

    def test_ready(self):
        tools = {entry["name"]: entry for entry in self.ready["tools"]}
        self.assertEqual(self.ready["version"], 1)
        self.assertEqual(tools["countdown"]["streaming"], True)
        self.assertEqual(tools["add"]["parameters"], [
            {"name": "a", "type": "int", "required": True},
            {"name": "b", "type": "int", "required": False, "default": 1}])  # fmt: skip
        self.assertIn("renamed", tools)
        self.assertNotIn("original", tools)

    def test_unary(self):
        self.assertEqual(self.worker.call("add", a=2), 3)
        self.assertEqual(self.worker.call("echo", value={"a": [1, None, BIG, "é\U0001f423"]}), {"a": [1, None, BIG, "é\U0001f423"]})
        self.assertEqual(self.worker.call("count", by=2) + 1, self.worker.call("count"))
        self.assertEqual(self.worker.call("nap"), self.worker.call("nap", seconds=0.001))

    def test_values_of_many_sizes(self):
        for length in (0, 1, 4000, 4063, 4064, 4096, 32768, 70000):
            self.assertEqual(self.worker.call("echo", value="x" * length), "x" * length)

    def test_calls_sent_at_once_are_answered_in_order(self):
        ids = [self.worker.start("add", a=n) for n in range(50)]
        self.assertEqual([(frame.id, frame.body) for frame in (self.worker.read() for _ in ids)],
                         [(id, n + 1) for n, id in enumerate(ids)])  # fmt: skip

    def test_refusals(self):
        error = self.worker.error("add", a="x")
        self.assertEqual((error["kind"], error["message"]), ("validation", "add: argument `a` must be int, got str ('x')"))
        self.assertEqual(error["details"], {"tool": "add", "parameter": "a"})
        self.assertEqual(self.worker.error("nothing")["kind"], "not_found")
        self.assertEqual(self.worker.error("countdown", n=1)["kind"], "validation")
        [frame] = self.worker.stream("add", a=1)
        self.assertEqual((frame.name, frame.body["kind"]), ("ERROR", "validation"))

    def test_streams(self):
        frames = self.worker.stream("countdown", n=3)
        self.assertEqual([(f.name, f.body) for f in frames], [("CHUNK", 3), ("CHUNK", 2), ("CHUNK", 1), ("END", "done")])
        self.assertEqual([f.body for f in self.worker.stream("ticks", n=3)], [0, 1, 2, None])
        self.assertEqual([f.body for f in self.worker.stream("listed")], [1, 2, None])
        frames = self.worker.stream("fails_midway")
        self.assertEqual((self.names(frames), frames[-1].body["message"]), (["CHUNK", "ERROR"], "midway"))

    def test_credit_holds_a_stream(self):
        for tool in ("countdown", "ticks"):
            with self.subTest(tool):
                # A chunk of one digit costs 33: two leave the balance at -16, so the third waits.
                id = self.worker.start(tool, stream=True, credit=50, n=5)
                self.assertEqual(self.names([self.worker.read(), self.worker.read()]), ["CHUNK", "CHUNK"])
                self.worker.send_control(wire.PING, 5)
                self.assertEqual(self.worker.read_control().name, "PONG")
                self.worker.send_control(wire.CREDIT, id, extra=17)
                self.assertEqual(self.worker.read().name, "CHUNK")
                self.worker.send_control(wire.CREDIT, id, extra=1000)
                self.assertEqual(self.names(self.worker.until_end(id)), ["CHUNK", "CHUNK", "END"])

    def test_an_end_needs_no_credit(self):
        self.assertEqual(self.names(self.worker.stream("countdown", credit=33, n=1)), ["CHUNK", "END"])

    def test_a_stream_is_cancelled_while_it_waits_for_credit(self):
        for tool in ("endless", "endless_async"):
            with self.subTest(tool):
                id = self.worker.start(tool, stream=True, credit=1)
                self.assertEqual(self.worker.read().name, "CHUNK")
                self.worker.send_control(wire.CANCEL, id)
                lines, frame = self.logs()
                self.assertEqual((lines, frame.name, frame.body["kind"]), (["closed"], "ERROR", "cancelled"))

    def test_a_stream_is_cancelled_at_its_next_yield(self):
        for tool in ("endless", "endless_async"):
            with self.subTest(tool):
                id = self.worker.start(tool, stream=True, credit=1 << 30)
                self.worker.send_control(wire.CANCEL, id)
                frames = self.worker.until_end(id)
                self.assertEqual(frames[-1].body["kind"], "cancelled")

    def test_a_coroutine_is_cancelled_where_it_awaits(self):
        id = self.worker.start("sleeper")
        self.assertEqual(self.worker.read().body["message"], "asleep")
        self.worker.send_control(wire.CANCEL, id)
        lines, frame = self.logs()
        self.assertEqual((lines, frame.body["kind"]), (["woken"], "cancelled"))

    def test_a_function_sees_that_it_is_cancelled(self):
        id = self.worker.start("patient")
        self.assertEqual(self.worker.read().body["message"], "waiting")
        self.worker.send_control(wire.CANCEL, id)
        self.assertEqual(self.worker.read().body, "gave up")

    def test_a_call_cancelled_before_it_begins_does_not_run(self):
        self.worker.send_control(wire.CANCEL, self.worker.next_id)
        self.worker.send_control(wire.CANCEL, 1)  # Long ended: of no effect.
        self.worker.send_control(wire.PING, 1)
        self.assertEqual(self.worker.read_control().name, "PONG")
        self.assertEqual(self.worker.error("speaks")["kind"], "cancelled")
        self.assertEqual(self.worker.call("add", a=1), 2)

    def test_errors(self):
        for how, kind, python_type, message in [
            ("cause", "remote", "RuntimeError", "outer"),
            ("exit", "remote", "SystemExit", "3"),
            ("interrupt", "remote", "KeyboardInterrupt", ""),
            ("stop", "remote", "StopIteration", "s"),
            ("typed", "not_found", "hatchery.NotFound", "no user 7"),
            ("deep", "remote", "RecursionError", None),
            ("str", "remote", "app.fails.<locals>.Odd", None),
            ("details", "conflict", "hatchery.Conflict", "c"),
        ]:
            with self.subTest(how):
                error = self.worker.error("fails", how=how)
                self.assertEqual((error["kind"], error["python_type"]), (kind, python_type))
                self.assertTrue(message is None or error["message"] == message, error)
                self.assertIn("app.py", error["traceback"])
                self.assertNotIn("loop.py", error["traceback"])
        self.assertEqual(self.worker.error("fails_async")["python_type"], "SystemExit")
        self.assertNotEqual(self.worker.call("nap"), 0)

    def test_what_an_error_carries(self):
        trace = self.worker.error("fails", how="cause")["traceback"]
        self.assertIn("KeyError: 'k'", trace)
        self.assertIn("direct cause", trace)
        self.assertEqual(self.worker.error("fails", how="typed")["details"], {"user": 7})
        self.assertEqual(self.worker.error("fails", how="shape")["details"], {
            "category": "shape_mismatch", "expected": [2, 3], "got": [4, 3], "dimension": 0, "expected_dim": 2, "got_dim": 4})  # fmt: skip
        long = self.worker.error("fails", how="long")
        self.assertLessEqual(len(long["traceback"]), 65536)
        self.assertLessEqual(len(long["message"]), 65536)

    def test_the_context(self):
        id = self.worker.start("about", keys={"session": "s", "timeout_us": 5_000_000})
        self.assertEqual(self.worker.read().body, ["s", f"{id:016x}", True, f"{id:016x}"])
        id = self.worker.start("about")
        self.assertEqual(self.worker.read().body, [None, f"{id:016x}", False, f"{id:016x}"])

    def test_progress(self):
        self.worker.start("progresses")
        bodies = [self.worker.read().body for _ in range(4)]
        self.assertEqual(bodies, [{"fraction": 0.5, "message": "half"}, {"fraction": None, "message": "m"},
                                  {"fraction": 1.0, "message": None}, None])  # fmt: skip

    def test_host_tools(self):
        id = self.worker.start("asks", name="lookup")
        asked = self.worker.read()
        self.assertEqual(asked.name, "HOST_CALL")
        self.assertEqual(asked.value, {"call": id, "tool": "lookup", "args": {"key": "k", "blob": b"raw"}, "correlation_id": f"{id:016x}"})
        self.worker.send_control(wire.HOST_RESULT, asked.id, {"value": [1]})
        self.assertEqual(self.worker.read().body, {"value": [1]})

    def test_a_host_tool_that_fails(self):
        self.worker.start("asks", name="lookup")
        asked = self.worker.read()
        self.worker.send_control(wire.HOST_ERROR, asked.id, {"kind": "not_found", "message": "no such tool"})
        error = self.worker.read().body
        self.assertEqual((error["kind"], error["python_type"], error["message"], error["details"]),
                         ("remote", "hatchery.HostError", "no such tool", {"host_kind": "not_found"}))  # fmt: skip

    def test_a_host_call_ends_with_its_call(self):
        id = self.worker.start("asks", name="lookup")
        asked = self.worker.read()
        self.worker.send_control(wire.CANCEL, id)
        self.assertEqual(self.worker.read().body["kind"], "cancelled")
        self.worker.send_control(wire.HOST_RESULT, asked.id, 1)  # Late, and dropped.
        self.assertEqual(self.worker.call("add", a=1), 2)

    def test_an_answer_with_an_attachment(self):
        self.worker.start("asks", name="lookup")
        asked = self.worker.read()
        table = {"mark": "$m", "items": [{"kind": "bytes", "offset": 0, "length": 3}]}
        self.worker.control.sendall(with_attachments(wire.HOST_RESULT, asked.id, {"b": {"$m": 0}}, table, b"abc"))
        self.assertEqual(self.worker.read().value, {"b": b"abc"})

    def test_the_list_of_host_tools(self):
        id = self.worker.start("asks_for_tools")
        asked = self.worker.read()
        self.assertEqual((asked.name, asked.body), ("HOST_TOOLS", {"call": id}))
        self.worker.send_control(wire.HOST_RESULT, asked.id, [{"name": "lookup"}])
        self.assertEqual(self.worker.read().body, [{"name": "lookup"}])

    def test_telemetry(self):
        self.worker.start("emits", name="model.loaded")
        event, end = self.worker.read(), self.worker.read()
        self.assertEqual((event.name, event.body["name"], event.body["measurements"]), ("EVENT", "model.loaded", {"ms": 1.5}))
        self.assertEqual(end.name, "RESULT")
        for order, name in (({"deny": ["model.*"]}, "model.x"), ({"deny": [], "allow": ["a.?"]}, "a.bb"), ({"sampling": 0}, "a.b"),
                            ({"enabled": False, "sampling": 1.0}, "a.b")):  # fmt: skip
            self.worker.send_control(wire.TELEMETRY, 0, order)
            self.worker.send_control(wire.PING, 1)
            self.worker.read_control()
            self.assertEqual(self.worker.outcome("emits", name=name).name, "RESULT", order)
        self.worker.send_control(wire.TELEMETRY, 0, {"enabled": True, "allow": []})
        self.worker.send_control(wire.PING, 1)
        self.worker.read_control()

    def test_what_is_printed_is_log(self):
        id = self.worker.start("speaks")
        frames = self.worker.until_end(id)
        lines = [(f.body["source"], f.body["level"], f.body["message"]) for f in frames[:-1]]
        self.assertEqual(lines[:8], [
            ("stdout", "info", "one"), ("stdout", "info", "two!"), ("stderr", "warning", "err"),
            ("stderr", "warning", "WARNING:root:logged"), ("log", "info", "x 5"), ("log", "error", "bad"),
            ("stdout", "info", "bytes"), ("stdout", "info", "y" * 8192)])  # fmt: skip
        self.assertEqual(lines[8:], [("stdout", "info", "y" * 1808), ("stdout", "info", "rest")])
        self.assertEqual({f.body["correlation_id"] for f in frames[:-1]}, {f"{id:016x}"})

    def test_stray_writes_are_no_protocol(self):
        self.assertIsNone(self.worker.call("stray"))
        self.assertIn("stray one\nfrom a child\n", self.worker.out())
        self.assertIn("stray two", self.worker.err())

    def test_forked_children_cannot_write_into_the_protocol(self):
        self.assertEqual(self.worker.call("forks"), [0, -15, 0])
        self.assertIn("from a fork\n", self.worker.out())
        self.assertEqual(self.worker.call("add", a=1), 2)

    def test_programs_that_are_started_hold_no_descriptor_of_the_wire(self):
        count, variable = self.worker.call("descriptors").split("\n")[:2]
        self.assertLessEqual(int(count), 5 + 1)  # 0-2, the folder, and a head line.
        self.assertEqual(variable, "")

    def test_attachments(self):
        table = {"mark": "$m", "items": [{"kind": "bytes", "offset": 0, "length": 5}]}
        for tool, expected in (("blob", {"data": b"hello", "n": [b"hel"], "kind": "bytes"}), ("view", ["memoryview", 5])):
            id, self.worker.next_id = self.worker.next_id, self.worker.next_id + 1
            body = {"tool": tool, "args": {"data": {"$m": 0}}}
            self.worker.send(0, 0, parts=with_attachments(wire.CALL, id, body, table, b"hello"))
            self.assertEqual(self.worker.read().value, expected)

    def test_a_call_that_has_ended_is_not_spoken_for(self):
        id = self.worker.start("late")
        self.assertEqual(self.worker.read().name, "RESULT")
        self.worker.start("let_late_speak")
        log = self.worker.read()
        self.assertEqual((log.name, log.id, log.body["message"], log.body["correlation_id"]), ("LOG", 0, "late", f"{id:016x}"))
        self.assertEqual(self.worker.read().name, "RESULT")


class Agreement(unittest.TestCase):
    def test_what_was_not_agreed_is_unavailable(self):
        with Worker(APP, capabilities=["cancel"]) as worker:
            worker.ready()
            for tool, arguments in (("progresses", {}), ("asks", {"name": "n"}), ("asks_for_tools", {}), ("emits", {"name": "a"})):
                self.assertEqual(worker.error(tool, **arguments)["kind"], "unavailable", tool)
            worker.call("speaks")
            self.assertIn("two!\n", worker.out())
            self.assertIn("WARNING:root:logged\n", worker.err())

    def test_a_result_over_the_limit(self):
        with Worker("from hatchery import tool\n@tool\ndef f(n: int): return 'x' * n\n@tool\ndef b(): return b'x' * 11",
                    limits={"max_body": 1000, "max_data": 10}) as worker:  # fmt: skip
            worker.ready()
            error = worker.error("f", n=1000)
            self.assertEqual((error["kind"], error["details"]), ("limit", {"part": "body", "length": 1002, "limit": 1000}))
            self.assertEqual(worker.error("b")["details"], {"part": "data", "length": 11, "limit": 10})
            self.assertEqual(worker.call("f", n=1), "x")

    def test_binary_results_need_attachments(self):
        with Worker("from hatchery import tool\n@tool\ndef b(): return b'x'", capabilities=["log"]) as worker:
            worker.ready()
            self.assertEqual(worker.error("b")["kind"], "unavailable")


if __name__ == "__main__":
    unittest.main()
