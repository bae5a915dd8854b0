"""Arguments: what fits, what is converted, and how a refusal reads."""

import dataclasses
import enum
import sys
import typing
import unittest
from typing import Annotated, Any, Dict, List, Literal, NewType, Optional, Tuple, TypedDict, Union

from hatchery import Context, ValidationError, signature, tool
from hatchery.binding import Binding
from hatchery.tools import Options, Tool


class Color(enum.Enum):
    RED = "red"
    ONE = 1


@dataclasses.dataclass
class Node:
    name: str
    size: float = 1
    children: "List[Node]" = dataclasses.field(default_factory=list)


class Movie(TypedDict, total=False):
    title: str
    year: int


class Model:
    """Like a model of pydantic's."""

    def __init__(self, data):
        self.data = data

    @classmethod
    def model_validate(cls, data):
        if not isinstance(data, dict):
            raise ValueError("not a mapping")
        return cls(data)


class Unknown:
    pass


UserId = NewType("UserId", int)


def bound(annotation, value):
    def f(x):
        pass

    f.__annotations__["x"] = annotation
    return Binding("t", f).bind({"x": value}, None)["x"]


class Signatures(unittest.TestCase):
    def test_what_is_read_from_code_is_what_inspect_says(self):
        class Holder:
            def method(self, a, b=1, *, c, d=2, **rest):
                pass

            @classmethod
            def of_class(cls, a):
                pass

            def starred(*everything):
                pass

        for function in (Holder().method, Holder.method, Holder().of_class, Holder().starred, lambda: 0,
                         lambda a, b=1, *, c=2, d, **rest: 0, lambda a=1, /, b=2, *, c=3: 0, lambda *a: 0):  # fmt: skip
            self.assertEqual(signature.parameters(function), signature._inspected(function))


