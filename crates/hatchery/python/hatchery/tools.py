"""The decorator `tool`, and what the host is told about a tool."""

from __future__ import annotations

import re
from typing import Any, Callable, NamedTuple, Optional

from .annotations import called_by, plain_function
from .binding import Binding
from .signature import is_coroutine_function, is_generator_function

ATTRIBUTE = "__hatchery_tool__"

#: Everything that was decorated. A second `def` of a name hides the first from its module, but not from here.
DECORATED: list[Any] = []


class Options(NamedTuple):
    """What `@tool(...)` was given."""

    name: Optional[str] = None
    stream: Optional[bool] = None
    thread_sensitive: bool = False


def tool(
    function: Optional[Callable] = None,
    *,
    name: Optional[str] = None,
    stream: Optional[bool] = None,
    thread_sensitive: bool = False,
):
    """Makes a function or method a tool. It stays the function it was.

    `name` is what callers say, by default the function's own name. Generators and async generators stream; a plain
    function that returns an iterator does so with `stream=True`.

    In the thread profile several calls run at once, in threads that share the app's objects. A tool that is
    `thread_sensitive` runs on the main thread of its worker, where one such call runs at a time. A class that says
    `thread_safe = False` is not served in that profile at all.
    """
    if function is None:
        return lambda decorated: tool(decorated, name=name, stream=stream, thread_sensitive=thread_sensitive)
    plain = getattr(function, "__func__", function)  # of a staticmethod or classmethod
    if isinstance(plain, type):
        raise TypeError(f"@tool decorates functions and methods: put it above the methods of {plain.__qualname__}")
    if not callable(plain):
        raise TypeError(f"@tool decorates functions and methods, not {type(function).__name__}")
    if not name and not hasattr(plain, "__name__"):
        raise TypeError(f"a {type(plain).__name__} has no name of its own: say tool(..., name=...)")
    if stream is False and is_generator(plain):
        raise TypeError(f"{_name_of(plain)} is a generator, so it streams: @tool(stream=False) cannot be")
    if thread_sensitive and is_asynchronous(plain):
        raise TypeError(
            f"{_name_of(plain)} is a coroutine, which runs on the event loop's thread: it cannot be thread_sensitive"
        )
    setattr(plain, ATTRIBUTE, Options(name, stream, thread_sensitive))
    DECORATED.append(plain)
    return function


class Tool:
    """One callable of an app: its function, how arguments are bound to it, and where it stands."""

    __slots__ = ("name", "function", "bind", "binding", "streaming", "thread_sensitive", "doc", "place")

    def __init__(self, function: Callable, options: Options):
        self.name = options.name or function.__name__
        self.function = function
        self.binding = Binding(self.name, function)
        self.bind = self.binding.bind
        self.streaming = bool(options.stream) or is_generator(function)
        self.thread_sensitive = options.thread_sensitive
        self.doc = first_paragraph(function)
        self.place = place_of(function)

    def describe(self) -> dict[str, Any]:
        """The tool as READY lists it."""
        described = {
            "name": self.name,
            "doc": self.doc,
            "streaming": self.streaming,
            "parameters": [parameter.describe() for parameter in self.binding.parameters],
        }
        return {**described, "thread_sensitive": True} if self.thread_sensitive else described


def is_generator(function: Callable) -> bool:
    return is_generator_function(called_by(function))


def is_asynchronous(function: Callable) -> bool:
    return is_coroutine_function(called_by(function))


def first_paragraph(function: Callable) -> str:
    text = called_by(function).__doc__
    if text is None and hasattr(function, "__self__"):
        import inspect  # It knows that a method without a text has the text of the one it overrides.

        text = inspect.getdoc(function)
    return " ".join(re.split(r"\n\s*\n", (text or "").strip())[0].split())


def place_of(function: Callable) -> str:
    """Where the function is written: `app.py:12 (Embedder.embed)`."""
    plain = plain_function(function)
    code = getattr(plain, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno} " if code else ""
    return f"{where}({_name_of(plain)})"


def _name_of(function: Callable) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__
