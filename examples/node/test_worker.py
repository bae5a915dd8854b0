"""The Node worker against a mock host. Every test ends its worker and proves that the process is gone."""

import os
import select
import shutil
import signal
import struct
import unittest
from pathlib import Path
from typing import Any, Dict

from mock_host import HEADER, PATIENCE, Frame, MockHost, encode

NODE = shutil.which("node")
WORKER = str(Path(__file__).with_name("worker.js"))
MARK = "$hy:0123456789abcdef"


@unittest.skipUnless(NODE, "node is not on PATH")
class WorkerTest(unittest.TestCase):
    def start(self, ready: bool = True, **hello: Any) -> MockHost:
        assert NODE
        host = MockHost([NODE, WORKER], **hello)
        self.addCleanup(host.close)
        if ready:
            self.assertEqual(host.shake_hands().kind, "READY")
        return host

    def shut_down(self, host: MockHost) -> None:
        host.tell("SHUTDOWN", body={"grace_us": 5_000_000})
        self.assertEqual(host.status(), 0)


class Life(WorkerTest):
    def test_the_handshake_names_the_tools(self) -> None:
        host = self.start(ready=False)
        ready = host.shake_hands()
        self.assertEqual((ready.kind, ready.id, ready.body["version"]), ("READY", 0, 1))
        tools = {tool["name"]: tool for tool in ready.body["tools"]}
        self.assertEqual(set(tools), {"word_count", "countdown", "reverse", "slow", "lookup", "fail"})
        self.assertEqual([name for name, tool in tools.items() if tool["streaming"]], ["countdown"])
        self.assertEqual(tools["word_count"]["parameters"], [{"name": "text", "type": "string", "required": True}])
        self.shut_down(host)

    def test_an_unknown_version_is_refused_with_the_known_one(self) -> None:
        host = self.start(ready=False, versions=[7])
        refusal = host.shake_hands()
        self.assertEqual((refusal.kind, refusal.id, refusal.body["kind"]), ("ERROR", 0, "protocol"))
        self.assertIn("version 1", refusal.body["message"])
        self.assertNotEqual(host.status(), 0)

    def test_ping(self) -> None:
        host = self.start()
        host.tell("PING", id=2**63 + 1)
        self.assertEqual(host.hear(), Frame("PONG", id=2**63 + 1))
        self.shut_down(host)

    def test_shutdown_before_the_handshake(self) -> None:
        self.shut_down(self.start(ready=False))

    def test_shutdown_finishes_what_runs_and_takes_nothing_new(self) -> None:
        host = self.start()
        host.call(1, "slow", {"ms": 300})
        host.call(2, "reverse", {"data": "x"})
        self.assertEqual(host.reply().id, 2)  # so call 1 has begun
        host.tell("SHUTDOWN", body={"grace_us": 5_000_000})
        host.settle()
        host.call(3, "word_count", {"text": "a"})
        refusal, result = host.reply(), host.reply()
        self.assertEqual((refusal.kind, refusal.id, refusal.body["kind"]), ("ERROR", 3, "unavailable"))
        self.assertEqual((result.kind, result.id, result.body), ("RESULT", 1, 300))
        self.assertEqual(host.status(), 0)

    def test_sigterm_is_a_shutdown(self) -> None:
        host = self.start()
        host.process.send_signal(signal.SIGTERM)
        self.assertEqual(host.status(), 0)

    def test_the_end_of_control_ends_the_worker_in_the_middle_of_a_call(self) -> None:
        host = self.start()
        host.call(1, "slow", {"ms": 3_600_000})
        host.settle()
        host.control.close()
        self.assertEqual(host.status(), 0)

    def test_a_host_that_dies_with_something_unread(self) -> None:
        host = self.start()
        host.tell("PING", id=1)
        self.assertTrue(select.select([host.control], [], [], PATIENCE)[0])  # the PONG is there, and stays unread,
        host.vanish()  # so that the worker finds its end of the socket reset, not ended
        self.assertEqual(host.status(), 0)

    def test_the_end_of_data_in_is_not_the_end(self) -> None:
        host = self.start()
        os.close(host.data_in)
        host.data_in = -1
        host.settle()
        self.shut_down(host)

    def test_print_goes_to_the_worker_log(self) -> None:
        host = self.start()
        host.call(1, "countdown", {"n": 1}, flags=1, extra=1000)
        self.assertEqual([host.reply().kind, host.reply().kind], ["CHUNK", "END"])
        self.shut_down(host)
        self.assertEqual(host.log, "counting down from 1\n")

    @unittest.skipUnless(os.path.isdir("/proc/self/fdinfo"), "needs /proc")
    def test_no_grandchild_inherits_the_wire(self) -> None:
        host = self.start()
        for descriptor in host.inherited:
            lines = Path(f"/proc/{host.process.pid}/fdinfo/{descriptor}").read_text().split()
            self.assertTrue(int(lines[lines.index("flags:") + 1], 8) & os.O_CLOEXEC)
        self.shut_down(host)


