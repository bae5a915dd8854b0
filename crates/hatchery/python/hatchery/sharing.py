"""Shared memory, as apps and the worker's start see it: `empty` and `buffer`, and whether there is any.

Outside of a worker, and in one whose host shares nothing, the same functions give ordinary memory.
"""

from __future__ import annotations

from math import prod
from typing import Any, Optional

_segments: Any = None


def buffer(length: int) -> memoryview:
    """Writable memory of so many bytes, not cleared, that is sent without a copy when a tool returns it, or a part of it.

    Short ones, and those for which there is no room, are ordinary memory. What is written after it was returned changes what the caller sees.
    """
    room = None if _segments is None else _segments.room(length)
    return memoryview(bytearray(length)) if room is None else room


def empty(shape: Any, dtype: Any = float) -> Any:
    """A NumPy array like that of `numpy.empty`, over memory as `buffer` gives it."""
    import numpy

    kind = numpy.dtype(dtype)
    shape = (shape,) if isinstance(shape, (int, numpy.integer)) else tuple(shape)
    room = None if _segments is None or kind.hasobject else _segments.room(prod(shape) * kind.itemsize)
    return numpy.empty(shape, kind) if room is None else numpy.frombuffer(room, dtype=kind).reshape(shape)


def can_share() -> bool:
    """Whether this interpreter has what shared memory needs."""
    try:
        import _socket

        from . import memory
    except (ImportError, AttributeError):
        return False
    return hasattr(_socket, "SCM_RIGHTS") and hasattr(_socket.socket, "recvmsg") and hasattr(memory.mmap, "MADV_REMOVE")


def sharing(port: Any) -> Any:
    """The segments of a worker whose host agreed to share."""
    global _segments
    from .segments import Segments

    _segments = port.segments = port.codec.sharing = Segments(port.writer, lambda length: _tell(port, length))
    return _segments


def _tell(port: Any, length: int) -> None:
    """A value goes with its frame, as its segment has no room. It is said once for each time that this lasts."""
    from .context import CURRENT

    call: Optional[Any] = CURRENT.get()
    if "telemetry" in port.agreed:
        port.emit(call, "arena.full", {"bytes": length}, {"side": "worker"})
    else:
        port.log(call, "warning", f"no room for {length} bytes in shared memory: they are sent with the frame", "log")
