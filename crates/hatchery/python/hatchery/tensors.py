"""Tensors: those of any library that lends them by DLPack, out; torch's, where a parameter asks for them, in."""

from __future__ import annotations

import sys
from math import prod
from typing import Any, Optional

from . import cuda
from .dlpack import CUDA, READABLE, Lent, device_of, lend
from .errors import Unavailable, ValidationError
from .memory import at_address
from .received import Item

_TORCH = {
    "b1": "bool", "i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32", "i8": "int64",
    "u8": "uint64", "f2": "float16", "f4": "float32", "f8": "float64", "c8": "complex64", "c16": "complex128",
}  # fmt: skip


def add_tensor(value: Any, outgoing: Any) -> Optional[dict[str, int]]:
    """The mark of a tensor; None for what its library does not lend, or what has no type that others know."""
    try:
        value = _plain(value)
        kind, number = device_of(value)
        if kind == CUDA and cuda.asked_for() and _is_torch(value):
            return cuda.add_handle(value, outgoing)
        lent = lend(value if kind in READABLE else _to_memory(value, f"device {kind}:{number}"))
        if lent is None:
            return None
        outgoing.keep((value, lent.capsule))
        return _add(value, lent, outgoing)
    except (BufferError, TypeError, ValueError, NotImplementedError, AttributeError):
        return None


def tensor_of(item: Item) -> Any:
    """A torch tensor over the item's place. Torch knows no read-only tensors, and would end the process at the first write
    into one: so it gets pages that become its own where it writes to them."""
    torch = torch_or_unavailable("a tensor")
    kind = getattr(torch, _TORCH.get(item.dtype[1:], ""), None)
    native = item.dtype[0] == "|" or (item.dtype[0] == "<") == (sys.byteorder == "little")
    if kind is None or not native:
        raise ValidationError(f"torch has no tensors of {item.dtype}")
    if not prod(item.shape):
        return torch.empty(item.shape, dtype=kind)
    return torch.frombuffer(item.writable(), dtype=kind).reshape(item.shape)


def from_device(item: Item) -> Any:
    """The tensor of an item of kind `cuda`."""
    return cuda.open_handle(torch_or_unavailable(f"a tensor on {item.device}"), item)


def torch_or_unavailable(what: str) -> Any:
    try:
        import torch
    except ImportError:
        raise Unavailable(f"{what} came, and this worker has no torch") from None
    return torch


def _is_torch(value: Any) -> bool:
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    return kind is not None and isinstance(value, kind)


def _plain(value: Any) -> Any:
    """A tensor of torch's as numbers only: without its gradient, and without what is still to be done to it."""
    return value.detach().resolve_conj().resolve_neg() if _is_torch(value) else value


def _to_memory(value: Any, device: str) -> Any:
    """A copy that the processor can read."""
    for name in ("cpu", "get"):
        method = getattr(value, name, None)
        if callable(method):
            copied = method()
            return copied if hasattr(copied, "__dlpack__") else value
    raise Unavailable(f"a {type(value).__name__} on {device} cannot be copied to memory: it has neither `cpu` nor `get`")


def _add(value: Any, lent: Lent, outgoing: Any) -> dict[str, int]:
    entry = {"kind": "array", "dtype": lent.dtype, "shape": list(lent.shape)}
    if not lent.nbytes:
        return outgoing.add(entry, memoryview(b""))
    if lent.in_order:
        return outgoing.add(entry, at_address(lent.address, lent.nbytes))
    if hasattr(value, "contiguous"):
        ordered = value.contiguous()
        outgoing.keep(ordered)
        return _add(None, lend(ordered), outgoing)
    import numpy

    low, high = _span(lent)
    memory = at_address(lent.address + low, high - low)
    return outgoing.add_array(numpy.ndarray(lent.shape, lent.dtype, memory, -low, lent.strides))


def _span(lent: Lent) -> tuple[int, int]:
    """Where its first and after its last byte lie, from its address on."""
    reaches = [(length - 1) * stride for length, stride in zip(lent.shape, lent.strides)]
    return sum(min(0, reach) for reach in reaches), sum(max(0, reach) for reach in reaches) + int(lent.dtype[2:])