class Calls(WorkerTest):
    def test_unary(self) -> None:
        host = self.start()
        host.call(1, "word_count", {"text": "a b a __proto__ ü"})
        self.assertEqual(host.reply(), Frame("RESULT", 1, {"a": 2, "b": 1, "__proto__": 1, "ü": 1}))
        self.shut_down(host)

    def test_arguments_that_do_not_fit_are_named(self) -> None:
        host = self.start()
        unknown = [({"text": "a", name: 1}, name) for name in ("top", "__proto__")]
        cases = [({}, "text"), ({"text": 5}, "text"), *unknown]
        for id, (args, parameter) in enumerate(cases, 1):
            host.call(id, "word_count", args)
            error = host.reply().body
            self.assertEqual(error["kind"], "validation")
            self.assertEqual(error["details"], {"tool": "word_count", "parameter": parameter})
            self.assertEqual(error["correlation_id"], f"c{id}")
        self.shut_down(host)

    def test_an_integer_that_javascript_would_round_is_refused(self) -> None:
        host = self.start()
        host.call(1, "slow", {"ms": 2**53 + 1})
        self.assertEqual(host.reply().body["details"], {"tool": "slow", "parameter": "ms"})
        self.shut_down(host)

    def test_unknown_tools_and_the_wrong_manner_of_call(self) -> None:
        host = self.start()
        host.call(1, "constructor", {})
        host.call(2, "word_count", {"text": "a"}, flags=1, extra=1000)
        host.call(3, "countdown", {"n": 1})
        self.assertEqual([host.reply().body["kind"] for _ in range(3)], ["not_found", "validation", "validation"])
        self.shut_down(host)

    def test_what_a_tool_throws(self) -> None:
        host = self.start()
        host.call(1, "fail", {})
        error = host.reply()
        self.assertEqual((error.kind, error.id, error.body["kind"]), ("ERROR", 1, "remote"))
        self.assertEqual((error.body["message"], error.body["python_type"]), ("this tool always fails", "RangeError"))
        self.assertIn("worker.js", error.body["traceback"])
        self.shut_down(host)

    def test_calls_are_answered_in_any_order(self) -> None:
        host = self.start()
        host.call(1, "slow", {"ms": 3_600_000})
        host.call(2, "word_count", {"text": "a"})
        self.assertEqual(host.reply().id, 2)
        host.tell("CANCEL", 1)
        self.assertEqual(host.reply().id, 1)
        self.shut_down(host)


class Streams(WorkerTest):
    def test_the_generator_waits_for_credit(self) -> None:
        host = self.start()
        host.call(1, "countdown", {"n": 3}, flags=1, extra=1)
        self.assertEqual(host.reply(), Frame("CHUNK", 1, 3))  # it costs 33: the balance is -32
        self.assert_waiting(host, probe=2)
        host.tell("CREDIT", 1, extra=32)  # exactly 0, which is not above zero
        self.assert_waiting(host, probe=3)
        host.tell("CREDIT", 1, extra=1)
        self.assertEqual(host.reply(), Frame("CHUNK", 1, 2))
        self.assert_waiting(host, probe=4)
        host.tell("CREDIT", 1, extra=1000)
        self.assertEqual([host.reply(), host.reply()], [Frame("CHUNK", 1, 1), Frame("END", 1, None)])
        self.shut_down(host)

    def assert_waiting(self, host: MockHost, probe: int) -> None:
        """Data out is in order: a chunk that did not wait would stand before the answer to a later call."""
        host.settle()
        host.call(probe, "word_count", {"text": "a"})
        self.assertEqual(host.reply(), Frame("RESULT", probe, {"a": 1}))

    def test_cancel_while_waiting_for_credit(self) -> None:
        host = self.start()
        host.call(1, "countdown", {"n": 3}, flags=1, extra=1)
        self.assertEqual(host.reply().kind, "CHUNK")
        host.tell("CANCEL", 1)
        self.assertEqual(host.reply().body["kind"], "cancelled")
        self.shut_down(host)

    def test_cancel_with_ample_credit(self) -> None:
        host = self.start()
        host.call(1, "countdown", {"n": 2**50}, flags=1, extra=2**32 - 1)
        self.assertEqual(host.reply().body, 2**50)
        host.tell("CANCEL", 1)
        while (frame := host.reply()).kind == "CHUNK":
            pass
        self.assertEqual((frame.kind, frame.body["kind"]), ("ERROR", "cancelled"))
        self.shut_down(host)


