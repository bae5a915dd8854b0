"""Values, options and errors of the client, to the words of HTTP and back."""

import dataclasses
import datetime
import inspect
import json
import math
import pickle
import sys
import traceback
import unittest
from email import message_from_bytes

import hatchery
from hatchery.client import errors, operations, requests, tools
from hatchery.client.values import LARGE, arguments_of, array_of, text_of, value_of

try:
    import numpy
except ImportError:
    numpy = None


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date


def parts(body):
    """The parts of a multipart body by name, as another library reads them: `(content type, data)`."""
    message = message_from_bytes(b"Content-Type: " + body.content_type.encode() + b"\r\n\r\n" + body.data)
    found = message.get_payload()
    return {part.get_param("name", header="Content-Disposition"): (part.get_content_type(), part.get_payload(decode=True)) for part in found}


class Values(unittest.TestCase):
    def text(self, value):
        return text_of(value, "value").decode()

    def test_plain_ones_are_json(self):
        for value in (None, True, 10**40, -1.5, "é\n", [], {"a": [1, {"b": None}]}):
            self.assertEqual(json.loads(self.text(value)), value)
            self.assertEqual(value_of(self.text(value).encode()), value)

    def test_others_are_made_plain_as_in_a_worker(self):
        self.assertEqual(self.text({"p": Point(1, datetime.date(2026, 1, 2)), 1: {3}}), '{"p":{"x":1,"when":"2026-01-02"},"1":[3]}')
        self.assertEqual(self.text([math.nan, math.inf]), "[null,null]")

    def test_bytes_have_a_form(self):
        self.assertEqual(self.text({"file": b"file"}), '{"file":{"$bytes":"ZmlsZQ=="}}')
        for value in (b"", bytearray(b"x"), memoryview(b"abcd")[::2]):
            self.assertEqual(value_of(text_of([value], "v")), [bytes(value)])

    def test_what_only_looks_like_a_form_stays_what_it_is(self):
        for value in ({"$bytes": 3}, {"$bytes": "", "x": 1}, {"$array": []}, {"x": "$bytes"}):
            self.assertEqual(value_of(text_of(value, "v")), value)

    def test_an_array_that_is_none_is_the_fault_of_the_daemon(self):
        for form in ({}, {"dtype": "<f4", "shape": [3], "base64": "AAAA"}, {"dtype": 3, "shape": [1], "base64": ""}):
            with self.assertRaises(errors.ProtocolError):
                value_of(json.dumps({"$array": form}).encode())
        for text in (b"{", b"\xff", b"NaN"):
            with self.assertRaises(errors.ProtocolError):
                value_of(text)

    def test_what_has_no_form_is_refused(self):
        for value, said in ((object(), "a builtins.object has no JSON form"), ((x for x in ()), "generator"), ({object(): 1}, "keys")):
            with self.assertRaisesRegex(errors.ValidationError, f"^arguments: .*{said}"):
                arguments_of({"a": value})
        with self.assertRaisesRegex(errors.ValidationError, "expected a dict of arguments by name, found a list"):
            arguments_of([1])

    def test_large_bytes_are_parts_of_their_own(self):
        large = bytes(range(256)) * (LARGE // 256)
        body = arguments_of({"n": 1, "small": b"x", "é": large, "args": large, "view": memoryview(large)})
        found = parts(body)
        self.assertEqual(value_of(found["args"][1]), {"n": 1, "small": b"x", "é": large, "args": large})
        self.assertEqual(found["view"], ("application/octet-stream", large))
        self.assertTrue(body.data.startswith(b"--hatchery-"))
        nested = arguments_of({"list": [large]})
        self.assertEqual((nested.content_type, value_of(nested.data)), ("application/json", {"list": [large]}))


@unittest.skipIf(numpy is None, "there is no NumPy")
class Arrays(unittest.TestCase):
    def test_arrays_come_back_as_they_were_and_can_be_written_to(self):
        for array in (
            numpy.arange(6, dtype="<i4").reshape(2, 3), numpy.arange(6.0)[::2], numpy.array(3, dtype=">f8"),
            numpy.zeros((0, 4), dtype="?"), numpy.asfortranarray(numpy.ones((2, 2), dtype="<c8")),
        ):  # fmt: skip
            found = value_of(text_of({"a": array}, "v"))["a"]
            numpy.testing.assert_array_equal(found, array)
            self.assertEqual((found.dtype, found.shape), (array.dtype, array.shape))
            found[...] = 0

    def test_large_ones_are_files_of_numpy(self):
        import io

        for array in (numpy.arange(LARGE, dtype="<f8").reshape(64, -1), numpy.ones((200, 100), dtype=">i4").T, numpy.zeros(LARGE, dtype="?")):
            content_type, data = parts(arguments_of({"a": array}))["a"]
            found = numpy.load(io.BytesIO(data), allow_pickle=False)
            numpy.testing.assert_array_equal(found, array)
            self.assertEqual((content_type, found.dtype), ("application/x-npy", array.dtype))
            self.assertEqual((len(data) - array.nbytes) % 64, 0)
            back = array_of(data)
            numpy.testing.assert_array_equal(back, array)
            back[...] = 0

    def test_a_file_that_is_none_is_the_fault_of_the_daemon(self):
        import io

        whole = io.BytesIO()
        numpy.save(whole, numpy.asfortranarray(numpy.ones((2, 3))))
        for data in (b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x04\x00junk", whole.getvalue(), whole.getvalue()[:-1]):
            with self.assertRaises(errors.ProtocolError):
                array_of(data)

    def test_without_numpy_an_array_is_a_view(self):
        text = text_of(numpy.array([[1.5, 2.5]]), "v")
        hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "numpy"}
        sys.modules["numpy"] = None
        try:
            self.assertEqual(value_of(text).tolist(), [[1.5, 2.5]])
        finally:
            sys.modules.update(hidden)


class Options(unittest.TestCase):
    def test_they_are_headers(self):
        options = requests.Options(1.5, "user-7", "strict-queue", "high", "acme", True, "order 1", "default-1")
        self.assertEqual(options.headers(), (
            ("X-Hatchery-Timeout", "1500ms"), ("X-Hatchery-Session", "user-7"), ("X-Hatchery-Affinity", "strict-queue"),
            ("X-Hatchery-Priority", "high"), ("X-Hatchery-Tenant", "acme"), ("X-Hatchery-Idempotent", "true"),
            ("X-Hatchery-Correlation-Id", "order 1"), ("X-Hatchery-Worker", "default-1"),
        ))  # fmt: skip
        self.assertEqual(requests.Options().headers(), ())

    def test_whatever_takes_them_takes_them_all(self):
        """Their names are spelled out where people look for them, and passed on by their places: neither may drift."""
        given = requests.Options("1s", "user-7", "hint", "low", "acme", False, "order 1", "default-1")

        class Recorder(operations.Operations):
            def _ask(self, request, limit=None):
                return request.headers

            def _open(self, request, feed, limit):
                return request.headers

        recorder = Recorder(None, operations.Scope())
        for asks in (recorder.call, recorder.stream, lambda tool, **options: recorder.with_options(**options).call(tool)):
            self.assertLessEqual(set(given.headers()), set(asks("t", **given._asdict())))
        for takes in (recorder.call, recorder.stream, recorder.with_options):
            keywords = [name for name, formal in inspect.signature(takes).parameters.items() if formal.kind is formal.KEYWORD_ONLY]
            self.assertEqual(keywords, list(requests.Options._fields), takes.__name__)

    def test_times_are_numbers_or_texts(self):
        for timeout, header, limit in (
            (3, "3000ms", 3), (0.0001, "1ms", 0.0001), ("5m", "5m", 300), ("250ms", "250ms", 0.25), ("infinity", "infinity", None),
            (math.inf, "infinity", None), (datetime.timedelta(hours=1), "3600000ms", 3600),
        ):  # fmt: skip
            options = requests.Options(timeout)
            self.assertEqual(options.headers(), (("X-Hatchery-Timeout", header),))
            self.assertEqual(options.limit(), limit and limit + requests.GRACE)
        for wrong in (0, -1, "soon", "5 m", "", True, math.nan, b"1s"):
            with self.assertRaisesRegex(errors.ValidationError, "^timeout: "):
                requests.Options(wrong).headers()

    def test_nothing_gets_into_a_header_that_ends_it(self):
        for wrong in ("a\r\nX: y", "\x00", "é", 3, b"x"):
            with self.assertRaisesRegex(errors.ValidationError, "^session: "):
                requests.Options(session=wrong).headers()

    def test_a_name_is_one_segment_whatever_is_in_it(self):
        request = requests.call("a/b", "c?é", {}, requests.Options())
        self.assertEqual(request.target, "/v1/pools/a%2Fb/call/c%3F%C3%A9")
        self.assertEqual(requests.ask("GET", "events", query={"kind": "a.*,b", "pool": None}).target, "/v1/events?kind=a.%2A%2Cb")

    def test_only_what_may_be_asked_twice_is_idempotent(self):
        idempotent = [requests.ask(method, "x").idempotent for method in ("GET", "PUT", "DELETE", "POST")]
        self.assertEqual(idempotent, [True, True, True, False])
        self.assertFalse(requests.call("p", "t", {}, requests.Options()).idempotent)
        self.assertTrue(requests.call("p", "t", {}, requests.Options(idempotent=True)).idempotent)


REMOTE = {"kind": "remote", "message": "no", "retryable": False, "python_type": "ValueError", "traceback": "Traceback:\n  here\n",
          "details": {"shape": [1]}, "correlation_id": "c", "last_output": ["words"]}  # fmt: skip


class Errors(unittest.TestCase):
    def test_each_kind_has_its_class(self):
        kinds = "validation not_found remote deadline cancelled saturated unavailable worker_died protocol limit conflict internal"
        self.assertEqual(sorted(errors.BY_KIND), sorted(kinds.split()))
        for kind, expected in errors.BY_KIND.items():
            error = errors.error_of({"error": {"kind": kind, "message": "m", "retryable": True}})
            self.assertEqual((type(error), error.kind, error.message, error.retryable), (expected, kind, "m", True))
            self.assertEqual(expected.__module__, "hatchery.client")

    def test_it_has_all_that_was_told(self):
        error = errors.error_of({"error": REMOTE})
        for name, value in REMOTE.items():
            self.assertEqual(getattr(error, name), value, name)
        self.assertEqual(str(error), "no")

    def test_a_kind_of_a_newer_daemon_is_kept(self):
        error = errors.error_of({"error": {"kind": "tired", "message": "m"}})
        self.assertEqual((type(error), error.kind), (errors.Error, "tired"))

    def test_what_tells_of_none_is_none(self):
        for text in (b"<html>", b"{}", b'{"error": 3}', b'{"error": {"kind": 3}}', b"[", b"\xff", b"[" * 100_000):
            self.assertIsNone(errors.error_in(text))

    def test_the_traceback_of_the_tool_is_printed(self):
        text = "".join(traceback.format_exception(None, errors.error_of({"error": REMOTE}), None))
        self.assertLess(text.index("  here"), text.index("hatchery.client.RemoteError: no"))

    def test_it_goes_to_other_processes(self):
        error = errors.error_of({"error": REMOTE})
        copy = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(copy), copy.__dict__, str(copy)), (type(error), error.__dict__, "no"))
        self.assertIsInstance(copy.__cause__, errors.RemoteTraceback)
        made = hatchery.HostError("no", "limit", {"most": 3})
        copy = pickle.loads(pickle.dumps(made))
        self.assertEqual((type(copy), copy.__dict__, str(copy)), (hatchery.HostError, made.__dict__, "no"))

    def test_a_kind_is_the_same_in_a_tool_and_in_a_client(self):
        for name in hatchery.__all__:
            ours = getattr(hatchery, name)
            if isinstance(ours, type) and ours.__base__ is hatchery.HatcheryError and ours is not hatchery.HostError:
                theirs = getattr(hatchery.client, ours.__name__)
                self.assertEqual((ours.kind, ours.retryable, ours.__doc__), (theirs.kind, theirs.retryable, theirs.__doc__))
        own = type("Own", (hatchery.NotFound,), {})
        self.assertEqual((own.kind, own("m").details, str(own("m"))), ("not_found", {}, "m"))


