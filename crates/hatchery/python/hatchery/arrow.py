"""Tables of Arrow, by pyarrow where it is installed: written as IPC stream straight to where they are sent from, read where they lie."""

from __future__ import annotations

import sys
from typing import Any, Optional

from .errors import Unavailable, ValidationError
from .received import Item


def add_table(value: Any, outgoing: Any) -> Optional[dict[str, int]]:
    """The mark of a table, or of whatever lends one by Arrow's C interface; None for what is no table, or without pyarrow."""
    if type(value).__module__.split(".")[0] == "pandas":
        return None  # It lends only where pyarrow is installed, and a result must not depend on that.
    batches = _batches(value)
    if batches is None:
        return None
    import pyarrow

    schema, batches = batches
    counter = pyarrow.MockOutputStream()
    _write(pyarrow, counter, schema, batches)
    room = outgoing.room(counter.size())
    if room is None:
        sink = pyarrow.BufferOutputStream()
        _write(pyarrow, sink, schema, batches)
        return outgoing.add({"kind": "arrow"}, memoryview(sink.getvalue()).cast("B"))
    _write(pyarrow, pyarrow.FixedSizeBufferWriter(pyarrow.py_buffer(room)), schema, batches)
    return outgoing.add_room({"kind": "arrow"}, room)


def table_of(item: Item, wanted: str = "") -> Any:
    """The table over the item's place, as the pyarrow class named `wanted`; a view of the stream where there is no pyarrow."""
    try:
        import pyarrow
    except ImportError:
        if wanted:
            raise Unavailable("a table of Arrow came, and this worker has no pyarrow") from None
        return item.view
    try:
        reader = pyarrow.ipc.open_stream(pyarrow.py_buffer(item.view))
        if wanted == "RecordBatchReader":
            return reader
        table = reader.read_all()
        return _one_batch(pyarrow, table) if wanted == "RecordBatch" else table
    except (pyarrow.ArrowException, OSError) as error:
        raise ValidationError(f"an item is no stream of Arrow: {error}") from None


def _one_batch(pyarrow: Any, table: Any) -> Any:
    batches = table.to_batches()
    if len(batches) == 1:
        return batches[0]
    joined = table.combine_chunks().to_batches()
    return joined[0] if joined else pyarrow.RecordBatch.from_pylist([], schema=table.schema)


def _batches(value: Any) -> Any:
    """The schema and the batches of what is a table."""
    pyarrow = sys.modules.get("pyarrow")
    try:
        if pyarrow is None:
            import pyarrow
        if isinstance(value, pyarrow.RecordBatch):
            return value.schema, [value]
        if isinstance(value, pyarrow.Table):
            return value.schema, value.to_batches()
        if hasattr(value, "__arrow_c_stream__"):
            reader = pyarrow.RecordBatchReader.from_stream(value)
            return reader.schema, list(reader)
        batch = pyarrow.record_batch(value)
        return batch.schema, [batch]
    except (ImportError, AttributeError, TypeError, ValueError):  # Columns and single values lend themselves too.
        return None


def _write(pyarrow: Any, sink: Any, schema: Any, batches: list) -> None:
    with sink, pyarrow.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