class Cancels(WorkerTest):
    def test_a_running_call(self) -> None:
        host = self.start()
        host.call(1, "slow", {"ms": 3_600_000})
        host.call(2, "word_count", {"text": "a"})
        self.assertEqual(host.reply().id, 2)  # so call 1 has begun
        host.tell("CANCEL", 1)
        error = host.reply()
        self.assertEqual((error.kind, error.id, error.body["kind"]), ("ERROR", 1, "cancelled"))
        self.assertEqual(error.body["correlation_id"], "c1")
        self.shut_down(host)

    def test_a_call_that_has_not_come_is_not_begun(self) -> None:
        host = self.start()
        host.tell("CANCEL", 1)
        host.settle()
        host.call(1, "countdown", {"n": 1}, flags=1, extra=1000)
        self.assertEqual(host.reply().body["kind"], "cancelled")
        self.shut_down(host)
        self.assertEqual(host.log, "")

    def test_a_call_that_has_ended_is_ignored(self) -> None:
        host = self.start()
        host.call(1, "word_count", {"text": "a"})
        self.assertEqual(host.reply().kind, "RESULT")
        host.tell("CANCEL", 1)
        host.tell("CREDIT", 1, extra=5)
        host.settle()
        self.shut_down(host)


class Attachments(WorkerTest):
    def test_bytes_come_and_go_beside_the_json(self) -> None:
        host = self.start()
        data = bytes(range(256)) * 4096  # more than a pipe holds
        host.call(1, "reverse", {"data": {MARK: 0}}, table=table(len(data)), data=data)
        result = host.reply()
        (mark,) = result.body
        self.assertEqual((result.table["mark"], result.body[mark]), (mark, 0))
        self.assertNotEqual(mark, MARK)
        self.assertEqual(result.attachments, [data[::-1]])
        self.shut_down(host)

    def test_no_bytes_at_all(self) -> None:
        host = self.start()
        host.call(1, "reverse", {"data": {MARK: 0}}, table=table(0))
        self.assertEqual(host.reply().attachments, [b""])
        self.shut_down(host)

    def test_json_that_looks_like_a_mark_is_data(self) -> None:
        host = self.start()
        host.call(1, "reverse", {"data": {MARK: 0}})
        self.assertEqual(host.reply().body["details"], {"tool": "reverse", "parameter": "data"})
        self.shut_down(host)

    def test_a_result_over_the_limit_of_the_host(self) -> None:
        host = self.start(limits={"max_body": 1000})
        host.call(1, "word_count", {"text": " ".join(map(str, range(180)))})
        error = host.reply()
        self.assertEqual((error.kind, error.body["kind"]), ("ERROR", "limit"))
        host.call(2, "word_count", {"text": "a"})
        self.assertEqual(host.reply().body, {"a": 1})
        self.shut_down(host)


