"""The shim as a whole: what it leaves alone, and what it gives to the host."""

import os
import subprocess
import sys
import tempfile
import unittest

from snakepit import bridge_pb2 as pb

from . import SHIM, STUBS
from .fake_host import eventually
from .running import FULL, BridgeTest, execute, request, result, shimmed

ALL = ("loopback", "parallel", "lossless")


def python(code, *folders, **environment):
    """What it printed on stdout and on stderr; it must end well."""
    path = os.pathsep.join([SHIM, *folders, STUBS])
    told = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    ended = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, timeout=60, check=False)
    if ended.returncode:
        raise AssertionError(ended.stderr)
    return ended.stdout.strip(), ended.stderr.strip()


class Start(unittest.TestCase):
    def folder(self, name, text):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.makedirs(os.path.dirname(os.path.join(folder.name, name)), exist_ok=True)
        with open(os.path.join(folder.name, name), "w", encoding="utf-8") as file:
            file.write(text)
        return folder.name

    def test_told_nothing_it_imports_nothing(self):
        self.assertEqual(python("import sys; print('hatchery_shim' in sys.modules)", HATCHERY_SHIM=""), ("False", ""))

    def test_it_does_not_import_grpc_itself(self):
        self.assertEqual(python("import sys; print('grpc' in sys.modules)", HATCHERY_SHIM=",".join(ALL)), ("False", ""))

    def test_the_module_that_it_hides_is_run(self):
        hidden = self.folder("sitecustomize.py", "import sys; sys.hidden = __file__\n")
        for modes in ("", "loopback"):
            with self.subTest(modes):
                seen = python("import sys, sitecustomize; print(sys.hidden == sitecustomize.__file__)", hidden, HATCHERY_SHIM=modes)
                self.assertEqual(seen, ("True", ""))

    def test_what_the_hidden_one_raises_is_reported_as_ever(self):
        hidden = self.folder("sitecustomize.py", "raise ValueError('hidden')\n")
        said, error = python("import grpc; print(grpc.server.__module__)", hidden, HATCHERY_SHIM="loopback")
        self.assertEqual(said, "grpc")
        self.assertIn("hidden", error)

    def test_a_mode_that_it_does_not_know(self):
        self.assertIn("fast: no such mode", python("", HATCHERY_SHIM="fast, loopback")[1])

    def test_a_package_that_looks_different_is_left_alone_and_that_is_said_once(self):
        other = self.folder("snakepit_bridge/__init__.py", "__version__ = '9'\n")
        said, error = python("import snakepit_bridge as b; import grpc; print(b.__version__)", other, HATCHERY_SHIM=",".join(ALL))
        self.assertEqual(said, "9")
        self.assertEqual(error.count("\n"), 0, error)
        self.assertIn("lossless arguments: snakepit_bridge looks different", error)

    def test_a_grpc_that_looks_different_is_left_alone(self):
        other = self.folder("grpc/__init__.py", "server = None\n")
        said, error = python("import grpc; print(grpc.server)", other, HATCHERY_SHIM=",".join(ALL))
        self.assertEqual(said, "None")
        for mode in ("loopback", "lossless results", "lossless arguments"):
            self.assertEqual(error.count(f"{mode}: grpc looks different"), 1, error)


class Workers(BridgeTest):
    def test_an_adapter_that_looks_different_is_served_as_it_is(self):
        worker = self.worker(self.host(), "bridge_tools.bare.NoExecuteTool", **shimmed(*ALL))
        self.assertFalse(execute(worker.stub(), "lonely").success)
        self.assertEqual(worker.output().count("looks different"), 1, worker.output())

    def test_what_works_without_it_works_with_it(self):
        host = self.host()
        for worker in (self.worker(host, **shimmed(*ALL)), self.threaded(host, **shimmed(*ALL))):
            with self.subTest(worker.process.args[1]):
                stub = worker.stub()
                given = {"map": {"a": [None, 1.5]}, "text": "Ω"}
                self.assertEqual(result(stub, "echo", **given), given)
                self.assertEqual(result(stub, "async_where")["is_main"], True)
                chunks = list(stub.ExecuteStreamingTool(request("stream_progress", steps=3), timeout=10))
                self.assertEqual([chunk.is_final for chunk in chunks], [False, False, True])
                self.assertFalse(execute(stub, "error_demo").success)
                self.assertNotIn("hatchery shim", worker.output())

    def test_the_host_is_told_the_secret_in_every_call_and_nobody_else_is(self):
        host, other = self.host(), self.host()
        host.tools["a"] = lambda _parameters: 1
        told = {**shimmed(), "HATCHERY_BRIDGE_SECRET": "s3cret", "SNAKEPIT_HEARTBEAT_CONFIG": '{"interval_ms": 20}'}
        stub = self.worker(host, FULL, **told).stub()
        result(stub, "call_elixir_demo", name="a")
        result(stub, "call_other_worker", name="b")
        result(stub, "ping_elsewhere", address=other.address)
        stub.GetSession(pb.GetSessionRequest(session_id="a"), timeout=10)
        host.wait_asked("Heartbeat")
        methods = {method for method, _request, _metadata in host.calls}
        self.assertLessEqual({"Ping", "InitializeSession", "RegisterTools", "ExecuteElixirTool", "ExecuteTool", "GetSession"}, methods)
        self.assertEqual({metadata.get("x-hatchery-secret") for _method, _request, metadata in host.calls}, {"s3cret"})
        self.assertEqual([metadata.get("x-hatchery-secret") for _request, metadata in other.asked("Ping")], [None])

    def test_the_secret_is_in_no_environment(self):
        told = {**shimmed("loopback"), "HATCHERY_BRIDGE_SECRET": "s3cret"}
        stub = self.worker(self.host(), **told).stub()
        seen = result(stub, "environment", name="HATCHERY_BRIDGE_SECRET")
        self.assertEqual(seen, {"own": "None", "child": "None"})
        eventually("it answers on", lambda: execute(stub, "ping").success)
