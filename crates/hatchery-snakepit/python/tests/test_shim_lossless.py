"""The shim's `lossless`."""

import json

from .fake_host import TEXT
from .running import BridgeTest, execute, request, result, shimmed

ADDRESS = "type.googleapis.com/snakepit."


class Results(BridgeTest):
    def wire(self, stub, name):
        answer = execute(stub, "value", name=name)
        self.assertTrue(answer.success, answer.error_message)
        return answer.result.type_url[len(ADDRESS) :], answer.result.value, answer.binary_result

    def check(self, stub):
        cases = {
            "none": ("null", b"null", b""),
            "integer": ("integer", b"5", b""),
            "large_integer": ("integer", b"9007199254740993", b""),
            "bytes": ("", b"", b"ab\xff"),
            "bytearray": ("", b"", b"ab"),
            "tuple": ("list", b"[1,2]", b""),
            "set": ("list", b"[1]", b""),
            "set_in_map": ("map", b'{"inner":[1],"beside":[[2],[3]]}', b""),
            "boolean": ("boolean", b"true", b""),
            "nan": ("float", b'"NaN"', b""),
            "list": ("list", b'[1,null,"a"]', b""),
            "text": ("string", '"Ω"'.encode(), b""),
        }
        for name, expected in cases.items():
            with self.subTest(name):
                self.assertEqual(self.wire(stub, name), expected)

    def test_each_type_of_the_process_server(self):
        self.check(self.worker(self.host(), **shimmed("lossless")).stub())

    def test_each_type_of_the_threaded_server(self):
        self.check(self.threaded(self.host(), **shimmed("lossless")).stub())

    def test_each_type_in_threads(self):
        self.check(self.threaded(self.host(), **shimmed("lossless", "parallel")).stub())

    def test_each_answer_has_its_own_result(self):
        stub = self.worker(self.host(), **shimmed("lossless")).stub()
        calls = [stub.ExecuteTool.future(request("number", number=number), timeout=30) for number in range(50)]
        self.assertEqual([json.loads(call.result().result.value) for call in calls], list(range(50)))

    def test_errors_and_generators_stay(self):
        stub = self.worker(self.host(), **shimmed("lossless")).stub()
        self.assertFalse(execute(stub, "error_demo").success)
        self.assertIn("error", result(stub, "stream_progress"))
        self.assertEqual(result(stub, "async_none"), None)


class Arguments(BridgeTest):
    def test_each_type(self):
        host = self.host()
        seen = []
        host.tools["note"] = lambda parameters: seen.append(parameters["value"]) or "noted"
        result(self.worker(host, **shimmed("lossless")).stub(), "call_host_with_each_type", name="note")
        expected = ["Ω a", "", "123456789", 3, 2**53 + 1, 1.5, True, None, [1, "a", None], {"a": 1, "b": [True]}]
        self.assertEqual([(address, json.loads(text)) for address, text in seen], [(TEXT, value) for value in expected])

    def test_what_has_no_json_form_goes_as_before(self):
        host = self.host()
        seen = []
        host.tools["note"] = lambda parameters: seen.append(parameters) or "noted"
        result(self.worker(host, **shimmed("lossless")).stub(), "call_host_with_a_set", name="note")
        self.assertEqual(seen, [{"odd": (TEXT, b"\x0a\x03{1}"), "even": (TEXT, b"[2]")}])
