"""`health()` of an app, and what READY says of the interpreter."""

import sys
import sysconfig
import unittest

from hatchery import wire

from .host import Worker

ONE = "from hatchery import tool\n@tool\ndef one(): return 1\n"
OF_CLASS = """
from hatchery import tool
class C:
    n = 0
    @tool
    def f(self): self.n += 1
    def health(self): return {"n": self.n}
"""


class Health(unittest.TestCase):
    def verdict(self, body, prefix="", **options):
        with Worker(f"{ONE}{prefix}def health(): {body}\n", **options) as worker:
            ready = worker.ready()
            self.assertIn("health", ready["capabilities"])
            self.assertEqual([entry["name"] for entry in ready["tools"]], ["one"])
            found = worker.call("hatchery.health")
            self.assertEqual(sorted(found), ["details", "healthy"])
            return found["healthy"], found["details"]

    def test_what_is_healthy(self):
        for body, details in (("pass", None), ("return True", None), ("return {'gpu': 1}", {"gpu": 1}), ("return {}", {})):
            for prefix in ("", "async "):
                with self.subTest(prefix + body):
                    self.assertEqual(self.verdict(body, prefix), (True, details))

    def test_what_is_not(self):
        for prefix in ("", "async "):
            self.assertEqual(self.verdict("return False", prefix), (False, None))
            healthy, details = self.verdict("raise ValueError('no gpu')", prefix)
            self.assertEqual((healthy, details["message"], details["python_type"]), (False, "no gpu", "ValueError"))
            self.assertIn("app.py", details["traceback"])
            healthy, details = self.verdict("return 0", prefix)
            self.assertEqual((healthy, details["message"]),
                             (False, "health() gave int; it gives None or True, a dict of details, or False"))  # fmt: skip

    def test_it_is_asked_in_threads_as_well(self):
        self.assertEqual(self.verdict("return {'a': 1}", max_in_flight=2), (True, {"a": 1}))

    def test_it_can_be_cancelled(self):
        with Worker(ONE + "import asyncio\nasync def health():\n print('asked')\n await asyncio.sleep(3600)\n") as worker:
            worker.ready()
            id = worker.start("hatchery.health")
            worker.read()
            worker.send_control(wire.CANCEL, id)
            self.assertEqual(worker.read().body["kind"], "cancelled")

    def test_a_method_is_asked_where_the_app_is_its_class(self):
        with Worker(OF_CLASS, attr="C") as worker:
            worker.ready()
            worker.call("f")
            self.assertEqual(worker.call("hatchery.health"), {"healthy": True, "details": {"n": 1}})

    def test_an_app_without_it_does_not_offer_it(self):
        as_tool = ONE + "@tool\ndef health(): return 'a tool'\n"
        for source, options in ((ONE, {}), (as_tool, {}), (OF_CLASS, {}), (ONE + "health = 7\n", {}),
                                (ONE + "def health(): pass\n", {"capabilities": ["log"]})):  # fmt: skip
            with Worker(source, **options) as worker:
                offered = worker.ready()["capabilities"]
                self.assertEqual("health" in offered, "capabilities" in options, source)
                self.assertEqual(worker.error("hatchery.health")["kind"], "not_found")

    def test_names_of_the_wire_and_what_health_cannot_take(self):
        for source, problem in (
            (ONE + "@tool(name='hatchery.health')\ndef f(): pass",
             "names of tools that begin with `hatchery.` are reserved: hatchery.health, "),
            (ONE + "def health(level): pass", "TypeError: health() is called without arguments, and takes level"),
        ):
            with Worker(source) as worker:
                body = worker.read_control().body
                self.assertEqual(body["kind"], "validation")
                self.assertIn(problem, body["message"])


class Interpreter(unittest.TestCase):
    def test_what_ready_says_of_it(self):
        with Worker(ONE) as worker:
            runtime = worker.ready()["runtime"]
        self.assertEqual(runtime["implementation"], sys.implementation.name)
        self.assertIs(runtime["free_threaded_build"], bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
        self.assertIs(runtime["gil"], getattr(sys, "_is_gil_enabled", lambda: True)())


if __name__ == "__main__":
    unittest.main()
