"""How a worker ends: asked to, in a tool, and without a host."""

import os
import signal

import grpc
from snakepit import bridge_pb2 as pb

from .fake_host import eventually
from .running import BridgeTest, execute, request, result


class Ends(BridgeTest):
    def test_an_idle_worker_leaves_when_asked_to(self):
        host = self.host()
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                worker = self.worker(host)
                execute(worker.stub(), "ping")
                worker.ask(number)
                self.assertEqual(worker.wait(), 0)

    def test_a_busy_one_gives_up_the_call_and_waits_for_the_tool(self):
        worker = self.worker(self.host())
        file = f"{worker.folder}/go"
        call = worker.stub().ExecuteTool.future(request("wait_for_file", file=file), timeout=30)
        eventually("the tool runs", lambda: result(worker.stub(), "balance")["open"] == 2)
        worker.ask(signal.SIGTERM)
        self.assertEqual(call.exception(30).code(), grpc.StatusCode.UNAVAILABLE)
        with open(file, "w", encoding="ascii"):
            pass
        self.assertEqual(worker.wait(), 0)
        self.assertTrue(os.path.exists(f"{file}.seen"))

    def test_a_call_that_is_given_up_runs_on(self):
        worker = self.worker(self.host())
        file = f"{worker.folder}/done"
        with self.assertRaises(grpc.RpcError) as raised:
            execute(worker.stub(), "sleep_task", timeout=0.3, seconds=1, file=file)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        eventually("the tool came to its end", lambda: _text(file) == "done")

    def test_a_tool_that_ends_the_process(self):
        host = self.host()
        for tool, status in (("exit", 3), ("segfault", -signal.SIGSEGV)):
            with self.subTest(tool):
                worker = self.worker(host, "faults.exits_in_a_tool.Adapter")
                with self.assertRaises(grpc.RpcError) as raised:
                    execute(worker.stub(), tool)
                self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
                self.assertEqual(worker.wait(), status)

    def test_a_worker_without_a_session_outlives_its_host(self):
        host, other = self.host(), self.host()
        lonely = self.worker(host, SNAKEPIT_HEARTBEAT_CONFIG='{"interval_ms": 20}')
        # One with a session, and as impatient, shows when the first would have gone.
        held = self.worker(other, SNAKEPIT_HEARTBEAT_CONFIG='{"interval_ms": 20}')
        execute(held.stub(), "ping")
        host.stop()
        other.stop()
        self.assertEqual(held.wait(), 0)
        self.assertEqual(lonely.stub().Ping(pb.PingRequest(message="a"), timeout=10).message, "Pong from Python: a")

    def test_calls_run_beside_each_other(self):
        host = self.host()
        worker = self.worker(host)
        file = f"{worker.folder}/go"
        calls = [worker.stub().ExecuteTool.future(request("wait_for_file", file=file), timeout=30) for _each in range(4)]
        eventually("all are in their tools", lambda: result(worker.stub(), "balance")["open"] == 5)
        with open(file, "w", encoding="ascii"):
            pass
        self.assertTrue(all(call.result().success for call in calls))

    def test_where_tools_run(self):
        host = self.host()
        stub = self.worker(host, SNAKEPIT_THREAD_SENSITIVE="torch, numpy.linalg").stub()
        cases = (
            ({}, False),
            ({"metadata": {"thread_sensitive": "true"}}, True),
            ({"library": "torch"}, True),
            ({"python_module": "numpy", "function": "linalg"}, True),
            ({"python_module": "numpy", "function": "dot"}, False),
        )
        for told, is_main in cases:
            with self.subTest(told):
                self.assertEqual(result(stub, "where", **told)["is_main"], is_main)

    def test_a_call_on_the_main_thread_freezes_the_worker(self):
        worker = self.worker(self.host())
        file = f"{worker.folder}/go"
        asked = request("wait_for_file", metadata={"thread_sensitive": "1"}, file=file)
        call = worker.stub().ExecuteTool.future(asked, timeout=30)
        eventually("a ping hangs", lambda: _hangs(worker.stub()))
        with open(file, "w", encoding="ascii"):
            pass
        self.assertTrue(call.result().success)
        ping = worker.stub().Ping(pb.PingRequest(message="a"), timeout=10)
        self.assertEqual(ping.message, "Pong from Python: a")


def _hangs(stub):
    try:
        stub.Ping(pb.PingRequest(message="a"), timeout=0.3)
    except grpc.RpcError as failure:
        return failure.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    return False


def _text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
