"""Tensors that other libraries lend by DLPack, read by ctypes: neither NumPy nor a copy is needed for that."""

from __future__ import annotations

import ctypes
import sys
from math import prod
from typing import Any, NamedTuple, Optional

CPU, CUDA = 1, 2
# Memory that the processor can read: its own, and what CUDA and ROCm have pinned.
READABLE = (CPU, 3, 11)

_KINDS = {0: "i", 1: "u", 2: "f", 5: "c", 6: "b"}
_SIZES = {"i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16), "b": (1,)}
_ORDER = "<" if sys.byteorder == "little" else ">"


class Lent(NamedTuple):
    """A tensor in memory that its library keeps as long as `capsule` lives. Strides are in bytes."""

    address: int
    dtype: str
    shape: tuple
    strides: tuple
    capsule: Any

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * int(self.dtype[2:])

    @property
    def in_order(self) -> bool:
        """Whether its bytes lie in C order without gaps."""
        step = int(self.dtype[2:])
        for length, stride in zip(reversed(self.shape), reversed(self.strides)):
            if length != 1 and stride != step:
                return not self.nbytes
            step *= length
        return True


class _Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32), ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def device_of(value: Any) -> tuple[int, int]:
    """The kind of the device where a tensor lies, and its number."""
    kind, number = value.__dlpack_device__()
    return int(kind), int(number)


def lend(value: Any) -> Optional[Lent]:
    """What a tensor in readable memory lends, or None where its type has no name on the wire. Raises what the library raises
    for tensors that it does not lend.

    The capsule keeps its name, so its library takes the tensor back when the capsule is gone.
    """
    capsule = value.__dlpack__()
    tensor = _Tensor.from_address(_pointer_of(capsule, b"dltensor"))
    kind, size = _KINDS.get(tensor.code), tensor.bits // 8
    if kind is None or tensor.lanes != 1 or size not in _SIZES[kind]:
        return None
    shape = tuple(tensor.shape[: tensor.ndim]) if tensor.ndim else ()
    strides = tuple(step * size for step in tensor.strides[: tensor.ndim]) if tensor.strides else _in_order(shape, size)
    dtype = ("|" if size == 1 else _ORDER) + kind + str(size)
    return Lent((tensor.data or 0) + tensor.byte_offset, dtype, shape, strides, capsule)


def _in_order(shape: tuple, size: int) -> tuple:
    return tuple(size * prod(shape[n + 1 :]) for n in range(len(shape)))
