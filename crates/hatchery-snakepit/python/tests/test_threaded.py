"""The threaded server, as it is."""

import signal

import grpc
from snakepit import bridge_pb2 as pb

from .running import SHOWCASE, BridgeTest, execute, request, result


class Threaded(BridgeTest):
    def test_it_greets_as_itself(self):
        worker = self.threaded(self.host())
        self.assertEqual(worker.stub().Ping(pb.PingRequest(message="a"), timeout=10).message, "Pong from threaded Python [MainThread]: a")

    def test_tools_run_one_after_another_on_the_main_thread(self):
        stub = self.threaded(self.host()).stub()
        calls = [stub.ExecuteTool.future(request("meet", parties=2, seconds=0.3), timeout=30) for _each in range(2)]
        answers = [call.result().result.value for call in calls]
        # The first waits in vain; the second finds that it has been there.
        self.assertEqual([b'"met":false' in answer for answer in answers].count(True), 1)
        self.assertTrue(all(b"MainThread" in answer for answer in answers))

    def test_tools_are_registered_in_each_call_and_again_is_no_error(self):
        host = self.host()
        stub = self.threaded(host).stub()
        for _time in range(3):
            self.assertTrue(execute(stub, "ping").success)
        self.assertEqual(len(host.asked("RegisterTools")), 3)

    def test_an_adapter_must_say_that_it_is_safe(self):
        worker = self.starting(self.host().address, SHOWCASE, script="grpc_server_threaded.py")
        self.assertEqual(worker.wait(), 1)
        self.assertIn("__thread_safe__", worker.output())

    def test_no_telemetry_and_no_heartbeats_of_its_own(self):
        host = self.host()
        worker = self.threaded(host, SNAKEPIT_HEARTBEAT_CONFIG='{"interval_ms": 20}')
        stub = worker.stub()
        with self.assertRaises(grpc.RpcError) as raised:
            list(stub.StreamTelemetry(iter(()), timeout=10))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        execute(stub, "sleep_task", seconds=0.3)
        self.assertEqual(host.asked("Heartbeat"), [])
        # One that the host sends comes back to it.
        self.assertTrue(stub.Heartbeat(pb.HeartbeatRequest(session_id="a"), timeout=10).session_valid)

    def test_it_outlives_its_host(self):
        host = self.host()
        worker = self.threaded(host)
        execute(worker.stub(), "ping")
        host.stop()
        self.assertTrue(execute(worker.stub(), "ping").success)

    def test_it_leaves_when_asked_to(self):
        worker = self.threaded(self.host())
        worker.ask(signal.SIGTERM)
        self.assertEqual(worker.wait(), 0)

    def test_values_and_streams_are_the_process_server_s(self):
        stub = self.threaded(self.host()).stub()
        self.assertEqual(result(stub, "add", a=2, b=3), 5.0)
        chunks = list(stub.ExecuteStreamingTool(request("stream_progress", steps=3), timeout=10))
        self.assertEqual([chunk.is_final for chunk in chunks], [False, False, True])

    def test_the_safety_check_has_nothing_to_say_of_one_thread(self):
        worker = self.threaded(self.host(), arguments=("--thread-safety-check",), SNAKEPIT_LOG_LEVEL="warning")
        execute(worker.stub(), "ping")
        self.assertNotIn("more than one thread", worker.output())
