"""The shim's `parallel`."""

import json
import signal

from snakepit import bridge_pb2 as pb

from .running import FULL_THREADED, BridgeTest, execute, of_the_fixture, request, result, shimmed


class Parallel(BridgeTest):
    def test_as_many_tools_run_at_once_as_there_are_threads(self):
        stub = self.threaded(self.host(), workers=4, **shimmed("parallel")).stub()
        calls = [stub.ExecuteTool.future(request("meet", parties=4), timeout=30) for _each in range(4)]
        answers = [json.loads(call.result().result.value) for call in calls]
        self.assertTrue(all(answer["met"] for answer in answers), answers)
        self.assertEqual(len({answer["thread"] for answer in answers}), 4)

    def test_the_worker_answers_meanwhile(self):
        worker = self.threaded(self.host(), workers=2, **shimmed("parallel"))
        file = f"{worker.folder}/go"
        call = worker.stub().ExecuteTool.future(request("wait_for_file", file=file), timeout=30)
        self.assertIn("Pong", worker.stub().Ping(pb.PingRequest(message="a"), timeout=10).message)
        self.assertFalse(call.done())
        with open(file, "w", encoding="ascii"):
            pass
        self.assertTrue(call.result().success)

    def test_the_call_s_context_goes_along(self):
        stub = self.threaded(self.host(), FULL_THREADED, **shimmed("parallel")).stub()
        seen = execute(stub, "correlation", headers=(("x-snakepit-correlation-id", "sp-9"),))
        self.assertEqual(json.loads(seen.result.value), "sp-9")

    def test_errors_streams_and_coroutines_are_what_they_were(self):
        stub = self.threaded(self.host(), **shimmed("parallel")).stub()
        self.assertEqual(json.loads(execute(stub, "error_demo").error_message)["type"], "ValueError")
        chunks = list(stub.ExecuteStreamingTool(request("stream_numbers", count=2), timeout=10))
        self.assertEqual([chunk.data for chunk in chunks], [b"0", b"1", b""])
        self.assertEqual(result(stub, "waits", seconds=0), {"waited": 0})

    @of_the_fixture
    def test_the_safety_check_sees_the_threads(self):
        told = {"arguments": ("--thread-safety-check",), "SNAKEPIT_LOG_LEVEL": "warning"}
        worker = self.threaded(self.host(), **told, **shimmed("parallel"))
        calls = [worker.stub().ExecuteTool.future(request("meet", parties=2), timeout=30) for _each in range(2)]
        self.assertTrue(all(call.result().success for call in calls))
        self.assertEqual(worker.output().count("meet is called by more than one thread"), 1, worker.output())

    def test_it_is_for_the_threaded_server(self):
        stub = self.worker(self.host(), **shimmed("parallel")).stub()
        told = {"metadata": {"thread_sensitive": "true"}}
        self.assertTrue(result(stub, "where", **told)["is_main"])

    def test_it_leaves_when_asked_to(self):
        worker = self.threaded(self.host(), **shimmed("parallel"))
        execute(worker.stub(), "ping")
        worker.ask(signal.SIGTERM)
        self.assertEqual(worker.wait(), 0)
