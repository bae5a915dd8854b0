"""Tools that do to their worker what tools do: each call is answered all the same, and so is the next one."""

import signal
import threading
import unittest

from hatchery import wire
from hatchery.calls import Call, Calls

from .host import Worker

APP = '''
import asyncio, concurrent.futures, contextvars, functools, gc, io, multiprocessing, signal, sys, threading, time, weakref
import hatchery
from hatchery import Context, tool

@tool
def one(): return 1

class Bare(hatchery.HatcheryError):
    def __init__(self): pass

class Dies(Exception):
    def __str__(self): raise SystemExit(9)

class Nameless(Exception): pass
Nameless.__module__ = None

class Facts:
    def to_dict(self): raise SystemExit(9)

class Causeless(Exception):
    @property
    def __cause__(self): raise RuntimeError("no cause")

@tool
def fails(how: str):
    if how == "bare": raise Bare
    if how == "dies": raise Dies
    if how == "nameless": raise Nameless("n")
    if how == "facts": raise hatchery.Conflict("c", {"facts": Facts()})
    if how == "causeless": raise Causeless("n")
    if how == "memory": raise MemoryError
    if how == "generator exit": raise GeneratorExit
    if how == "chain":
        error = None
        for n in range(3000):
            made = ValueError(n); made.__cause__ = error; error = made
        raise error

@tool
def result_dies(): return Facts()

@tool
def rewraps():
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", line_buffering=True)
    gc.collect()
    print("wrapped")

@tool
def wide(): print("x" + "é" * 6000)

@tool
def watches(kept: set, ctx: Context):
    """Prints once the argument, and the context, have gone: which must be while the worker is idle."""
    held = weakref.ref(kept)
    def watch():
        end = time.monotonic() + 5
        while held() is not None and time.monotonic() < end: time.sleep(0.001)
        print("kept" if held() is not None else "gone")
    threading.Thread(target=watch).start()

@tool
def watches_stream(kept: set):
    watches(kept, None)
    yield 1

@tool
def watches_failing(kept: set):
    watches(kept, None)
    raise ValueError("v")

TENANT = contextvars.ContextVar("tenant", default="nobody")

@tool
def tenant(name: str):
    before = TENANT.get()
    TENANT.set(name)
    return before

@tool
def tenants(names: list):
    for name in names:
        before = TENANT.get()
        TENANT.set(name)
        yield before

@tool
def runs_a_loop():
    async def two(): return 2
    return asyncio.run(two())

@tool
async def awaits():
    await asyncio.sleep(0)
    return 3

@tool
async def stops_the_loop():
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "never"

@tool
async def stops_the_stream():
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    yield 1

@tool
async def leaves_a_task():
    async def exits(): await asyncio.sleep(0); sys.exit(5)
    leaves_a_task.task = asyncio.ensure_future(exits())

@tool
def handles_signals():
    """As a library does that has an event loop of its own."""
    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, print)
        loop.remove_signal_handler(signal.SIGUSR1)
    asyncio.run(main())

def double(x): return 2 * x

@tool
def in_processes(method: str):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        return list(pool.map(double, [1, 2]))

@tool
def ignores_close():
    while True:
        try: yield 1
        except GeneratorExit: pass

@tool
def asks_in_a_thread(ctx: Context):
    found = []
    def ask():
        try: found.append(ctx.call("lookup"))
        except hatchery.Cancelled: found.append("cancelled")
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return found

@tool
def swallows(ctx: Context):
    try: return ctx.call("lookup")
    except Exception: return "swallowed"

class Held:
    @tool
    def held(self): return 1
    def close(self): print("closed")
class Leaves(Held):
    @tool
    def leaves(self): return 1
    @tool
    @staticmethod
    def static(): return "static"
    @tool
    @classmethod
    def of_class(cls): return cls.__name__
    @property
    def broken(self): raise RuntimeError("a property is no tool")
    def close(self): super().close(); sys.exit(3)

'''


