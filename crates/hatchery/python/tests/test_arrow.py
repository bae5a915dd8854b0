"""Tables of Arrow, met where pyarrow is."""

import unittest

from .sharing import MEBIBYTE, NOTHING, HoldingTest, SharingWorker

try:
    import pyarrow
except ImportError:
    pyarrow = None

SOURCE = NOTHING + """
import gc
from typing import Annotated
import pyarrow as pa
import hatchery
KEPT = []
class Lends:
    def __init__(self, table): self.table = table
    def __arrow_c_stream__(self, requested_schema=None): return self.table.__arrow_c_stream__(requested_schema)
class LendsBatch:
    def __init__(self, batch): self.batch = batch
    def __arrow_c_array__(self, requested_schema=None): return self.batch.__arrow_c_array__(requested_schema)
def table_of(n): return pa.table({"n": pa.array(range(n), pa.int64()), "s": [str(i % 7) if i % 3 else None for i in range(n)]})
@tool
def made(n: int, how: str):
    t = table_of(n)
    return {"table": lambda: t, "batch": lambda: t.to_batches()[0], "chunked": lambda: pa.concat_tables([t, t]), "slice": lambda: t.slice(5, 10),
            "reader": lambda: t.to_reader(), "lent": lambda: Lends(t), "lent batch": lambda: LendsBatch(t.to_batches()[0]), "empty": lambda: t.slice(0, 0)}[how]()
@tool
def column(n: int): return table_of(n)["n"].chunk(0)
@tool
def about(t): return [type(t).__name__, t.num_rows, t.column_names, sum(t["n"].to_pylist())]
@tool
def typed(t: pa.Table): return about(t)
@tool
def batch(b: pa.RecordBatch): return [type(b).__name__, b.num_rows]
@tool
def reader(r: pa.RecordBatchReader): return [type(r).__name__, sum(b.num_rows for b in r)]
@tool
def raw(t: memoryview): return [type(t).__name__, t.nbytes]
@tool
def copies(t: pa.Table):
    '''How many bytes reading all of it has taken.'''
    return [pa.total_allocated_bytes(), t["n"].chunk(0).buffers()[1].is_mutable]
@tool
def keeps(t): KEPT.append(t["n"].slice(3, 2))
@tool
def forgets(): KEPT.clear(); gc.collect()
@tool
def echo(t): return t
@tool
def nested(n: int): return {"tables": [table_of(n), table_of(2)], "n": n}
"""


@unittest.skipIf(pyarrow is None, "pyarrow is not installed")
class Tables(HoldingTest):
    SOURCE = SOURCE

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.table = pyarrow.table({"n": pyarrow.array(range(10_000), pyarrow.int64()), "s": ["x"] * 10_000})

    def item(self, table=None, offset=64):
        sink = pyarrow.BufferOutputStream()
        table = self.table if table is None else table
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return self.worker.put(memoryview(sink.getvalue()), offset, kind="arrow")

    def read(self, stream):
        return pyarrow.ipc.open_stream(stream).read_all()

    def expected(self, n):
        return pyarrow.table({"n": pyarrow.array(range(n), pyarrow.int64()), "s": [str(i % 7) if i % 3 else None for i in range(n)]})

    def test_results(self):
        table = self.expected(5000)
        for how, expected in (("table", table), ("batch", table), ("chunked", pyarrow.concat_tables([table, table])), ("slice", table.slice(5, 10)),
                              ("reader", table), ("lent", table), ("lent batch", table), ("empty", table.slice(0, 0))):
            with self.subTest(how):
                frame = self.worker.ask("made", n=5000, how=how)
                [item] = frame.table["items"]
                self.assertEqual((item["kind"], "segment" in item), ("arrow", expected.num_rows > 100))
                self.assertEqual(self.read(self.worker.value_of(frame)), expected)
                self.worker.let_go(frame)

    def test_tables_within_a_result(self):
        value = self.worker.value("nested", n=3000)
        self.assertEqual([self.read(stream).num_rows for stream in value["tables"]], [3000, 2])

    def test_a_column_is_a_list_as_before(self):
        self.assertEqual(self.worker.value("column", n=3), [0, 1, 2])

    def test_arguments(self):
        for tool in ("about", "typed"):
            self.assertEqual(self.worker.value(tool, {"t": self.item()}), ["Table", 10_000, ["n", "s"], sum(range(10_000))])
        self.assertEqual(self.worker.value("batch", {"b": self.item()}), ["RecordBatch", 10_000])
        self.assertEqual(self.worker.value("batch", {"b": self.item(self.table.slice(0, 0))}), ["RecordBatch", 0])
        self.assertEqual(self.worker.value("batch", {"b": self.item(pyarrow.concat_tables([self.table] * 2))}), ["RecordBatch", 20_000])
        self.assertEqual(self.worker.value("reader", {"r": self.item()}), ["RecordBatchStreamReader", 10_000])
        item = self.item()
        self.assertEqual(self.worker.value("raw", {"t": item}), ["memoryview", item["length"]])
        self.assertEqual(len(self.worker.releases()), 7)

    def test_a_table_is_read_where_it_lies(self):
        allocated, mutable = self.worker.value("copies", {"t": self.item()})
        self.assertLess(allocated, self.table.nbytes / 10)
        self.assertFalse(mutable)

    def test_a_part_of_a_column_holds_the_place(self):
        self.worker.value("keeps", {"t": self.item()})
        self.assertEqual(self.worker.releases(), [])
        self.worker.value("forgets")
        self.assertEqual(self.worker.releases(), [(1, 64)])

    def test_a_table_goes_to_a_place_of_its_own_and_a_small_one_with_the_frame(self):
        frame = self.worker.ask("echo", {"t": self.item()})
        self.assertEqual(self.read(self.worker.value_of(frame)), self.table)
        self.worker.let_go(frame)
        self.assertEqual(len(self.worker.ask("made", n=3, how="table").data) > 100, True)

    def test_what_is_no_stream_is_a_clear_error(self):
        for content in (b"no stream of arrow" * 10, b"\xff" * 64, b""):
            error = self.worker.ask("about", {"t": self.worker.put(content, 0, kind="arrow")}).body
            self.assertEqual(error["kind"], "validation")
            self.assertIn("no stream of Arrow", error["message"])


class WithoutPyarrow(unittest.TestCase):
    def test_a_table_is_the_bytes_of_its_stream(self):
        source = NOTHING + "import sys\nsys.modules['pyarrow'] = None\n@tool\ndef f(t): return [type(t).__name__, bytes(t).decode()]"
        with SharingWorker(source, size=MEBIBYTE) as worker:
            self.assertEqual(worker.value("f", {"t": worker.put(b"stream", 0, kind="arrow")}), ["memoryview", "stream"])


if __name__ == "__main__":
    unittest.main()