def spec(*parameters):
    made = [{"name": name, "type": "int", "required": default is None, "default": default} for name, default in parameters]
    return {"name": "tool", "doc": "Does.", "streaming": False, "parameters": made}


class Functions(unittest.TestCase):
    def test_a_tool_has_the_signature_that_was_told(self):
        self.assertEqual(str(tools.signature_of(spec(("a", None), ("b", 3)))), "(a: 'int', b: 'int' = 3)")
        self.assertEqual(str(tools.signature_of(spec(("b", 3), ("a", None)))), "(*, b: 'int' = 3, a: 'int')")
        self.assertEqual(str(tools.signature_of(spec(("no name", None)))), "(**arguments)")

    def test_arguments_by_position_get_their_names(self):
        called = []
        client = type("Client", (), {"_call": lambda self, tool, arguments: called.append((tool, arguments))})()
        tool = tools.Tool(client, "tool", spec(("a", None), ("b", 3)))
        tool(1, b=2)
        tool(1, c=3)
        self.assertEqual(called, [("tool", {"a": 1, "b": 2}), ("tool", {"a": 1, "c": 3})])
        self.assertEqual(tool.__doc__, "Does.")
        for args, named, said in (((1, 2, 3), {}, "takes 2 arguments, and got 3"), ((1,), {"a": 2}, "`a` twice")):
            with self.assertRaisesRegex(TypeError, said):
                tool(*args, **named)


if __name__ == "__main__":
    unittest.main()
