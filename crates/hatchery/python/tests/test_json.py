"""Every JSON library gives the same results."""

import dataclasses
import datetime
import enum
import json
import math
import random
import uuid
from collections import OrderedDict, namedtuple
from typing import Any

import unittest

from hatchery.attachments import MARK
from hatchery.errors import HatcheryError
from hatchery.jsonlib import MAX_DEPTH, choose, is_plain
from hatchery.values import Codec

NAMES = ("orjson", "msgspec", "json")
Pair = namedtuple("Pair", "left right")


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Level(enum.IntEnum):
    LOW = 1


class Color(str, enum.Enum):
    RED = "red"


class Kind(enum.Enum):
    NESTED = (1, 2)


@dataclasses.dataclass
class Point:
    x: int
    when: Any = None


NOW = datetime.datetime(2026, 11, 21, 1, 2, 3, 456, tzinfo=datetime.timezone.utc)
ID = uuid.UUID(int=7)


class Model:
    def model_dump(self):
        return {"model": Pair(1, NOW)}


class Broken:
    def to_dict(self):
        raise RuntimeError

    def isoformat(self):
        return "from isoformat"


class Opaque:
    def __repr__(self):
        raise AssertionError("repr must not be asked")


OPAQUE = {"__ffi_unserializable__": True, "__type__": f"{__name__}.Opaque"}

TABLE = [
    (None, None),
    (float("nan"), None),
    ([1.5, float("inf"), -float("inf"), 2], [1.5, None, None, 2]),
    ({"a": float("nan")}, {"a": None}),
    (2**63, 2**63),
    (2**64 - 1, 2**64 - 1),
    (2**64, 2**64),
    ([-(2**63) - 1, 10**40], [-(2**63) - 1, 10**40]),
    ({1: "a", None: "b", 1.5: "d", False: "e"}, {"1": "a", "null": "b", "1.5": "d", "false": "e"}),
    ({True: "c", math.inf: 1}, {"true": "c", "inf": 1}),
    ({Level.LOW: 1, Color.RED: 2, Text("t"): 3, Number(9): 4, ID: 5, NOW: 6}, {
        "1": 1, "red": 2, "t": 3, "9": 4, str(ID): 5, NOW.isoformat(): 6}),
    ({1: "first", "1": "second"}, {"1": "second"}),
    ((1, (2, 3)), [1, [2, 3]]),
    (Pair(1, Pair(2, 3)), {"left": 1, "right": {"left": 2, "right": 3}}),
    ([Pair(1, 2)], [{"left": 1, "right": 2}]),
    (NOW, "2026-11-21T01:02:03.000456+00:00"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.time(1, 2), "01:02:00"),
    ([Level.LOW, Color.RED, Kind.NESTED], [1, "red", [1, 2]]),
    ([Text("t"), Number(5), Real(1.5), Real("nan")], ["t", 5, 1.5, None]),
    (OrderedDict(b=1, a={2}), {"b": 1, "a": [2]}),
    ({frozenset([1])}, [[1]]),
    ({"d", "b", "a", "c", "f", "e"}, ["a", "b", "c", "d", "e", "f"]),
    (Point(1, Point(2)), {"x": 1, "when": {"x": 2, "when": None}}),
    (ID, str(ID)),
    (Model(), {"model": {"left": 1, "right": NOW.isoformat()}}),
    (Broken(), "from isoformat"),
    ({"in": [Opaque(), 1]}, {"in": [OPAQUE, 1]}),
    ("\ud800x", "\ufffdx"),
    (["\ud83d\udc23"], ["\U0001f423"]),
    ({"\udfff": 1}, {"\ufffd": 1}),
    ("\x00\x7f\u2028 \U0001f423 \\ \"", "\x00\x7f\u2028 \U0001f423 \\ \""),
    (complex(1, 2), {"__ffi_unserializable__": True, "__type__": "builtins.complex"}),
    (Point, {"__ffi_unserializable__": True, "__type__": "builtins.type"}),
    ([b"raw", {"k": bytearray(b"ba")}], [{MARK: 0}, {"k": {MARK: 1}}]),
]  # fmt: skip


def libraries():
    """The installed ones; the standard library at least."""
    return [library for library in (choose((name,)) for name in NAMES[:2]) if library.name != "json"] + [choose(("json",))]


def missing():
    return sorted(set(NAMES) - {library.name for library in libraries()})


def nested(depth, make):
    value = 1
    for _ in range(depth):
        value = make(value)
    return value


class Installed(unittest.TestCase):
    def test_all_libraries_are_here(self):
        if missing():
            self.skipTest(f"not installed, so not compared: {', '.join(missing())}")
        self.assertEqual([library.name for library in libraries()], list(NAMES))


