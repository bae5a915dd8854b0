"""Streams: what chunks there are, in which order, and how they end."""

import json

import grpc

from .fake_host import eventually
from .running import BridgeTest, SharedBridgeTest, request, result


class Chunks(SharedBridgeTest):
    def chunks(self, tool, timeout=30, **arguments):
        return list(self.stub.ExecuteStreamingTool(request(tool, **arguments), timeout=timeout))

    def test_one_that_marks_its_end_gets_no_other_mark(self):
        chunks = self.chunks("stream_progress", steps=5)
        self.assertEqual([json.loads(chunk.data)["step"] for chunk in chunks], [1, 2, 3, 4, 5])
        self.assertEqual([chunk.is_final for chunk in chunks], [False] * 4 + [True])
        self.assertEqual([chunk.chunk_id for chunk in chunks], [f"stream_progress-{number}" for number in range(1, 6)])

    def test_one_that_marks_none_gets_an_empty_one(self):
        for tool in ("stream_numbers", "stream_async"):
            with self.subTest(tool):
                chunks = self.chunks(tool, count=3)
                self.assertEqual([chunk.data for chunk in chunks], [b"0", b"1", b"2", b""])
                self.assertEqual([chunk.is_final for chunk in chunks], [False] * 3 + [True])

    def test_what_each_kind_of_item_becomes(self):
        chunks = self.chunks("stream_kinds")
        expected = [b"\xff\x00", "Ω".encode(), b"", b'[1, "a"]', b'{"a": null}', b"x", b""]
        self.assertEqual([chunk.data for chunk in chunks], expected)
        self.assertEqual(dict(chunks[5].metadata), {"number": "1"})

    def test_what_is_no_generator_is_one_anyway(self):
        cases = {"map": [b"a", b"b"], "text": [b"a", b"b", b"c"], "list": [b"1", b"2"], "number": [b"7"], "none": [b""]}
        for name, expected in cases.items():
            with self.subTest(name):
                self.assertEqual([chunk.data for chunk in self.chunks("stream_returned", name=name)], [*expected, b""])

    def test_a_thousand_chunks_in_order(self):
        data = [chunk.data for chunk in self.chunks("stream_numbers", count=1000)]
        self.assertEqual(data, [str(number).encode() for number in range(1000)] + [b""])

    def test_what_was_sent_before_an_exception_stays(self):
        seen = []
        with self.assertRaises(grpc.RpcError) as raised:
            for chunk in self.stub.ExecuteStreamingTool(request("stream_raising", after=2, message="y"), timeout=30):
                seen.append(chunk.data)
        self.assertEqual(seen, [b"0", b"1"])
        self.assertEqual(raised.exception.code(), grpc.StatusCode.INTERNAL)
        told = json.loads(raised.exception.details())
        self.assertEqual((told["type"], told["message"]), ("ValueError", "y"))

    def test_a_chunk_without_json_form_hangs_until_the_deadline(self):
        seen = []
        with self.assertRaises(grpc.RpcError) as raised:
            for chunk in self.stub.ExecuteStreamingTool(request("stream_unserializable", after=1), timeout=1):
                seen.append(chunk.data)
        self.assertEqual((seen, raised.exception.code()), ([b"0"], grpc.StatusCode.DEADLINE_EXCEEDED))


class Ends(BridgeTest):
    def test_a_long_error_is_lost_on_a_reader_with_the_usual_limit(self):
        worker = self.worker(self.host())
        for length, code in ((1_000, grpc.StatusCode.INTERNAL), (6_000, grpc.StatusCode.RESOURCE_EXHAUSTED)):
            with self.subTest(length=length), self.assertRaises(grpc.RpcError) as raised:
                asked = request("stream_raising", after=1, message="x" * length)
                list(worker.stub([]).ExecuteStreamingTool(asked, timeout=30))
            self.assertEqual(raised.exception.code(), code)

    def test_who_takes_no_more_stops_the_tool_and_it_is_cleaned_up(self):
        stub = self.worker(self.host()).stub()
        for times, tool in enumerate(("infinite_stream", "infinite_async"), 1):
            with self.subTest(tool):
                call = stub.ExecuteStreamingTool(request(tool), timeout=30)
                next(call)
                call.cancel()
                eventually("it is stopped", lambda times=times: result(stub, "streams_state")["stopped"] == times)
                eventually("it is cleaned up", lambda: result(stub, "balance")["open"] == 1)

    def test_a_reader_that_does_not_read_holds_the_tool_back(self):
        stub = self.worker(self.host()).stub()
        call = stub.ExecuteStreamingTool(request("stream_large_forever"), timeout=60)
        next(call)
        state = {"yielded": -1}

        def rests():
            before, state["yielded"] = state["yielded"], result(stub, "streams_state")["yielded"]
            return before == state["yielded"]

        eventually("it yields no more", rests)
        # A hundred in its queue and what the connection's windows hold.
        self.assertLess(state["yielded"], 200)
        next(call)
        call.cancel()
