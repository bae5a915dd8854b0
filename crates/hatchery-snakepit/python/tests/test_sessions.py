"""What the worker tells and asks the host around calls: sessions, tools, heartbeats."""

import threading
import time

import grpc
from snakepit import bridge_pb2 as pb

from .fake_host import eventually
from .running import BridgeTest, execute, failure, request, result

QUICK = '{"interval_ms": 50, "timeout_ms": 500, "max_missed_heartbeats": 3}'


class Calls(BridgeTest):
    def test_a_session_is_initialized_in_each_call_and_tools_are_registered_in_the_first(self):
        host = self.host()
        stub = self.worker(host).stub()
        for _time in range(3):
            execute(stub, "ping", session="a")
        execute(stub, "ping", session="b")
        sessions = [asked.session_id for asked, _metadata in host.asked("InitializeSession")]
        registered = [asked.session_id for asked, _metadata in host.asked("RegisterTools")]
        self.assertEqual((sessions, registered), (["a", "a", "a", "b"], ["a", "b"]))
        order = [method for method, _request, _metadata in host.calls]
        self.assertLess(order.index("InitializeSession"), order.index("RegisterTools"))

    def test_a_refused_registration_is_not_repeated(self):
        host = self.host()
        host.failing["RegisterTools"] = grpc.StatusCode.INTERNAL
        stub = self.worker(host).stub()
        for _time in range(2):
            self.assertTrue(execute(stub, "ping").success)
        self.assertEqual(len(host.asked("RegisterTools")), 1)

    def test_what_is_registered(self):
        host = self.host()
        execute(self.worker(host).stub(), "ping")
        asked = host.asked("RegisterTools")[0][0]
        self.assertRegex(asked.worker_id, r"\Apython-[0-9]+\Z")
        tools = {each.name: each for each in asked.tools}
        self.assertIn("execute_tool", tools)
        self.assertTrue(tools["stream_progress"].supports_streaming)
        self.assertEqual(tools["ping"].metadata["adapter_class"], "Plain")
        message = tools["ping"].parameters[0]
        self.assertEqual((message.required, message.validation_json), (False, '{"default": "pong"}'))
        rest = tools["echo"].parameters[0]
        self.assertEqual((rest.name, rest.required, rest.type), ("kwargs", True, "any"))

    def test_a_default_without_json_form_fails_every_call(self):
        stub = self.worker(self.host(), "bridge_tools.bare.OddDefault").stub()
        for _time in range(2):
            self.assertEqual(failure(stub, "odd")["type"], "TypeError")

    def test_each_call_has_an_adapter_of_its_own_and_the_process_keeps_what_is_global(self):
        stub = self.worker(self.host()).stub()
        instances = [result(stub, "where")["instance"] for _time in range(3)]
        self.assertEqual(instances, [instances[0], instances[0] + 1, instances[0] + 2])
        counts = [result(stub, "increment_counter", session=session)["count"] for session in ("a", "a", "b", "a")]
        self.assertEqual(counts, [1, 2, 1, 3])

    def test_hooks_may_be_coroutines_and_a_cleanup_that_raises_is_nobodys_error(self):
        host = self.host()
        cases = (("AsyncAdapter", {"ran": "a", "initialized": True}), ("CleanupRaises", {"ran": "a"}))
        for adapter, expected in cases:
            with self.subTest(adapter):
                stub = self.worker(host, f"bridge_tools.bare.{adapter}").stub()
                self.assertEqual(result(stub, "a"), expected)

    def test_cleanup_runs_after_each_call_failed_or_not(self):
        stub = self.worker(self.host()).stub()
        result(stub, "ping")
        failure(stub, "error_demo")
        self.assertEqual(result(stub, "balance"), {"made": 3, "cleaned": 2, "open": 1})

    def test_an_empty_session_is_taken_and_a_host_that_fails_is_ignored(self):
        host = self.host()
        host.failing["InitializeSession"] = grpc.StatusCode.INTERNAL
        self.assertTrue(execute(self.worker(host).stub(), "ping", session="").success)

    def test_a_host_that_waits_freezes_the_worker(self):
        host = self.host()
        stub = self.worker(host).stub()
        host.held["InitializeSession"] = threading.Event()
        call = stub.ExecuteTool.future(request("ping"), timeout=30)
        host.wait_asked("InitializeSession")
        ping = stub.Ping.future(pb.PingRequest(message="a"), timeout=30)
        # There is nothing to wait for when nothing happens; it is short, so that a worker that answers has the time to.
        time.sleep(0.3)
        self.assertFalse(ping.done())
        host.held["InitializeSession"].set()
        self.assertEqual(ping.result().message, "Pong from Python: a")
        self.assertTrue(call.result().success)

    def test_the_request_s_metadata_reaches_the_tool(self):
        metadata = {"correlation_id": "sp-1", "python_version": "3"}
        self.assertEqual(result(self.worker(self.host()).stub(), "request_metadata", metadata=metadata), metadata)

    def test_what_is_passed_on_to_the_host_carries_the_correlation_and_blocking_calls_do_not(self):
        host = self.host()
        stub = self.worker(host).stub()
        header = "x-snakepit-correlation-id"
        cases = (
            ("InitializeSession", pb.InitializeSessionRequest(session_id="a")),
            ("GetSession", pb.GetSessionRequest(session_id="a")),
            ("Heartbeat", pb.HeartbeatRequest(session_id="a")),
            ("CleanupSession", pb.CleanupSessionRequest(session_id="a")),
        )
        for method, asked in cases:
            getattr(stub, method)(asked, timeout=10, metadata=((header, "sp-1"),))
            self.assertEqual(host.asked(method)[0][1].get(header), "sp-1", method)
        execute(stub, "ping", headers=((header, "sp-2"),))
        self.assertNotIn(header, host.asked("InitializeSession")[1][1])