class Misbehaviour(unittest.TestCase):
    def setUp(self):
        self.worker = Worker(APP)
        self.addCleanup(self.worker.__exit__)
        self.worker.ready()

    def lines(self):
        """The log lines up to the frame that ends the call, and that frame."""
        lines = []
        while True:
            frame = self.worker.read()
            if frame.name != "LOG":
                return lines, frame
            lines.append(frame.body["message"])

    def test_errors_that_cannot_be_told(self):
        for how, kind in (("bare", "remote"), ("dies", "remote"), ("nameless", "remote"), ("facts", "conflict"), ("memory", "remote"),
                          ("causeless", "remote"), ("chain", "remote"), ("generator exit", "remote")):  # fmt: skip
            with self.subTest(how):
                self.assertEqual(self.worker.error("fails", how=how)["kind"], kind)
        self.assertEqual(self.worker.error("result_dies")["python_type"], "SystemExit")
        self.assertEqual(self.worker.call("one"), 1)

    def test_stdout_may_be_wrapped_again(self):
        self.worker.start("rewraps")
        lines, end = self.lines()
        self.assertEqual((lines, end.name), (["wrapped"], "RESULT"), end)

    def test_long_lines_are_cut_between_characters(self):
        self.worker.start("wide")
        lines, _ = self.lines()
        self.assertEqual("".join(lines), "x" + "é" * 6000)

    def test_nothing_of_a_call_is_held_while_the_worker_is_idle(self):
        for tool in ("watches", "watches_stream", "watches_failing"):
            with self.subTest(tool):
                self.worker.start(tool, stream=tool == "watches_stream", kept=[1, 2])
                while self.worker.read().name in ("CHUNK",):
                    pass
                self.assertEqual(self.worker.read().body["message"], "gone")

    def test_context_variables_end_with_their_call(self):
        self.assertEqual([self.worker.call("tenant", name="a"), self.worker.call("tenant", name="b")], ["nobody", "nobody"])
        frames = self.worker.stream("tenants", names=["c", "d"])
        self.assertEqual([frame.body for frame in frames], ["nobody", "c", None])
        self.assertEqual(self.worker.call("tenant", name="e"), "nobody")

    def test_a_tool_may_run_an_event_loop_of_its_own(self):
        self.assertEqual([self.worker.call(tool) for tool in ("runs_a_loop", "awaits", "runs_a_loop", "awaits")], [2, 3, 2, 3])

    def test_a_coroutine_that_stops_its_loop(self):
        self.assertEqual(self.worker.error("stops_the_loop")["python_type"], "RuntimeError")
        self.assertEqual(self.worker.call("awaits"), 3)
        self.assertEqual(self.worker.stream("stops_the_stream")[-1].name, "ERROR")
        self.assertEqual(self.worker.call("awaits"), 3)

    def test_a_task_left_behind_that_exits(self):
        self.worker.call("leaves_a_task")
        outcomes = [self.worker.outcome("awaits") for _ in range(3)]
        self.assertEqual(outcomes[-1].body, 3)

    def test_sigterm_after_a_tool_has_handled_signals(self):
        self.worker.call("handles_signals")
        self.worker.process.send_signal(signal.SIGTERM)
        lines, end = self.lines()
        self.assertEqual((end.name, self.worker.exit_status()), ("EOF", 0))

    def test_processes_of_a_tools_own(self):
        for method in ("fork", "spawn", "forkserver"):
            with self.subTest(method):
                self.assertEqual(self.worker.call("in_processes", method=method), [2, 4])
        self.assertEqual(self.worker.call("one"), 1)

    def test_a_generator_that_will_not_close(self):
        id = self.worker.start("ignores_close", stream=True, credit=1)
        self.assertEqual(self.worker.read().name, "CHUNK")
        self.worker.send_control(wire.CANCEL, id)
        self.assertEqual(self.lines()[1].name, "ERROR")
        self.assertEqual(self.worker.call("one"), 1)

    def test_threads_that_ask_the_host(self):
        self.worker.start("asks_in_a_thread")
        for asked in [self.worker.read() for _ in range(3)][::-1]:
            self.worker.send_control(wire.HOST_RESULT, asked.id, asked.id)
        self.assertEqual(sorted(self.worker.read().body), [1, 2, 3])
        id = self.worker.start("asks_in_a_thread")
        for _ in range(3):
            self.worker.read()
        self.worker.send_control(wire.CANCEL, id)
        self.assertEqual(self.worker.read().body, ["cancelled"] * 3)

    def test_arguments_that_nest_too_deep_hurt_their_call_alone(self):
        depth = 100_000
        body = b'{"tool":"one","args":{"x":' + b"[" * depth + b"]" * depth + b"}}"
        self.worker.next_id = 2
        self.worker.send(0, 0, parts=wire.frame(wire.CALL, 1, body)[: 60_000])
        self.worker.send(0, 0, parts=wire.frame(wire.CALL, 1, body)[60_000 :])
        frame = self.worker.read()
        self.assertEqual((frame.name, frame.id), ("ERROR", 1))
        # An old orjson reads any depth, and then it is an argument that nobody knows.
        self.assertIn(frame.body["kind"], ("limit", "validation"))
        self.assertEqual(self.worker.call("one"), 1)

    def test_an_integer_that_this_python_cannot_read_hurts_its_call_alone(self):
        body = b'{"tool":"one","args":{"x":' + b"7" * 5000 + b"}}"
        self.worker.next_id = 2
        self.worker.send(0, 0, parts=wire.frame(wire.CALL, 1, body))
        frame = self.worker.read()
        self.assertEqual((frame.name, frame.id), ("ERROR", 1))
        # Where there is no such limit, it is an argument that nobody knows.
        self.assertIn(frame.body["kind"], ("limit", "validation"))
        self.assertEqual(self.worker.call("one"), 1)

    def test_one_close_that_exits_does_not_keep_others_from_closing(self):
        self.worker.close_calls()
        lines, end = self.lines()
        self.assertEqual((end.name, self.worker.exit_status()), ("EOF", 0), self.worker.err())
        self.assertIn("closed", lines)

    def test_methods(self):
        for name, value in (("static", "static"), ("of_class", "Leaves"), ("held", 1)):
            self.assertEqual(self.worker.call(name), value)

    def test_an_answer_that_is_no_json_is_a_breach(self):
        self.worker.start("swallows")
        asked = self.worker.read()
        self.worker.control.sendall(wire.frame(wire.HOST_RESULT, asked.id, b"{"))
        self.assertEqual(self.worker.exit_status(), 70)
        self.assertIn("protocol breach: body: HOST_RESULT is no JSON", self.worker.err())


