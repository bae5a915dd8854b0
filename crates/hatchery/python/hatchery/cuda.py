"""Tensors that stay on their device: handles, by torch's way to share CUDA memory between processes.

The worker that made a tensor keeps it until the host says RELEASE; a worker that opens one says RELEASE when the last
tensor over its storage is gone. Torch counts openings of its own in shared memory; the maker takes its count down at the end, as a handle that was never opened
would keep the memory for good.
"""

from __future__ import annotations

import json
import weakref
from base64 import b64decode, b64encode
from typing import Any

from .attachments import MARK
from .context import CURRENT
from .errors import Unavailable, ValidationError
from .received import Item

# What `_share_cuda_` gives and `_new_shared_cuda` takes, in this order.
_FIELDS = ("device", "handle", "size", "offset", "counter", "counter_offset", "event", "event_needed")


def asked_for() -> bool:
    """Whether the call that runs wants what is on a device to stay there."""
    call = CURRENT.get()
    return call is not None and call.request.get("handles") is True and call.port.segments is not None


def add_handle(tensor: Any, outgoing: Any) -> dict[str, int]:
    """The mark of a tensor that stays where it is."""
    shared = dict(zip(_FIELDS, tensor.untyped_storage()._share_cuda_()))
    lendings = CURRENT.get().port.segments.lendings
    number = lendings.number()
    about = {
        **{name: _text(value) for name, value in shared.items()},
        "owner": MARK, "number": number, "type": str(tensor.dtype).rpartition(".")[2],
        "start": tensor.storage_offset(), "stride": list(tensor.stride()),
    }  # fmt: skip
    entry = {
        "kind": "cuda", "dtype": _type_string(tensor), "shape": list(tensor.shape), "device": str(tensor.device),
        "ipc": b64encode(json.dumps(about).encode()).decode(),
    }  # fmt: skip
    lending = _Lending(tensor, shared)
    return outgoing.add_elsewhere(entry, number, lambda: lendings.lend(number, lending))


def open_handle(torch: Any, item: Item) -> Any:
    """The tensor that an item stands for, on its device. Its place is held until its storage is gone."""
    about = _read(item.ipc)
    if about["owner"] == MARK:  # A device refuses to open a process's own memory once more.
        tensor = CURRENT.get().port.segments.lendings.lent(about["number"]).tensor
        storage = tensor.untyped_storage()
    else:
        storage = _open(torch, item.device, about)
        empty = torch.empty(0, dtype=getattr(torch, about["type"]), device=item.device)
        tensor = empty.set_(storage, about["start"], item.shape, tuple(about["stride"]))
    weakref.finalize(storage, _let_go, item.held).atexit = False
    return tensor


class _Lending:
    """A tensor that others may have opened."""

    def __init__(self, tensor: Any, shared: dict[str, Any]):
        self.tensor = tensor
        self._shared = shared

    def end(self) -> None:
        """Nobody else looks at it any more."""
        counted = (self._shared["counter"], self._shared["counter_offset"])
        self.tensor.untyped_storage()._release_ipc_counter_cuda(*counted)


def _open(torch: Any, device: str, about: dict[str, Any]) -> Any:
    if not torch.cuda.is_available():
        raise Unavailable(f"a tensor on {device} came, and this worker sees no such device")
    try:
        return torch.UntypedStorage._new_shared_cuda(*(_value(about[name]) for name in _FIELDS))
    except RuntimeError as error:
        raise Unavailable(f"open a tensor on {device}: {error}") from None


def _let_go(held: Any) -> None:
    """Called when a storage is gone, with what was kept for it, and is kept no longer."""


def _type_string(tensor: Any) -> str:
    """NumPy's name of the type; those that it does not know are bytes to it."""
    size, name = tensor.element_size(), str(tensor.dtype).rpartition(".")[2]
    kind = {"bool": "b", "uint": "u", "int": "i", "float": "f", "complex": "c"}.get(name.rstrip("0123456789"), "V")
    return ("|" if size == 1 or kind == "V" else "<") + kind + str(size)


def _text(value: Any) -> Any:
    return {"bytes": b64encode(value).decode()} if isinstance(value, bytes) else value


def _value(text: Any) -> Any:
    return b64decode(text["bytes"]) if isinstance(text, dict) else text


def _read(ipc: str) -> dict[str, Any]:
    try:
        about = json.loads(b64decode(ipc))
        if all(name in about for name in (*_FIELDS, "owner", "number", "type", "start", "stride")):
            return about
    except (ValueError, TypeError):
        pass
    raise ValidationError("an item of kind cuda was not made by a worker of this kind")