class Passing(BridgeTest):
    def test_sessions_are_the_host_s(self):
        host = self.host()
        stub = self.worker(host).stub()
        self.assertTrue(stub.InitializeSession(pb.InitializeSessionRequest(session_id="a"), timeout=10).success)
        self.assertEqual(stub.GetSession(pb.GetSessionRequest(session_id="a"), timeout=10).session_id, "a")
        self.assertTrue(stub.Heartbeat(pb.HeartbeatRequest(session_id="a"), timeout=10).session_valid)
        self.assertEqual(stub.CleanupSession(pb.CleanupSessionRequest(session_id="a"), timeout=10).resources_cleaned, 1)

    def test_the_host_s_status_is_an_unknown_one(self):
        host = self.host()
        host.failing["GetSession"] = grpc.StatusCode.NOT_FOUND
        stub = self.worker(host).stub()
        with self.assertRaises(grpc.RpcError) as raised:
            stub.GetSession(pb.GetSessionRequest(session_id="a"), timeout=10)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNKNOWN)

    def test_what_only_the_host_serves(self):
        stub = self.worker(self.host()).stub()
        cases = (
            (stub.RegisterTools, pb.RegisterToolsRequest()),
            (stub.GetExposedElixirTools, pb.GetExposedElixirToolsRequest()),
            (stub.ExecuteElixirTool, pb.ExecuteElixirToolRequest()),
        )
        for method, asked in cases:
            with self.assertRaises(grpc.RpcError) as raised:
                method(asked, timeout=10)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)


class Heartbeats(BridgeTest):
    def sessions_beating(self, host):
        return {asked.session_id for asked, _metadata in host.asked("Heartbeat")}

    def test_one_loop_per_session_until_it_is_cleaned_up(self):
        host = self.host()
        stub = self.worker(host, SNAKEPIT_HEARTBEAT_CONFIG=QUICK).stub()
        execute(stub, "ping", session="a")
        stub.GetSession(pb.GetSessionRequest(session_id="b"), timeout=10)
        stub.InitializeSession(pb.InitializeSessionRequest(session_id="c"), timeout=10)
        eventually("three sessions beat", lambda: self.sessions_beating(host) == {"a", "b", "c"})
        stub.CleanupSession(pb.CleanupSessionRequest(session_id="a"), timeout=10)
        beats = [asked.session_id for asked, _metadata in host.asked("Heartbeat")]
        host.wait_asked("Heartbeat", times=len(beats) + 8)
        after = [asked.session_id for asked, _metadata in host.asked("Heartbeat")][len(beats) :]
        # One may have been on its way.
        self.assertLessEqual(after.count("a"), 1)

    def test_a_host_that_fails_ends_it(self):
        host = self.host()
        host.failing["Heartbeat"] = grpc.StatusCode.INTERNAL
        worker = self.worker(host, SNAKEPIT_HEARTBEAT_CONFIG=QUICK)
        execute(worker.stub(), "ping")
        self.assertEqual(worker.wait(), 0)
        self.assertEqual(len(host.asked("Heartbeat")), 3)

    def test_a_host_that_is_gone_ends_it(self):
        host = self.host()
        worker = self.worker(host, SNAKEPIT_HEARTBEAT_CONFIG=QUICK)
        execute(worker.stub(), "ping")
        host.stop()
        self.assertEqual(worker.wait(), 0)

    def test_an_invalid_session_is_no_miss(self):
        host = self.host()
        host.session_valid = False
        worker = self.worker(host, SNAKEPIT_HEARTBEAT_CONFIG=QUICK)
        execute(worker.stub(), "ping")
        host.wait_asked("Heartbeat", times=5)
        self.assertIsNone(worker.process.poll())

    def test_who_is_independent_lives_on(self):
        host = self.host()
        host.failing["Heartbeat"] = grpc.StatusCode.INTERNAL
        flags = {"arguments": ("--heartbeat-independent", "--heartbeat-interval-ms", "50")}
        environment = {"SNAKEPIT_HEARTBEAT_CONFIG": '{"dependent": false, "intervalMs": 50, "odd": 1, "jitter_ms": null}'}
        for told in (flags, environment):
            with self.subTest(told):
                worker = self.worker(host, **told)
                before = len(host.asked("Heartbeat"))
                execute(worker.stub(), "ping")
                host.wait_asked("Heartbeat", times=before + 5)
                self.assertIsNone(worker.process.poll())

    def test_a_worker_without_a_session_and_one_that_is_told_so_ask_nothing(self):
        host = self.host()
        quiet = self.worker(host, SNAKEPIT_HEARTBEAT_CONFIG='{"enabled": false, "interval_ms": 20}')
        self.worker(host, SNAKEPIT_HEARTBEAT_CONFIG=QUICK)
        execute(quiet.stub(), "sleep_task", seconds=0.3)
        self.assertEqual(host.asked("Heartbeat"), [])

    def test_a_configuration_that_is_no_json_leaves_the_defaults(self):
        worker = self.worker(self.host(), SNAKEPIT_HEARTBEAT_CONFIG="{", SNAKEPIT_LOG_LEVEL="warning")
        self.assertIn("SNAKEPIT_HEARTBEAT_CONFIG", worker.output())