class Cancels(unittest.TestCase):
    def test_a_cancel_is_kept_that_comes_while_another_call_ends(self):
        calls = Calls()
        thread = threading.Thread(target=calls.cancel, args=(9,))

        class Meddled(set):
            def __iter__(self):
                yield from set(self)
                thread.start()
                thread.join(0.1)  # Where the two do exclude each other, it has to wait for the end of this.

        calls._cancelled = Meddled({2, 3})
        calls.end(Call(None, 2, {}, 0))
        thread.join()
        call = Call(None, 9, {}, 0)
        calls.begin(call)
        self.assertTrue(call.cancelled)


class Breaches(unittest.TestCase):
    def test_values_of_a_wrong_kind(self):
        call = {"tool": "one", "args": {}, "timeout_us": "soon"}
        for name, send in {
            "body: CALL": lambda w: w.send(wire.CALL, 1, call),
            "body: TELEMETRY: sampling": lambda w: w.send_control(wire.TELEMETRY, 0, {"sampling": "all"}),
            "body: TELEMETRY: allow": lambda w: w.send_control(wire.TELEMETRY, 0, {"allow": "model.*"}),
            "body: TELEMETRY: enabled": lambda w: w.send_control(wire.TELEMETRY, 0, {"enabled": 0}),
        }.items():
            with self.subTest(name), Worker(APP) as worker:
                worker.ready()
                send(worker)
                self.assertEqual(worker.exit_status(), 70)
                self.assertIn(f"protocol breach: {name}", worker.err())

    def test_versions_that_are_no_list(self):
        with Worker(APP, versions=1) as worker:
            self.assertEqual(worker.exit_status(), 70)
            self.assertIn("protocol breach: body: HELLO", worker.err())


class Apps(unittest.TestCase):
    def test_a_global_that_cannot_be_asked_is_no_tool(self):
        source = "from hatchery import tool\nclass Proxy:\n def __getattr__(self, name): raise RuntimeError('out of context')\n" \
            "request = Proxy()\n@tool\ndef one(): return 1\n"  # fmt: skip
        with Worker(source) as worker:
            self.assertEqual([entry["name"] for entry in worker.ready()["tools"]], ["one"])

    def test_callables_that_are_no_functions(self):
        source = "import functools\nfrom hatchery import tool\ndef add(a: int, b: int): return a + b\n" \
            "add_one = tool(functools.partial(add, b=1), name='add_one')\n" \
            "class Adds:\n def __call__(self, x: int): return x + 2\nadd_two = tool(Adds(), name='add_two')\n" \
            "@tool\n@functools.lru_cache\ndef cached(x: int): return x\n"  # fmt: skip
        with Worker(source) as worker:
            tools = {entry["name"]: entry["parameters"] for entry in worker.ready()["tools"]}
            self.assertEqual(sorted(tools), ["add_one", "add_two", "cached"])
            self.assertEqual(tools["add_two"], [{"name": "x", "type": "int", "required": True}])
            self.assertEqual(worker.call("add_one", a=1), 2)
            self.assertEqual(worker.call("add_two", x=1), 3)
            self.assertEqual(worker.call("cached", x=4), 4)
            self.assertEqual(worker.error("add_two", x="1")["kind"], "validation")


if __name__ == "__main__":
    unittest.main()
