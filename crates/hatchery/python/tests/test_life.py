"""How workers begin and end: apps that do not load, SHUTDOWN, SIGTERM, a host that is gone, breaches."""

import glob
import os
import shutil
import signal
import sys
import tempfile
import unittest
from unittest import mock

from hatchery import wire

from . import host
from .host import Worker

ONE = "from hatchery import tool\n@tool\ndef one(): return 1\n"
WAITS = """
import time
from hatchery import Context, tool
@tool
def waits(path: str):
    import os
    print("waiting")
    while not os.path.exists(path): time.sleep(0.001)
    return "done"
@tool
def sleeps():
    print("asleep")
    time.sleep(3600)
class Kept:
    @tool
    def kept(self): return 1
    def close(self): print("closed")
class Bad:
    @tool
    def bad(self): return 1
    async def close(self): raise ValueError("cannot close")
"""


class Loading(unittest.TestCase):
    def refused(self, source, message, trace=None, **options):
        with Worker(source, **options) as worker:
            frame = worker.read_control()
            self.assertEqual((frame.name, frame.id, frame.body["kind"]), ("ERROR", 0, "validation"), worker.err())
            self.assertEqual(frame.body["message"].replace(worker.app, "APP"), f"load app APP: {message}")
            found = frame.body.get("traceback")
            self.assertEqual(found is not None, trace is not None, found)
            if trace:
                self.assertIn(trace, found)
                self.assertNotIn(os.path.join("hatchery", "app.py"), found)
            self.assertEqual(worker.exit_status(), 78)

    def test_what_is_said_of_apps_that_do_not_load(self):
        self.refused("def f():\n  pass\ndef g(:\n  pass\n", "SyntaxError: invalid syntax (line 3)", "def g(:")
        self.refused("x = 1\nraise ValueError('no')\n", "ValueError: no", 'app.py", line 2')
        self.refused("import sys; sys.exit(3)", "SystemExit: 3", "app.py")
        self.refused("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'", "app.py")
        self.refused("x = 1", "it has no tools: put @tool above a function or method")
        self.refused("", "no such file", app="/nowhere/app.py")
        self.refused(ONE, "there is no `tow` in it", attr="tow")
        self.refused(ONE, "there is no `onee` in it (did you mean `one`?)", attr="onee")
        self.refused("def f(): pass", "`f` is no tool: put @tool above it", attr="f")
        self.refused("class C: pass", "`C` has no tools: put @tool above a method", attr="C")
        self.refused("from hatchery import tool\nclass C:\n def __init__(self): raise ValueError('bad')\n @tool\n def f(self): 1",
                     "C(): ValueError: bad", "line 3, in __init__")  # fmt: skip
        self.refused("from hatchery import tool\n@tool\ndef f(*a): 1",
                     "TypeError: tool f: the parameter *a can only be given by position, but arguments of tools are given by name",
                     "TypeError")  # fmt: skip

    def test_two_tools_of_one_name_are_both_named(self):
        source = ONE + "class C:\n @tool\n def one(self): return 2\n"
        self.refused(source, "two tools are called `one`: APP:2 (one) and APP:5 (C.one)")

    def test_a_tool_that_hides_another_is_refused(self):
        source = ONE + "@tool\ndef one(): return 2\n"
        self.refused(source, "two tools are called `one`: APP:2 (one) and APP:4 (one)")

    def test_what_an_attribute_restricts(self):
        source = ONE + "class C:\n @tool\n def two(self): return 2\nmade = C()\n"
        for attr, names in (("one", ["one"]), ("C", ["two"]), ("made", ["two"]), (None, ["one", "two"])):
            with Worker(source, attr=attr) as worker:
                self.assertEqual([entry["name"] for entry in worker.ready()["tools"]], names)

    def test_a_base_class_lends_its_tools(self):
        source = "from hatchery import tool\nclass A:\n @tool\n def a(self): return type(self).__name__\nclass B(A): pass\n"
        with Worker(source) as worker:
            worker.ready()
            self.assertEqual(worker.call("a"), "B")

    def test_the_app_is_a_module_like_any_other(self):
        source = ONE + "import sys, pickle, dataclasses\n@dataclasses.dataclass\nclass D:\n  x: int\n" \
            "@tool\ndef names(): return [__name__, sys.modules['app'].__file__, pickle.loads(pickle.dumps(D(1))).x, sys.path[0]]\n"  # fmt: skip
        with Worker(source, environment={"PYTHONDONTWRITEBYTECODE": ""}) as worker:
            worker.ready()
            self.assertEqual(worker.call("names"), ["app", worker.app, 1, worker.folder.name])
            self.assertEqual(glob.glob(worker.folder.name + "/*"), [worker.app])

    def test_an_app_may_be_a_module_name(self):
        with Worker(ONE, app="app", environment={"PYTHONDONTWRITEBYTECODE": "1"}) as worker:
            worker.ready()
            self.assertEqual(worker.call("one"), 1)

    def test_an_installed_package_of_the_name_does_not_win(self):
        with Worker(ONE) as worker:
            worker.ready()
        with Worker(ONE, environment={"PYTHONPATH": "/nowhere", "PYTHONSAFEPATH": "1"}) as worker:
            worker.ready()
            self.assertEqual(worker.call("one"), 1)

    def test_what_is_printed_while_loading_is_log(self):
        with Worker("print('loading')\n" + ONE) as worker:
            worker.ready()
            log = worker.read()
            self.assertEqual((log.name, log.id, log.body), ("LOG", 0, {"level": "info", "message": "loading", "source": "stdout"}))

    def test_the_bytecode_of_the_runtime_is_kept_and_that_of_others_is_not(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(host, "BOOT", os.path.join(folder, "boot.py")):
            shutil.copy(os.path.join(host.ROOT, "boot.py"), folder)
            shutil.copytree(os.path.join(host.ROOT, "hatchery"), os.path.join(folder, "hatchery"), ignore=shutil.ignore_patterns("__pycache__"))
            with Worker("import beside\n" + ONE, environment={"PYTHONDONTWRITEBYTECODE": "1"}, hello=False) as worker:
                open(os.path.join(worker.folder.name, "beside.py"), "w").close()
                worker.say_hello()
                worker.ready()
                self.assertTrue(glob.glob(os.path.join(folder, "hatchery", "__pycache__", "worker.*.pyc")))
                self.assertEqual(sorted(os.listdir(worker.folder.name)), ["app.py", "beside.py"])

    def test_no_version_in_common(self):
        with Worker(ONE, versions=[2, 3]) as worker:
            frame = worker.read_control()
            self.assertEqual((frame.name, frame.body["kind"]), ("ERROR", "protocol"))
            self.assertIn("version 1", frame.body["message"])

    def test_an_old_python_says_so(self):
        old = sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.[678].*/bin/python3")) + glob.glob(os.path.expanduser("~/.pyenv/versions/2.7*/bin/python")))
        if not old:
            self.skipTest("no Python older than 3.9 is here")
        for python in old:
            with self.subTest(python), Worker(ONE, python=python) as worker:
                body = worker.read_control().body
                self.assertEqual(body["kind"], "validation")
                self.assertRegex(body["message"], r"^Python \d\.\d+\.\d+ \(.*\) is too old: hatchery needs 3\.9 or newer$")
                self.assertEqual(worker.exit_status(), 78)

    def test_started_by_hand_it_says_what_is_missing(self):
        import subprocess

        from .host import BOOT

        environment = {key: value for key, value in os.environ.items() if key != "HATCHERY_WIRE"}
        done = subprocess.run([sys.executable, BOOT, "app.py"], env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 64)
        self.assertIn("HATCHERY_WIRE", done.stderr)


class Ending(unittest.TestCase):
    def ends_well(self, worker, order):
        """The order ends it with status 0, after its app has cleaned up."""
        order()
        lines = []
        while True:
            frame = worker.read()
            if frame.name == "EOF":
                break
            lines.append(frame.body if frame.name != "LOG" else frame.body["message"])
        self.assertEqual(worker.exit_status(), 0, worker.err())
        self.assertIn("closed", lines)
        self.assertIn("ValueError: cannot close", lines)
        return lines

    def orders(self, worker):
        return {
            "SHUTDOWN": lambda: worker.send_control(wire.SHUTDOWN, 0, {"grace_us": 1}),
            "SIGTERM": lambda: worker.process.send_signal(signal.SIGTERM),
            "end of file": worker.close_calls,
        }

    def test_threads_that_tools_left_are_not_waited_for(self):
        source = "import atexit, threading\nfrom hatchery import tool\n@tool\ndef leave():\n" \
            " threading.Thread(target=threading.Event().wait).start()\n atexit.register(print, 'at exit')\n"  # fmt: skip
        with Worker(source) as worker:
            worker.ready()
            worker.call("leave")
            worker.send_control(wire.SHUTDOWN, 0, {"grace_us": 1})
            self.assertEqual(worker.read().body["message"], "at exit")
            self.assertEqual(worker.exit_status(), 0)

    def test_while_idle(self):
        for name in ("SHUTDOWN", "SIGTERM", "end of file"):
            for calls in (0, 2):
                with self.subTest(name), Worker(WAITS) as worker:
                    worker.ready()
                    for _ in range(calls):
                        worker.call("kept")
                    self.ends_well(worker, self.orders(worker)[name])

    def test_a_call_that_runs_is_finished(self):
        for name in ("SHUTDOWN", "SIGTERM", "end of file"):
            with self.subTest(name), Worker(WAITS) as worker:
                worker.ready()
                path = os.path.join(worker.folder.name, "go")
                worker.start("waits", path=path)
                self.assertEqual(worker.read().body["message"], "waiting")

                def order(name=name, worker=worker, path=path):
                    self.orders(worker)[name]()
                    open(path, "w").close()

                self.assertIn("done", self.ends_well(worker, order))

    def test_a_call_sent_before_the_order_is_answered(self):
        for _ in range(20):
            with Worker(WAITS) as worker:
                worker.ready()
                worker.start("kept")
                self.assertIn(1, self.ends_well(worker, self.orders(worker)["SHUTDOWN"]))

    def test_while_the_app_loads(self):
        for name in ("SHUTDOWN", "SIGTERM"):
            with self.subTest(name), Worker("print('loading')\nimport time\ntime.sleep(3600)") as worker:
                self.assertEqual(worker.read().body["message"], "loading")
                self.orders(worker)[name]()
                self.assertEqual(worker.exit_status(), 0)

    def test_an_interrupt_is_the_hosts_affair(self):
        with Worker(ONE) as worker:
            worker.ready()
            worker.process.send_signal(signal.SIGINT)
            self.assertEqual(worker.call("one"), 1)

    def test_without_a_host_it_is_gone_at_once(self):
        for busy in (False, True):
            with self.subTest(busy=busy), Worker(WAITS) as worker:
                worker.ready()
                if busy:
                    worker.start("sleeps")
                    worker.read()
                worker.control.close()
                self.assertEqual(worker.exit_status(), 0)
                self.assertNotIn("closed", worker.out())


class Breaches(unittest.TestCase):
    def test_a_breach_ends_the_worker(self):
        for name, send in {
            "magic": lambda w: w.send(0, 0, parts=b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            "direction": lambda w: w.send(wire.RESULT, 1, 1),
            "body": lambda w: w.send(wire.CALL, 1, {"tool": 1, "args": {}}),
            "body: CALL is no JSON": lambda w: w.send(0, 0, parts=wire.frame(wire.CALL, 1, b"{")),
            "body: CALL must be": lambda w: w.send(wire.CALL, 1, []),
            "state": lambda w: w.send_control(wire.HELLO, 0, {"versions": [1]}),
            "channel": lambda w: w.send_control(wire.CALL, 1, {"tool": "one", "args": {}}),
            "body: TELEMETRY": lambda w: w.send_control(wire.TELEMETRY, 0, []),
        }.items():
            with self.subTest(name), Worker(ONE) as worker:
                worker.ready()
                send(worker)
                self.assertEqual(worker.exit_status(), 70)
                self.assertIn(f"protocol breach: {name}", worker.err())

    def test_a_table_that_is_wrong(self):
        from .host import with_attachments

        with Worker("from hatchery import tool\n@tool\ndef f(x): return x") as worker:
            worker.ready()
            table = {"mark": "$m", "items": [{"kind": "bytes", "offset": 0, "length": 9}]}
            worker.send(0, 0, parts=with_attachments(wire.CALL, 1, {"tool": "f", "args": {"x": {"$m": 0}}}, table, b"abc"))
            self.assertEqual(worker.exit_status(), 70)
            self.assertIn("protocol breach: table", worker.err())


if __name__ == "__main__":
    unittest.main()