class HostTools(WorkerTest):
    def ask(self, host: MockHost) -> Frame:
        host.call(9, "lookup", {"key": "colour"})
        question = host.reply()
        self.assertEqual((question.kind, question.id > 0), ("HOST_CALL", True))
        asked = {"call": 9, "tool": "lookup", "args": {"key": "colour"}, "correlation_id": "c9"}
        self.assertEqual(question.body, asked)
        return question

    def test_the_answer_of_the_host(self) -> None:
        host = self.start()
        question = self.ask(host)
        host.tell("HOST_RESULT", question.id, body={"is": "green"})
        self.assertEqual(host.reply(), Frame("RESULT", 9, {"is": "green"}))
        self.shut_down(host)

    def test_the_answer_with_an_attachment(self) -> None:
        host = self.start()
        question = self.ask(host)
        host.tell("HOST_RESULT", question.id, body=[{MARK: 0}, 1], table=table(3), data=b"abc")
        self.assertEqual(host.reply().attachments, [b"abc"])
        self.shut_down(host)

    def test_the_error_of_the_host(self) -> None:
        host = self.start()
        question = self.ask(host)
        host.tell("HOST_ERROR", question.id, body={"kind": "not_found", "message": "no such key"})
        error = host.reply()
        self.assertEqual((error.body["kind"], error.body["message"]), ("remote", "no such key"))
        self.assertEqual(error.body["details"]["host_kind"], "not_found")
        self.shut_down(host)

    def test_cancel_while_the_host_thinks(self) -> None:
        host = self.start()
        question = self.ask(host)
        host.tell("CANCEL", 9)
        self.assertEqual(host.reply().body["kind"], "cancelled")
        host.tell("HOST_RESULT", question.id, body=None)  # too late, and dropped
        host.settle()
        self.shut_down(host)

    def test_a_host_without_host_tools(self) -> None:
        host = self.start(capabilities=["streams"])
        host.call(1, "lookup", {"key": "colour"})
        self.assertEqual(host.reply().body["kind"], "unavailable")
        self.shut_down(host)


class Breaches(WorkerTest):
    def assert_breach(self, host: MockHost, found: str) -> None:
        self.assertEqual(host.status(), 70)
        self.assertIn(found, host.complaints)

    def test_frames_that_no_host_may_send(self) -> None:
        hello = {"versions": [1], "capabilities": []}
        cases = {
            "wrong magic": b"no" + bytes(30),
            "kind 99": HEADER.pack(b"hy", 99, 0, 0, 0, 0, 0, 0),
            "flags 1": HEADER.pack(b"hy", 4, 1, 0, 0, 0, 0, 0),
            "extra 7": HEADER.pack(b"hy", 4, 0, 0, 0, 0, 7, 0),
            "max_body": HEADER.pack(b"hy", 3, 0, 2**32 - 1, 0, 0, 0, 0),
            "without a table": HEADER.pack(b"hy", 34, 0, 0, 0, 0, 0, 64),
            "does not belong there": encode(Frame("CALL", 1, {"tool": "fail", "args": {}})),
            "HELLO on the control channel comes at the wrong time": encode(Frame("HELLO", body=hello)),
            "SHUTDOWN on the control channel has a body": encode(Frame("SHUTDOWN", body=[])),
            "PING on the control channel has a body": encode(Frame("PING", body={})),
            "cannot be read": struct.pack("<2sBBIQIIQ", b"hy", 3, 0, 1, 0, 0, 0, 0) + b"{",
            "carries attachments": encode(Frame("SHUTDOWN", body={}, table=table(0))),
        }
        for found, frame in cases.items():
            with self.subTest(found):
                host = self.start()
                host.control.sendall(frame)
                self.assert_breach(host, found)

    def test_a_call_before_hello(self) -> None:
        host = self.start(ready=False)
        host.call(1, "fail", {})
        self.assert_breach(host, "CALL on the data channel comes at the wrong time")

    def test_an_id_that_does_not_rise(self) -> None:
        host = self.start()
        host.call(2, "fail", {})
        host.call(2, "fail", {})
        self.assert_breach(host, "has the id 2 after 2")

    def test_a_frame_that_was_not_agreed(self) -> None:
        host = self.start(capabilities=["streams"])
        host.tell("CANCEL", 1)
        self.assert_breach(host, "CANCEL on the control channel needs the capability cancel")

    def test_a_mark_that_points_nowhere(self) -> None:
        host = self.start()
        host.call(1, "reverse", {"data": {MARK: 5}}, table=table(3), data=b"abc")
        self.assert_breach(host, "attachment")


def table(length: int) -> Dict[str, Any]:
    return {"mark": MARK, "items": [{"kind": "bytes", "offset": 0, "length": length}]}


if __name__ == "__main__":
    unittest.main()
