"""Memory that is shared with the host: mapped, looked into, found by its address, given back to the kernel.

Imported only where the host offers segments, as ctypes costs a start 2 ms.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from contextlib import suppress
from typing import Any, Callable, Optional

_READ_ONLY = 0x100  # of PyMemoryView_FromMemory
# Without it, a private mapping counts as memory that will be needed. Some architectures have other numbers.
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if os.uname().machine in ("x86_64", "aarch64", "riscv64") else 0)


class Mapping:
    """The memory of one segment, mapped for as long as the process lives. Takes the descriptor over."""

    def __init__(self, fd: int, size: int, writable: bool):
        self._fd = fd
        self.size = size
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        self._memory = mmap.mmap(fd, size, mmap.MAP_SHARED, protection)
        self.base = address_of(self._memory)
        # One class for places of any length: a class for each length would cost more than the copy it saves.
        self._window = type("Window", (ctypes.c_ubyte * size,), {"__del__": _say_gone})

    def look(self, offset: int, length: int, gone: Callable[[], None], writable: bool = False) -> memoryview:
        """A view of a place. `gone` is called when nothing looks there through this view any more, neither its
        slices nor arrays over them: each of them keeps the window alive, which is what they are views of."""
        window: Any = self._window.from_address(self.base)
        window.gone = gone
        whole = memoryview(window)
        return (whole if writable else whole.toreadonly())[offset : offset + length].cast("B")

    def private(self, offset: int, length: int, kept: Any) -> memoryview:
        """A writable view of a place: its pages are shared until they are written to, and then this view's own. It keeps
        `kept` alive."""
        start = offset - offset % mmap.ALLOCATIONGRANULARITY
        flags, protection = mmap.MAP_PRIVATE | _NORESERVE, mmap.PROT_READ | mmap.PROT_WRITE
        copy = _Private(self._fd, offset - start + length, flags=flags, prot=protection, offset=start)
        copy.kept = kept
        return memoryview(copy)[offset - start :]

    def find(self, address: int, length: int) -> Optional[int]:
        """The offset of what lies at an address, if it lies here."""
        offset = address - self.base
        return offset if 0 <= offset and offset + length <= self.size else None

    def give_back(self, offset: int, length: int) -> None:
        """Gives pages that nobody uses back to the kernel."""
        with suppress(OSError):  # They stay in memory then, which is no worse than before.
            self._memory.madvise(mmap.MADV_REMOVE, offset, length)


class _Private(mmap.mmap):
    """A mapping that keeps what it was made from."""

    kept: Any = None


def _say_gone(window: Any) -> None:
    gone = getattr(window, "gone", None)
    if gone is not None:
        gone()


class _Buffer(ctypes.Structure):
    """Py_buffer."""

    _fields_ = [
        ("buf", ctypes.c_void_p), ("obj", ctypes.c_void_p), ("len", ctypes.c_ssize_t), ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int), ("ndim", ctypes.c_int), ("format", ctypes.c_void_p), ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p), ("suboffsets", ctypes.c_void_p), ("internal", ctypes.c_void_p),
    ]  # fmt: skip


_get_buffer = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p, ctypes.c_int)(
    ("PyObject_GetBuffer", ctypes.pythonapi)
)
_release_buffer = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("PyBuffer_Release", ctypes.pythonapi))
_view_of_memory = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
    ("PyMemoryView_FromMemory", ctypes.pythonapi)
)


def address_of(contiguous: Any) -> int:
    """Where the bytes of an object lie, read-only ones included."""
    buffer = _Buffer()
    _get_buffer(contiguous, ctypes.addressof(buffer), 0)
    address = buffer.buf or 0
    _release_buffer(ctypes.addressof(buffer))
    return address


def at_address(address: int, length: int) -> memoryview:
    """A read-only view of memory that somebody else keeps."""
    return _view_of_memory(address, length, _READ_ONLY)


def copy(target: memoryview, source: Any) -> None:
    """Copies bytes without the interpreter's lock, so that other threads run meanwhile."""
    ctypes.memmove(address_of(target), address_of(source), target.nbytes)