class Writing(unittest.TestCase):
    def written(self, library, value):
        body, _ = Codec(library).encode(value)
        return json.loads(body, parse_constant=self.fail)

    def test_the_table(self):
        for library in libraries():
            for value, expected in TABLE:
                with self.subTest(library=library.name, value=ascii(expected)):
                    self.assertEqual(self.written(library, value), expected)
                    self.assertEqual(self.written(library, {"deep": [value]}), {"deep": [expected]})

    def test_random_trees(self):
        chance = random.Random(20261121)
        for _ in range(400):
            value = self.tree(chance, 4)
            results = {library.name: self.written(library, value) for library in libraries()}
            for name, result in results.items():
                self.assertEqual(result, results["json"], name)

    def tree(self, chance, depth):
        kind = chance.randrange(4 if depth else 1)
        if kind == 0:
            return chance.choice(TABLE)[0]
        size = chance.randrange(4)
        if kind == 1:
            return [self.tree(chance, depth - 1) for _ in range(size)]
        if kind == 2:
            return tuple(self.tree(chance, depth - 1) for _ in range(size))
        keys = ("a", "b", 1, None, True, 2.5, Level.LOW, Text("x"), "\ud800")
        return {chance.choice(keys): self.tree(chance, depth - 1) for _ in range(size)}

    def test_depth_ends_at_one_place(self):
        for library in libraries():
            # Tuples within tuples are left out: orjson does not count them.
            for make in (lambda v: [v], lambda v: {"a": v}, lambda v: {0: v}, lambda v: Point(1, v)):
                with self.subTest(library.name):
                    Codec(library).encode(nested(MAX_DEPTH, make))
                    with self.assertRaisesRegex(HatcheryError, "deeper than 254"):
                        Codec(library).encode(nested(MAX_DEPTH + 1, make))

    def test_a_cycle_is_an_error(self):
        cycle: Any = {"a": [1]}
        cycle["a"].append(cycle)
        for library in libraries():
            with self.subTest(library.name), self.assertRaisesRegex(HatcheryError, "holds itself"):
                Codec(library).encode(cycle)

    def test_a_key_that_is_no_key_is_an_error(self):
        for library in libraries():
            with self.subTest(library.name), self.assertRaisesRegex(HatcheryError, "not tuple"):
                Codec(library).encode({(1, 2): 3})

    def test_a_generator_is_an_error_that_says_what_to_do(self):
        for library in libraries():
            with self.subTest(library.name), self.assertRaisesRegex(HatcheryError, "stream=True"):
                Codec(library).encode([x for x in ()] or (x for x in ()))

    def test_an_object_that_converts_to_itself_ends(self):
        class Endless:
            def to_dict(self):
                return Endless()

        for library in libraries():
            with self.subTest(library.name), self.assertRaisesRegex(HatcheryError, "again and again"):
                Codec(library).encode(Endless())


class Reading(unittest.TestCase):
    TEXTS = [
        "18446744073709551615", "18446744073709551616", "-9223372036854775808", "-9223372036854775809",
        "[123456789012345678901234567890, 1.5]", '{"n": -123456789012345678901234567890}', "1.0", "-0", "-0.0", "1E5",
        "0.1234567890123456789", "12345678901234567890.5", "1e400", '"\\ud800"', '"\\ud83d\\udc23"', '{"a":1,"a":2}',
        '"1234567890123456789012"', "[]", "  [1 , 2]  ", "null", "true", '"\\u0000"', "[" * 255 + "]" * 255,
    ]  # fmt: skip
    BAD = ["NaN", "[Infinity]", "-Infinity", "{", "'a'", "[1,]", "01", '"\x01"', "", "nul", '{1:2}']

    def test_every_text_reads_the_same(self):
        for text in self.TEXTS:
            expected = json.loads(text)
            for library in libraries():
                for body in (text.encode(), bytearray(text.encode())):
                    with self.subTest(library=library.name, text=text[:40]):
                        read = library.loads(body)
                        self.assertEqual(read, expected)
                        self.assertIs(type(read), type(expected))

    def test_what_is_no_json_is_refused_by_all(self):
        for text in self.BAD:
            for library in libraries():
                with self.subTest(library=library.name, text=text), self.assertRaises(ValueError):
                    library.loads(text.encode())

    def test_round_trip_of_numbers(self):
        chance = random.Random(7)
        numbers = [chance.randrange(-(10 ** chance.randrange(1, 40)), 10 ** chance.randrange(1, 40)) for _ in range(500)]
        numbers += [chance.uniform(-1, 1) * 10 ** chance.randrange(-300, 300) for _ in range(500)]
        for library in libraries():
            self.assertEqual(library.loads(Codec(library).encode(numbers)[0]), numbers, library.name)


class Plain(unittest.TestCase):
    def test_what_is_plain(self):
        for value in (1, "a", None, [1, "a", [True]], {"a": (1, 2.5)}, [], {}):
            self.assertTrue(is_plain(value), value)
        for value in (b"", {1: 2}, [{1}], Pair(1, 2), [Level.LOW], Text("a"), {Text("a"): 1}, NOW):
            self.assertFalse(is_plain(value), value)
        self.assertTrue(is_plain(math.nan))


if __name__ == "__main__":
    unittest.main()
