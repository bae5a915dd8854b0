"""Events of the worker, and what the host says about them."""

import queue

import grpc
from snakepit import bridge_pb2 as pb

from .fake_host import eventually
from .running import FULL, BridgeTest, execute, of_the_fixture, result


class Stream:
    """One that the host has opened, in order."""

    def __init__(self, stub, timeout=60):
        self.controls = queue.Queue()
        self.call = stub.StreamTelemetry(iter(self.controls.get, None), timeout=timeout)
        self.toggle(True)

    def toggle(self, enabled):
        self.controls.put(pb.TelemetryControl(toggle={"enabled": enabled}))

    def filter(self, **lists):
        self.controls.put(pb.TelemetryControl(filter=lists))

    def sample(self, rate):
        self.controls.put(pb.TelemetryControl(sampling={"sampling_rate": rate}))

    def next(self):
        return next(self.call)

    def names(self, count):
        return [".".join(self.next().event_parts) for _each in range(count)]

    def close(self):
        self.controls.put(None)
        self.call.cancel()


class Telemetry(BridgeTest):
    def open(self, stub, **told):
        stream = Stream(stub, **told)
        self.addCleanup(stream.close)
        return stream

    def emit(self, stub, *names):
        for name in names:
            execute(stub, "telemetry_demo", name=name)

    def test_what_was_emitted_before_comes_first_and_in_order(self):
        stub = self.worker(self.host()).stub()
        self.emit(stub, "a.b", "c")
        stream = self.open(stub)
        self.emit(stub, "d")
        self.assertEqual(stream.names(3), ["a.b", "c", "d"])

    def test_metadata_comes_at_once(self):
        stream = self.open(self.worker(self.host()).stub())
        self.assertIsNotNone(stream.call.initial_metadata())

    def test_what_an_event_holds(self):
        stub = self.worker(self.host()).stub()
        stream = self.open(stub)
        measurements = {"whole": 3, "part": 1.5, "flag": True, "word": "x"}
        labels = {"number": 1}
        execute(stub, "telemetry_demo", name="tool.result_size", measurements=measurements, labels=labels, correlation_id="c")
        event = stream.next()
        kinds = {name: value.WhichOneof("value") for name, value in event.measurements.items()}
        expected = {"whole": "int_value", "part": "float_value", "flag": "int_value", "word": "string_value"}
        self.assertEqual(kinds, expected)
        self.assertEqual((dict(event.metadata), event.correlation_id), ({"number": "1"}, "c"))
        self.assertGreater(event.timestamp_ns, 1_700_000_000 * 10**9)

    def test_an_event_has_the_correlation_that_it_is_given_and_no_other(self):
        stub = self.worker(self.host()).stub()
        stream = self.open(stub)
        execute(stub, "telemetry_demo", name="a", headers=(("x-snakepit-correlation-id", "sp-7"),))
        self.assertEqual(stream.next().correlation_id, "")

    def test_spans(self):
        stub = self.worker(self.host()).stub()
        stream = self.open(stub)
        execute(stub, "telemetry_span", operation="tool.execution")
        execute(stub, "telemetry_span", operation="tool.execution", fails=True)
        names = [f"tool.execution.{part}" for part in ("start", "stop", "start", "exception")]
        events = [stream.next() for _each in names]
        self.assertEqual([".".join(event.event_parts) for event in events], names)
        self.assertIn("duration", events[1].measurements)
        self.assertEqual(events[3].metadata["error_type"], "ValueError")

    def test_a_marker_is_reported_once_per_type(self):
        stub = self.worker(self.host()).stub()
        for _time in range(2):
            result(stub, "value", name="bytes_in_map")
        stream = self.open(stub)
        event = stream.next()
        self.assertEqual(".".join(event.event_parts), "snakepit.serialization.unserializable_marker")
        self.assertEqual(event.metadata["type"], "builtins.bytes")
        self.emit(stub, "a")
        self.assertEqual(stream.names(1), ["a"])

    @of_the_fixture
    def test_filters_are_live(self):
        stub = self.worker(self.host(), FULL).stub()
        stream = self.open(stub)
        stream.filter(allow=["tool.*"], deny=["tool.x"])
        self.until_kept(stub, False)
        self.emit(stub, "tool.x", "tool.y")
        self.assertEqual(stream.names(1), ["tool.y"])

    @of_the_fixture
    def test_nothing_comes_while_it_is_off_or_none_is_sampled(self):
        stub = self.worker(self.host(), FULL).stub()
        stream = self.open(stub)
        for off, on in (
            (lambda: stream.toggle(False), lambda: stream.toggle(True)),
            (lambda: stream.sample(-1), lambda: stream.sample(2)),
        ):
            off()
            self.until_kept(stub, False)
            on()
            self.until_kept(stub, True)
            self.emit(stub, "probe")
            self.assertEqual(stream.names(1), ["probe"])

    def until_kept(self, stub, expected):
        """A control is followed when it has come, which the worker can be asked."""
        eventually(f"kept is {expected}", lambda: result(stub, "telemetry_kept", name="probe")["kept"] is expected)

    def test_a_stream_ends_at_its_deadline_and_the_next_one_goes_on(self):
        stub = self.worker(self.host()).stub()
        first = self.open(stub, timeout=1)
        with self.assertRaises(grpc.RpcError) as raised:
            first.next()
        self.assertEqual(raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.emit(stub, "a")
        self.assertEqual(self.open(stub).names(1), ["a"])

    def test_at_most_1024_wait_and_the_newest_are_dropped(self):
        stub = self.worker(self.host()).stub()
        execute(stub, "telemetry_many", count=1030)
        stream = self.open(stub)
        self.assertEqual([stream.next().measurements["number"].int_value for _each in range(1024)], list(range(1024)))
        self.emit(stub, "after")
        self.assertEqual(stream.names(1), ["after"])
