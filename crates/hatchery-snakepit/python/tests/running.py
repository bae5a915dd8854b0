"""A worker as a process, and what a test does with one. Each test proves that nothing of its workers is left."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import uuid
from typing import Any

import grpc
from snakepit import bridge_pb2 as pb
from snakepit import bridge_pb2_grpc as rpc

from . import FIXTURE, SHIM, STUBS, WORKER
from .fake_host import FakeHost, encoded, eventually

SHOWCASE = "snakepit_bridge.adapters.showcase.ShowcaseAdapter"
PLAIN = "bridge_tools.plain.Plain"
THREADED = "bridge_tools.threaded.Threaded"
FULL = "bridge_tools.full.Full"
FULL_THREADED = "bridge_tools.full.FullThreaded"
_LARGE = [
    ("grpc.max_receive_message_length", 200 << 20),
    ("grpc.max_send_message_length", 200 << 20),
    ("grpc.max_metadata_size", 8 << 20),
    ("grpc.absolute_max_metadata_size", 8 << 20),
]


class Worker:
    """Its folder holds its readiness file and its output; both go with it."""

    def __init__(
        self,
        address: str | None,
        adapter: str = PLAIN,
        script: str = "grpc_server.py",
        arguments: tuple = (),
        **environment: str,
    ) -> None:
        self.folder = tempfile.mkdtemp(prefix="bridge_worker_")
        self.ready_file = os.path.join(self.folder, "ready")
        self.mark = uuid.uuid4().hex
        argv = [sys.executable, os.path.join(WORKER, script), "--adapter", adapter, "--port", "0"]
        argv += ["--elixir-address", address] if address else []
        argv += ["--snakepit-run-id", "abc1234", "--snakepit-instance-name", "test", *arguments]
        path = os.pathsep.join(filter(None, [environment.pop("FIRST_ON_PATH", ""), FIXTURE, STUBS]))
        told = {"SNAKEPIT_READY_FILE": self.ready_file, "BRIDGE_TEST_MARK": self.mark, "PYTHONPATH": path}
        told.update(PYTHONDONTWRITEBYTECODE="1", SNAKEPIT_PROCESS_GROUP="1", GRPC_VERBOSITY="ERROR")
        told.update(environment)
        self._output = open(os.path.join(self.folder, "output"), "wb")  # noqa: SIM115
        self.process = subprocess.Popen(
            argv,
            env={**os.environ, **told},
            cwd=WORKER,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self._channels: list = []

    def wait_ready(self) -> Worker:
        eventually("the readiness file is there", self._is_ready)
        return self

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the worker ended with {self.process.returncode}: {self.output()}")
        return os.path.exists(self.ready_file)

    @property
    def port(self) -> int:
        with open(self.ready_file, encoding="ascii") as file:
            return int(file.read())

    def output(self) -> str:
        with open(os.path.join(self.folder, "output"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def stub(self, options: list = _LARGE) -> Any:
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options=options)
        self._channels.append(channel)
        return rpc.BridgeServiceStub(channel)

    def ask(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, within: float = 30) -> int:
        return self.process.wait(within)

    def processes(self) -> list:
        """Whoever has this worker's environment: it, and what it started."""
        mark = f"BRIDGE_TEST_MARK={self.mark}".encode()
        found = []
        for path in glob.glob("/proc/[0-9]*/environ"):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                if mark in file.read():
                    found.append(int(path.split("/")[2]))
        return found

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
        self.process.kill()
        self.process.wait(10)
        left = self.processes()
        for process in left:
            os.kill(process, signal.SIGKILL)
        self._output.close()
        shutil.rmtree(self.folder)
        if left:
            raise AssertionError(f"the worker left the processes {left}")


class BridgeTest(unittest.TestCase):
    """A host and a worker for each test that asks for them."""

    def host(self) -> FakeHost:
        host = FakeHost().start()
        self.addCleanup(host.stop)
        return host

    def worker(self, host: FakeHost, adapter: str = PLAIN, **told: Any) -> Worker:
        return self.starting(host.address, adapter, **told).wait_ready()

    def starting(self, address: str, adapter: str = PLAIN, **told: Any) -> Worker:
        worker = Worker(address, adapter, **told)
        self.addCleanup(worker.close)
        return worker

    def threaded(self, host: FakeHost, adapter: str = THREADED, workers: int = 4, arguments: tuple = (), **told: Any) -> Worker:
        arguments = ("--max-workers", str(workers), *arguments)
        return self.worker(host, adapter, script="grpc_server_threaded.py", arguments=arguments, **told)


class SharedBridgeTest(unittest.TestCase):
    """One host and one worker for all tests of a class, which leave both as they found them."""

    adapter = PLAIN
    environment: dict = {}

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = FakeHost().start()
        cls.addClassCleanup(cls.host.stop)
        cls.worker = Worker(cls.host.address, cls.adapter, **cls.environment)
        cls.addClassCleanup(cls.worker.close)
        cls.stub = cls.worker.wait_ready().stub()


# For what looks into the fixture's own modules, or waits for its words: another worker has others.
of_the_fixture = unittest.skipUnless(WORKER == FIXTURE, "only the fixture has what this looks into")


def shimmed(*modes: str) -> dict:
    """The environment of a worker under the shim."""
    return {"FIRST_ON_PATH": SHIM, "HATCHERY_SHIM": ",".join(modes)}


def request(tool: str, session: str = "s1", metadata: dict | None = None, binary: dict | None = None, **arguments: Any) -> Any:
    return pb.ExecuteToolRequest(
        session_id=session,
        tool_name=tool,
        parameters={name: encoded(value) for name, value in arguments.items()},
        metadata=metadata or {},
        binary_parameters=binary or {},
    )


def execute(stub: Any, tool: str, timeout: float = 30, headers: tuple = (), **told: Any) -> Any:
    return stub.ExecuteTool(request(tool, **told), timeout=timeout, metadata=headers)


def result(stub: Any, tool: str, **told: Any) -> Any:
    """The value of a call that succeeds."""
    answer = execute(stub, tool, **told)
    if not answer.success:
        raise AssertionError(answer.error_message)
    return json.loads(answer.result.value)


def failure(stub: Any, tool: str, **told: Any) -> dict:
    """The error of a call that does not."""
    answer = execute(stub, tool, **told)
    if answer.success:
        raise AssertionError(f"{tool} succeeded: {answer.result.value!r}")
    return json.loads(answer.error_message)
