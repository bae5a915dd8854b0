"""From the command line to readiness."""

import os
import signal
import threading

from snakepit import bridge_pb2 as pb

from .fake_host import eventually
from .running import SHOWCASE, THREADED, BridgeTest, execute
from .sockets import listening


class Start(BridgeTest):
    def test_the_host_is_pinged_before_anything_else(self):
        host = self.host()
        host.held["Ping"] = threading.Event()
        worker = self.starting(host.address, "no.such.Adapter")
        # An attempt lasts a second; a second one is made while the first is not answered, and the adapter is not looked for.
        host.wait_asked("Ping", times=2)
        self.assertIsNone(worker.process.poll())
        self.assertEqual(host.asked("Ping")[0][0].message, "connection_test")
        host.held["Ping"].set()
        self.assertEqual(worker.wait(), 1)
        self.assertIn("no.such.Adapter", worker.output())

    def test_sigterm_is_not_heard_before_the_host_answers(self):
        host = self.host()
        host.held["Ping"] = threading.Event()
        worker = self.starting(host.address)
        host.wait_asked("Ping")
        worker.ask(signal.SIGTERM)
        host.wait_asked("Ping", times=3)
        self.assertIsNone(worker.process.poll())
        host.held["Ping"].set()
        self.assertEqual(worker.wait(), 0)

    def test_the_readiness_file_holds_the_bare_port(self):
        host = self.host()
        worker = self.worker(host)
        with open(worker.ready_file, "rb") as file:
            text = file.read()
        self.assertRegex(text, rb"\A[1-9][0-9]*\Z")
        self.assertFalse(os.path.exists(f"{worker.ready_file}.tmp"))
        self.assertEqual(worker.stub().Ping(pb.PingRequest(message="a"), timeout=10).message, "Pong from Python: a")

    def test_a_readiness_file_that_cannot_be_written_ends_it(self):
        worker = self.starting(self.host().address, SNAKEPIT_READY_FILE=os.path.join(os.devnull, "ready"))
        self.assertEqual(worker.wait(), 1)
        self.assertIn("write readiness file", worker.output())

    def test_it_listens_on_all_addresses(self):
        worker = self.worker(self.host())
        self.assertEqual(listening(worker.port), {"::"})

    def test_it_leads_a_group_where_that_is_wanted(self):
        host = self.host()
        led, not_led = self.worker(host), self.worker(host, SNAKEPIT_PROCESS_GROUP="0")
        self.assertEqual(os.getpgid(led.process.pid), led.process.pid)
        self.assertEqual(os.getsid(led.process.pid), led.process.pid)
        self.assertNotEqual(os.getpgid(not_led.process.pid), not_led.process.pid)

    def test_flags_that_it_does_not_know(self):
        cases = (
            ("grpc_server.py", ("--mode", "threaded"), SHOWCASE),
            ("grpc_server.py", ("--max-workers", "2"), SHOWCASE),
            ("grpc_server_threaded.py", ("--heartbeat-enabled",), THREADED),
        )
        for script, arguments, adapter in cases:
            with self.subTest(script=script, arguments=arguments):
                worker = self.starting("127.0.0.1:1", adapter, script=script, arguments=arguments)
                self.assertEqual(worker.wait(), 2)

    def test_adapters_that_cannot_be_had(self):
        host = self.host()
        for adapter in ("no.such.Adapter", "snakepit_bridge.adapters.showcase.NoSuch", "Adapter"):
            with self.subTest(adapter=adapter):
                self.assertEqual(self.starting(host.address, adapter).wait(), 1)

    def test_health_check(self):
        for adapter, status in ((SHOWCASE, 0), ("no.such.Adapter", 1)):
            with self.subTest(adapter=adapter):
                self.assertEqual(self.starting("127.0.0.1:1", adapter, arguments=("--health-check",)).wait(), status)

    def test_the_address_may_come_from_the_environment(self):
        host = self.host()
        for name in ("SNAKEPIT_GRPC_ADDRESS", "SNAKEPIT_ELIXIR_ADDRESS"):
            with self.subTest(name=name):
                worker = self.starting(None, **{name: host.address})
                worker.wait_ready()

    def test_spans_go_to_stdout_when_asked_for(self):
        worker = self.worker(self.host(), BRIDGE_WORKER_SPANS="1")
        execute(worker.stub(), "ping")
        eventually("a span is printed", lambda: '"name": "BridgeService/ExecuteTool"' in worker.output())

    def test_logs_follow_the_level(self):
        host = self.host()
        self.assertRegex(self.worker(host, SNAKEPIT_LOG_LEVEL="info").output(), "on port [0-9]+")
        self.assertEqual(self.worker(host).output(), "")