class Values(unittest.TestCase):
    def test_keys_whose_annotation_cannot_be_a_key(self):
        self.assertEqual(bound(Dict[Annotated[int, ["metadata"]], str], {"1": "a"}), {1: "a"})

    def fits(self, annotation, value, expected=None):
        result = bound(annotation, value)
        expected = value if expected is None else expected
        self.assertEqual(result, expected)
        self.assertIs(type(result), type(expected))

    def refused(self, annotation, value, message):
        with self.assertRaises(ValidationError) as caught:
            bound(annotation, value)
        self.assertEqual(str(caught.exception), f"t: argument {message}")
        self.assertEqual(caught.exception.details, {"tool": "t", "parameter": "x"})

    def test_what_fits_stays(self):
        for annotation, value in [
            (str, "a"), (int, 10**30), (bool, True), (float, 1.5), (None, None), (Any, {"a": 1}), (object, [1]), (dict, {}),
            (list, [1, "a"]), (List[int], [1, 2]), (list[float], [1.5]), (dict[str, int], {"a": 1}), (Optional[str], None),
            (Optional[str], "a"), (Union[int, str], "a"), (Literal["a", 1], 1), (Movie, {"title": "M"}), (bytes, b"a"),
            (UserId, 3), (Unknown, 5), (Dict[str, List[int]], {"a": [1]}), (typing.Sequence[int], [1]), ("Nowhere", 1),
            (typing.Mapping[str, Any], {"a": 1}), (typing.TypeVar("T"), 1), (list[Any], [1, None]),
        ]:  # fmt: skip
            with self.subTest(str(annotation)):
                self.fits(annotation, value)

    def test_what_is_converted(self):
        for annotation, value, expected in [
            (float, 3, 3.0), (list[float], [1, 2.5], [1.0, 2.5]), (tuple, [1], (1,)), (Tuple[int, str], [1, "a"], (1, "a")),
            (tuple[int, ...], [1, 2], (1, 2)), (set, [1, 1], {1}), (set[int], [1], {1}), (frozenset, [1], frozenset([1])),
            (Color, "red", Color.RED), (Color, 1, Color.ONE), (list[Color], ["red"], [Color.RED]), (bytearray, b"a", bytearray(b"a")),
            (dict[int, float], {"1": 2}, {1: 2.0}), (Union[float, None], 3, 3.0), (dict[str, Color], {"a": 1}, {"a": Color.ONE}),
            (Literal[Color.RED], "red", Color.RED), (bytes, memoryview(b"a"), b"a"),
            (Node, {"name": "a", "children": [{"name": "b", "size": 2}]}, Node("a", 1, [Node("b", 2.0)])),
        ]:  # fmt: skip
            with self.subTest(str(annotation)):
                self.fits(annotation, value, expected)
        self.assertEqual(bound(Model, {"a": 1}).data, {"a": 1})

    def test_how_refusals_read(self):
        for annotation, value, message in [
            (str, 3, "`x` must be str, got int (3)"),
            (int, True, "`x` must be int, got bool (True)"),
            (int, 1.0, "`x` must be int, got float (1.0)"),
            (bool, 1, "`x` must be bool, got int (1)"),
            (float, "1", "`x` must be float, got str ('1')"),
            (float, 10**400, f"`x` must be float, got int ({'1' + 39 * '0'})"),
            (str, None, "`x` must be str, got None"),
            (None, 1, "`x` must be None, got int (1)"),
            (list[int], [1, 2, 3, "a"], "`x[3]` must be int, got str ('a')"),
            (list[int], [1, True], "`x[1]` must be int, got bool (True)"),
            (list[int], {"a": 1}, "`x` must be list, got dict"),
            (dict[str, list[int]], {"a": [1, None]}, "`x['a'][1]` must be int, got None"),
            (dict[int, str], {"a": "b"}, "`x['a']` must have int keys, got str ('a')"),
            (tuple[int, str], [1], "`x` must have 2 items, got 1"),
            (tuple[int, str], [1, 2], "`x[1]` must be str, got int (2)"),
            (set, [[1]], "`x` cannot be a set: unhashable type: 'list'"),
            (Literal["a", "b"], "c", "`x` must be one of 'a', 'b', got str ('c')"),
            (Literal[1], True, "`x` must be one of 1, got bool (True)"),
            (Color, True, "`x` must be one of 'red', 1, got bool (True)"),
            (Color, "blue", "`x` must be one of 'red', 1, got str ('blue')"),
            (Optional[int], "a", "`x` must be Optional[int], got str ('a')"),
            (Union[None, list[int]], ["a"], "`x[0]` must be int, got str ('a')"),
            (Movie, {"title": 1}, "`x.title` must be str, got int (1)"),
            (Movie, {"tilte": "a"}, "`x.tilte` is no field of Movie"),
            (Node, {}, "`x.name` is missing"),
            (Node, {"name": "a", "children": [{"name": 1}]}, "`x.children[0].name` must be str, got int (1)"),
            (Node, [], "`x` must be dict (Node), got list"),
            (Model, 1, "`x` is no Model: not a mapping"),
            (bytes, "a", "`x` must be bytes, got str ('a')"),
            (str, ["sk-0123456789abcdef"], "`x` must be str, got list"),
            (int, "sk-0123456789abcdef", "`x` must be int, got str ('[REDACTED]')"),
        ]:
            with self.subTest(message):
                self.refused(annotation, value, message)


class Arguments(unittest.TestCase):
    def refused(self, function, arguments, message, parameter):
        with self.assertRaises(ValidationError) as caught:
            Binding("word_count", function).bind(arguments, None)
        self.assertEqual(str(caught.exception), f"word_count: {message}")
        self.assertEqual(caught.exception.details, {"tool": "word_count", "parameter": parameter})

    def test_names(self):
        def f(text: str, top=1):
            pass

        self.refused(f, {}, "missing argument `text`", "text")
        self.refused(f, {"txet": "a"}, "unknown argument `txet` (did you mean `text`?)", "txet")
        self.refused(f, {"text": "a", "txet": 1}, "unknown argument `txet` (did you mean `text`?)", "txet")
        self.refused(f, {"text": "a", "zzz": 1}, "unknown argument `zzz`", "zzz")
        self.assertEqual(Binding("f", f).bind({"text": "a"}, None), {"text": "a"})

    def test_other_keywords_are_taken_where_the_function_takes_them(self):
        def f(a: int, **rest):
            pass

        self.assertEqual(Binding("f", f).bind({"a": 1, "b": 2}, None), {"a": 1, "b": 2})

    def test_parameters_by_position_are_refused_at_load(self):
        def star(*args):
            pass

        def positional(a, /):
            pass

        for function, name in ((star, r"\*args"), (positional, " a ")):
            with self.assertRaisesRegex(TypeError, name):
                Binding("f", function)

    def test_the_context_is_found_by_its_annotation(self):
        def direct(a, ctx: Context):
            pass

        def optional(a, c: Optional[Context] = None):
            pass

        def text(a, ctx: "Context"):
            pass

        for function, name in ((direct, "ctx"), (optional, "c"), (text, "ctx")):
            binding = Binding("f", function)
            self.assertEqual([p.name for p in binding.parameters], ["a"])
            self.assertIsInstance(binding.bind({"a": 1}, None)[name], Context)


