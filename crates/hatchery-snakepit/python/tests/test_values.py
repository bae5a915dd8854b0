"""How values travel, in both directions."""

import json
import pickle

from google.protobuf import any_pb2, struct_pb2, wrappers_pb2
from snakepit import bridge_pb2 as pb

from .fake_host import TEXT
from .running import FULL, BridgeTest, SharedBridgeTest, execute, failure, result

ADDRESS = "type.googleapis.com/snakepit."


class Results(SharedBridgeTest):
    def wire(self, name):
        answer = execute(self.stub, "value", name=name)
        self.assertTrue(answer.success, answer.error_message)
        self.assertEqual(answer.binary_result, b"")
        return answer.result.type_url[len(ADDRESS) :], answer.result.value

    def test_each_type(self):
        cases = {
            "none": ("string", b'"None"'),
            "integer": ("float", b"5.0"),
            "large_integer": ("float", b"9007199254740992.0"),
            "boolean": ("boolean", b"true"),
            "nan": ("float", b'"NaN"'),
            "infinity": ("float", b'"-Infinity"'),
            "bytes": ("string", json.dumps(str(b"ab\xff")).encode()),
            "tuple": ("string", b'"(1, 2)"'),
            "list": ("list", b'[1,null,"a"]'),
            "text": ("string", '"Ω"'.encode()),
            "nan_in_map": ("map", b'{"inner":null}'),
        }
        for name, expected in cases.items():
            with self.subTest(name):
                self.assertEqual(self.wire(name), expected)

    def test_what_has_no_form_is_marked_and_its_siblings_are_there(self):
        for name, kind in (("bytes_in_map", "builtins.bytes"), ("lock_in_map", "_thread.lock")):
            with self.subTest(name):
                marker = {"__ffi_unserializable__": True, "__type__": kind}
                self.assertEqual(result(self.stub, "value", name=name), {"inner": marker, "beside": 1})

    def test_an_integer_that_is_too_large_fails_the_call(self):
        found = failure(self.stub, "value", name="huge_integer_in_map")
        self.assertEqual((found["type"], found["message"]), ("TypeError", "Integer exceeds 64-bit range"))

    def test_twenty_megabytes(self):
        self.assertEqual(len(result(self.stub, "text", length=20_000_000)), 20_000_000)


class Parameters(SharedBridgeTest):
    def test_json_round_trips(self):
        given = {"map": {"a": [None, {"b": 1.5}]}, "text": "Ω\u2028", "none": None, "number": 7, "flag": False}
        self.assertEqual(result(self.stub, "echo", **given), given)

    def test_the_address_says_how_a_number_is_meant(self):
        cases = ((b"3", "float", 3.0), (b'"NaN"', "float", "nan"), (b'"-Infinity"', "float", "-inf"), (b"3.0", "integer", 3))
        for text, kind, expected in cases:
            with self.subTest(text=text, kind=kind):
                self.assertEqual(str(self.type_seen(any_pb2.Any(type_url=ADDRESS + kind, value=text))), str(expected))

    def type_seen(self, value):
        request = pb.ExecuteToolRequest(session_id="s1", tool_name="process_binary", parameters={"data": value})
        seen = json.loads(self.stub.ExecuteTool(request, timeout=30).result.value)
        return {"float": float, "int": int}[seen["type"]](seen["text"])

    def test_a_packed_text_breaks_it(self):
        packed = any_pb2.Any()
        packed.Pack(wrappers_pb2.StringValue(value="a"))
        request = pb.ExecuteToolRequest(session_id="s1", tool_name="echo", parameters={"value": packed})
        answer = self.stub.ExecuteTool(request, timeout=30)
        self.assertFalse(answer.success)
        self.assertIn("JSONDecodeError", answer.error_message)

    def test_binary_parameters_are_bytes(self):
        data = bytes(range(256))
        seen = result(self.stub, "process_binary", binary={"data": data})
        self.assertEqual(seen, {"type": "bytes", "length": 256, "sum": sum(data), "others": []})

    def test_pickled_parameters_are_objects(self):
        binary = {"data": pickle.dumps({"a": (1,)})}
        seen = result(self.stub, "process_binary", binary=binary, metadata={"binary_format:data": "pickle"})
        self.assertEqual(seen, {"type": "dict", "text": "{'a': (1,)}"})


class HostTools(BridgeTest):
    def test_what_arrives_of_each_type(self):
        host = self.host()
        seen = []
        host.tools["note"] = lambda parameters: seen.append(parameters["value"]) or "noted"
        stub = self.worker(host).stub()
        answers = result(stub, "call_host_with_each_type", name="note")
        self.assertEqual(set(answers.values()), {"noted"})
        value = "type.googleapis.com/google.protobuf.Value"
        expected = {
            "string": (TEXT, b"\x0a\x04" + "Ω a".encode()),
            "empty": (TEXT, b""),
            "digits": (TEXT, b"\x0a\x09123456789"),
            "integer": (value, b"3"),
            "large": (value, b"9007199254740993"),
            "float": (value, b"1.5"),
            "boolean": (value, b"true"),
            "none": (TEXT, b"\x0a\x04None"),
            "list": (TEXT, b"\x0a\x0e[1, 'a', None]"),
            "map": (TEXT, b"\x0a\x15{'a': 1, 'b': [True]}"),
        }
        self.assertEqual(dict(zip(answers, seen)), expected)

    def test_results_are_json_or_a_struct(self):
        host = self.host()
        host.tools["map"] = lambda _parameters: {"a": [1, None]}
        stub = self.worker(host).stub()
        self.assertEqual(result(stub, "call_elixir_demo", name="map"), {"result": {"a": [1, None]}})
        structure = struct_pb2.Struct()
        structure.update({"a": 1.5})
        host.tools["structure"] = lambda _parameters: structure
        self.assertEqual(result(stub, "call_elixir_demo", name="structure"), {"result": {"a": 1.5}})

    def test_a_tool_that_is_not_there_is_not_asked_for(self):
        host = self.host()
        host.tools["a"] = lambda _parameters: 1
        found = failure(self.worker(host).stub(), "call_elixir_demo", name="b")
        self.assertEqual(found["type"], "ValueError")
        self.assertIn("'a'", found["message"])
        self.assertEqual(host.asked("ExecuteElixirTool"), [])

    def test_a_tool_that_fails(self):
        host = self.host()
        host.tools["a"] = lambda parameters: parameters["missing"]
        found = failure(self.worker(host).stub(), "call_elixir_demo", name="a")
        self.assertEqual(found["type"], "RuntimeError")
        self.assertTrue(found["message"].startswith("Failed to call Elixir tool: Tool execution failed"))

    def test_the_list_of_tools_is_asked_for_once_per_call_and_has_no_parameters(self):
        host = self.host()
        host.tools["a"] = lambda _parameters: 1
        stub = self.worker(host).stub()
        self.assertEqual(result(stub, "host_tools"), {"a": {"name": "a", "description": "a!", "parameters": {}}})
        result(stub, "call_host_with_each_type", name="a")
        self.assertEqual(len(host.asked("GetExposedElixirTools")), 2)

    def test_a_tool_of_another_worker(self):
        host = self.host()
        seen = result(self.worker(host, FULL).stub(), "call_other_worker", name="b", arguments={"a": [1]})
        self.assertEqual(seen, {"result": {"tool": "b", "given": {"a": [1]}}})
