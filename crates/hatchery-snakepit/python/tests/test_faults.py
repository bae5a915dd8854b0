"""The adapters that misbehave do so. What a host makes of them is tested with the host."""

import json
import os
import signal

import grpc
from snakepit import bridge_pb2 as pb

from .fake_host import eventually
from .running import BridgeTest, execute, failure, of_the_fixture, request, result
from .sockets import listening


class Faults(BridgeTest):
    def fault(self, name, ready=True):
        host = self.host()
        worker = self.starting(host.address, f"faults.{name}.Adapter")
        host.wait_asked("Ping")
        return worker.wait_ready() if ready else worker

    def test_exits_at_start(self):
        worker = self.fault("exits_at_start", ready=False)
        self.assertEqual(worker.wait(), 7)
        self.assertIn("no licence", worker.output())

    def test_never_ready(self):
        worker = self.fault("never_ready", ready=False)
        eventually("it has come to its adapter", lambda: "never" in worker.output())
        worker.ask(signal.SIGTERM)
        eventually("the signal has arrived", lambda: not _pending(worker.process.pid))
        self.assertIsNone(worker.process.poll())
        self.assertFalse(os.path.exists(worker.ready_file))

    @of_the_fixture
    def test_empty_readiness_first(self):
        worker = self.fault("empty_readiness_first")
        self.assertEqual(_size(worker.ready_file), 0)
        eventually("the port is there", lambda: _size(worker.ready_file))
        self.assertTrue(execute(worker.stub(), "ping").success)

    @of_the_fixture
    def test_wrong_port(self):
        self.refuses(self.fault("wrong_port"))

    @of_the_fixture
    def test_no_port(self):
        with self.assertRaises(ValueError):
            _ = self.fault("no_port").port

    @of_the_fixture
    def test_ignores_sigterm(self):
        worker = self.fault("ignores_sigterm")
        worker.ask(signal.SIGTERM)
        self.assertTrue(execute(worker.stub(), "ping").success)

    def test_floods_stdout(self):
        worker = self.fault("floods_stdout")
        self.assertTrue(execute(worker.stub(), "ping").success)
        self.assertEqual(_size(os.path.join(worker.folder, "output")), 4 << 20)

    def test_leaves_a_daemon(self):
        worker = self.fault("leaves_a_daemon")
        left = int(result(worker.stub(), "daemonize")["pid"])
        self.assertNotEqual(os.getsid(left), os.getsid(worker.process.pid))
        os.killpg(worker.process.pid, signal.SIGKILL)
        worker.wait()
        self.assertEqual(worker.processes(), [left])
        os.kill(left, signal.SIGKILL)
        eventually("it is gone", lambda: not worker.processes())

    def test_holds_the_gil(self):
        worker = self.fault("holds_the_gil")
        call = worker.stub().ExecuteTool.future(request("hold", seconds=1), timeout=30)
        eventually("a ping hangs", lambda: _hangs(worker.stub()))
        self.assertTrue(call.result().success)

    @of_the_fixture
    def test_speaks_no_grpc(self):
        self.refuses(self.fault("speaks_no_grpc"))

    @of_the_fixture
    def test_closes_its_port(self):
        worker = self.fault("closes_its_port")
        self.refuses(worker)
        self.assertEqual(listening(worker.port), set())
        self.assertIsNone(worker.process.poll())

    def test_answers_too_much(self):
        stub = self.fault("answers_too_much").stub()
        with self.assertRaises(grpc.RpcError) as raised:
            execute(stub, "huge")
        self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertTrue(execute(stub, "ping").success)

    def test_long_errors(self):
        stub = self.fault("long_errors").stub()
        self.assertGreater(len(failure(stub, "fail")["message"].encode()), 99_000)
        with self.assertRaises(grpc.RpcError) as raised:
            list(stub.ExecuteStreamingTool(request("fail_in_stream"), timeout=30))
        self.assertEqual(len(json.loads(raised.exception.details())["message"]), 50_000)

    @of_the_fixture
    def test_answers_no_json(self):
        with self.assertRaises(ValueError):
            result(self.fault("answers_no_json").stub(), "ping")

    def test_spoils_answers(self):
        stub = self.fault("spoils_answers").stub()
        self.assertTrue(execute(stub, "ping").success)
        with self.assertRaises(grpc.RpcError):
            execute(stub, "spoil")
        chunks = stub.ExecuteStreamingTool(request("stream_bad"), timeout=30)
        self.assertEqual(next(chunks).data, b"1")
        with self.assertRaises(grpc.RpcError):
            next(chunks)

    @of_the_fixture
    def test_answers_beyond_limits(self):
        stub = self.fault("answers_beyond_limits").stub()
        self.assertEqual(len(execute(stub, "text", length=101 << 20).result.value), (101 << 20) + 2)

    def test_answers_bytes(self):
        answer = execute(self.fault("answers_bytes").stub(), "picture")
        self.assertEqual((answer.binary_result, json.loads(answer.result.value)["format"]), (b"\x89PNG\x00\xff", "png"))

    @of_the_fixture
    def test_spoils_its_connection(self):
        stub = self.fault("spoils_its_connection").stub()
        self.assertTrue(execute(stub, "ping").success)
        with self.assertRaises(grpc.RpcError):
            execute(stub, "spoil")

    def test_hostile_client(self):
        stub = self.fault("hostile_client").stub()
        self.assertTrue(result(stub, "say", word="noise")["hung_up"])
        self.assertEqual(result(stub, "send_to_nobody")["code"], "UNIMPLEMENTED")

    def refuses(self, worker):
        with self.assertRaises(grpc.RpcError) as raised:
            worker.stub().Ping(pb.PingRequest(message="a"), timeout=10)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)


def _hangs(stub):
    try:
        stub.Ping(pb.PingRequest(message="a"), timeout=0.2)
    except grpc.RpcError as failed:
        return failed.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    return False


def _pending(process):
    """Whether a signal waits for the process."""
    with open(f"/proc/{process}/status", encoding="ascii") as status:
        lines = dict(line.rstrip().split(":", 1) for line in status)
    return int(lines["SigPnd"], 16) | int(lines["ShdPnd"], 16)


def _size(path):
    return os.stat(path).st_size
