"""What becomes of exceptions."""

import grpc

from .running import BridgeTest, SharedBridgeTest, execute, failure, request, result


class Unary(SharedBridgeTest):
    def test_each_class_is_named(self):
        names = "ValueError KeyError IndexError TypeError AttributeError ImportError RuntimeError NotImplementedError"
        for name in f"{names} FileNotFoundError PermissionError ZeroDivisionError OddError".split():
            with self.subTest(name):
                self.assertEqual(failure(self.stub, "error_demo", error_type=name)["type"], name)

    def test_what_is_told(self):
        told = {"library": "numpy", "function": "dot", "call_type": "function", "python_module": "m", "payload_version": 1}
        found = failure(self.stub, "error_demo", session="a", message="x y", **told)
        self.assertEqual(found["message"], "x y")
        self.assertEqual("".join(found["stacktrace"]), found["traceback"])
        self.assertIn("in error_demo", found["traceback"])
        self.assertEqual(found["context"], {"tool_name": "error_demo", "session_id": "a", **told})

    def test_a_tool_that_is_not_there(self):
        self.assertEqual(failure(self.stub, "no_such_tool")["type"], "AttributeError")

    def test_a_generator_is_no_answer(self):
        for tool in ("stream_progress", "stream_async"):
            with self.subTest(tool):
                found = result(self.stub, tool, **({"count": 2} if tool == "stream_async" else {}))
                self.assertEqual(found, {"error": "Streaming tool called on non-streaming endpoint."})

    def test_an_answer_that_is_too_large(self):
        with self.assertRaises(grpc.RpcError) as raised:
            execute(self.stub, "text", length=101 << 20)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertTrue(execute(self.stub, "ping").success)


class Streams(BridgeTest):
    def test_without_execute_tool(self):
        stub = self.worker(self.host(), "bridge_tools.bare.NoExecuteTool").stub()
        self.assertEqual(failure(stub, "lonely")["type"], "RpcError")
        with self.assertRaises(grpc.RpcError) as raised:
            list(stub.ExecuteStreamingTool(request("lonely"), timeout=10))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