class Descriptions(unittest.TestCase):
    def described(self, function):
        return {p["name"]: p for p in Tool(function, Options()).describe()["parameters"]}

    def test_types_are_spelled_as_people_write_them(self):
        def f(a: list[str], b: Optional[int], c: "str | None", d, e: Literal["x.y", 1], g: Dict[str, Any], h: Color, i: None,
              j: typing.Sequence[Node], k: tuple[int, ...]):  # fmt: skip
            pass

        types = {name: p["type"] for name, p in self.described(f).items()}
        self.assertEqual(types, {
            "a": "list[str]", "b": "Optional[int]", "c": "str | None", "d": "Any", "e": "Literal['x.y', 1]", "g": "Dict[str, Any]",
            "h": "Color", "i": "None", "j": "Sequence[Node]", "k": "tuple[int, ...]"})  # fmt: skip

    @unittest.skipIf(sys.version_info < (3, 10), "the union operator of types is of Python 3.10")
    def test_the_union_operator(self):
        def f(a):
            pass

        f.__annotations__["a"] = eval("str | None")
        self.assertEqual(self.described(f)["a"]["type"], "str | None")

    def test_texts_with_unions_are_checked_in_every_python(self):
        def f(a: "str | None", b: "list[int | str]" = []):
            pass

        binding = Binding("f", f)
        self.assertEqual(binding.bind({"a": None, "b": [1, "a"]}, None), {"a": None, "b": [1, "a"]})
        with self.assertRaisesRegex(ValidationError, r"`b\[1\]` must be"):
            binding.bind({"a": "", "b": [1, 1.5]}, None)

    def test_defaults_that_json_can_say(self):
        def f(a, b=1, c=None, d=b"", e=float("nan"), g=(1, 2), h=[{"x": 1}], i=Color.RED):
            pass

        described = self.described(f)
        self.assertEqual({n: p["default"] for n, p in described.items() if "default" in p},
                         {"b": 1, "c": None, "g": (1, 2), "h": [{"x": 1}]})  # fmt: skip
        self.assertEqual([n for n, p in described.items() if p["required"]], ["a"])

    def test_the_doc_is_the_first_paragraph(self):
        def f():
            """Counts
            words.

            At length.
            """

        self.assertEqual(Tool(f, Options()).doc, "Counts words.")


class Decorating(unittest.TestCase):
    def test_a_tool_stays_a_plain_function(self):
        @tool
        def bare(a):
            return a + 1

        @tool(name="other")
        def named(a):
            return a

        self.assertEqual((bare(1), named(2)), (2, 2))

    def test_a_generator_cannot_be_told_not_to_stream(self):
        with self.assertRaisesRegex(TypeError, "streams"):

            @tool(stream=False)
            def f():
                yield

    def test_only_functions_are_tools(self):
        with self.assertRaises(TypeError):
            tool(5)

    def test_a_context_for_tests(self):
        @tool
        def f(ctx: Context):
            ctx.progress(0.5, "half")
            ctx.log.warning("%d left", 2)
            ctx.emit("a.b", {"ms": 1})
            return ctx.call("lookup", key="k")

        ctx = Context.for_test(host_tools={"lookup": lambda key: key * 2}, timeout=5)
        self.assertEqual(f(ctx), "kk")
        self.assertEqual(ctx.recorded, [("progress", 0.5, "half"), ("log", "warning", "2 left"),
                                        ("event", "a.b", {"ms": 1}, {}), ("call", "lookup", {"key": "k"})])  # fmt: skip
        self.assertLessEqual(ctx.time_left, 5)
        ctx.cancel()
        self.assertTrue(ctx.cancelled)


if __name__ == "__main__":
    unittest.main()
