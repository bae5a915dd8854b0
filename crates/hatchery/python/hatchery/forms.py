"""What an attachment becomes for the parameter that it is given for: decided by the annotation, once, when the app loads."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, get_args

from .received import Item


class Writable:
    """Says in an annotation that the function writes into its argument: `Annotated[numpy.ndarray, Writable]`.

    What comes as attachment is read-only otherwise, as large values lie in memory that the host and other workers read, too. A writable
    one is the function's own: its pages are shared until they are written to, and copied then, one by one. Nobody else sees what is written, and what is
    returned of it is sent as a new value.
    """


class Form(NamedTuple):
    """How the attachments within one argument are opened."""

    views: bool = False
    arrays: bool = False
    tensors: bool = False
    writable: bool = False
    arrow: str = ""

    def open(self, item: Item) -> Any:
        if item.kind == "cuda":
            from .tensors import from_device

            return from_device(item)
        if item.kind == "arrow":
            return self._open_arrow(item)
        if item.kind == "array" and self.tensors:
            from .tensors import tensor_of

            return tensor_of(item)
        if item.kind == "array" and (self.arrays or not self.views):
            return item.as_array(self.writable)
        if self.views:
            return item.writable() if self.writable else item.view
        return item.as_bytes()

    def _open_arrow(self, item: Item) -> Any:
        if self.views:
            return item.writable() if self.writable else item.view
        from .arrow import table_of

        return table_of(item, self.arrow)


DEFAULT = Form()


def form_of(annotation: Any) -> Form:
    """The form that the annotation asks for, wherever in it that is said."""
    found = set(_classes(annotation, 0))
    arrow = [kind.__name__ for kind in found if kind.__module__.split(".")[0] == "pyarrow"]
    return Form(
        views=memoryview in found or bytearray in found,
        arrays=any(_is(kind, "numpy", "ndarray") for kind in found),
        tensors=any(_is(kind, "torch", "Tensor") for kind in found),
        writable=Writable in found,
        arrow=arrow[0] if arrow else "",
    )


def is_tensor_class(kind: Any) -> bool:
    return _is(kind, "torch", "Tensor")


def _is(kind: Any, module: str, name: str) -> bool:
    return kind.__name__ == name and kind.__module__.split(".")[0] == module and module in sys.modules


def _classes(annotation: Any, depth: int) -> Any:
    """All classes that an annotation names: itself, its arguments, what it is annotated with."""
    if depth > 8:  # An alias that names itself.
        return
    if isinstance(annotation, type):
        yield annotation
    further = (*get_args(annotation), *getattr(annotation, "__metadata__", ()))
    for name in ("__supertype__", "__value__"):
        further += (getattr(annotation, name),) if hasattr(annotation, name) else ()
    for part in further:
        yield from _classes(part, depth + 1)
