"""Loads an app: its module, its tools, and the objects that hold their state."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from contextlib import suppress
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any, Callable, Optional

from . import forks
from .health import RESERVED, health_tool
from .report import message_of, traceback_of, type_of
from .tools import ATTRIBUTE, DECORATED, Options, Tool, place_of

_MOST_TOOLS = 10_000
_LONGEST_NAME = 256
_ROUTINES = (FunctionType, MethodType, BuiltinFunctionType)


class Stopped(BaseException):
    """The host ended the worker while its app was loading. Raised into the main thread from outside."""


class LoadError(Exception):
    """The app does not load. The message names the app; `traceback` shows the app's own frames."""

    def __init__(self, message: str, traceback: Optional[str] = None):
        super().__init__(message)
        self.traceback = traceback


class App:
    """A loaded app: its tools by name, and the objects made for them."""

    def __init__(self, name: str, attribute: Optional[str] = None):
        self.name = name
        self.tools: dict[str, Tool] = {}
        self.objects: list[Any] = []
        self.health: Optional[Tool] = None
        self._attribute = attribute

    def preload(self) -> None:
        """In a template: imports the app, for workers that load it."""
        self._attempt("", lambda: import_app(self.name))

    def resume(self) -> None:
        """In a worker that was forked from a template: runs what is to run after a fork."""
        self._attempt("after_fork: ", forks.begin)

    def load(self) -> "App":
        """Imports the app and finds its tools; classes with tools are made objects of."""
        module = self._attempt("", lambda: import_app(self.name))
        if self._attribute is None:
            self._add_module(module)
        else:
            self._add_attribute(module, self._attribute)
        if not self.tools:
            raise self._error("it has no tools: put @tool above a function or method")
        return self

    def refuse_threads(self) -> None:
        """Raises LoadError if the app says of itself that several calls at once would hurt it."""
        for value in self.objects:
            if getattr(type(value), "thread_safe", None) is False:
                name = type(value).__qualname__
                raise self._error(
                    f"class {name} says thread_safe = False, and this pool runs several calls at once in one worker:"
                    ' use profile = "process", or guard the class and say thread_safe = True'
                )

    def describe(self) -> list[dict[str, Any]]:
        return [tool.describe() for tool in self.tools.values()]

    def _add_module(self, module: Any) -> None:
        self._refuse_hidden(module)
        found = list({id(value): value for value in vars(module).values()}.values())
        classes = [value for value in found if isinstance(value, type)]
        for value in found:
            if isinstance(value, type):
                # The tools of a class that another one extends come with that other one.
                extended = any(value in other.__mro__[1:] for other in classes)
                if not extended and not getattr(value, "__abstractmethods__", None) and _tools_of(value):
                    self._add_class(value)
            elif _options(value) is not None and callable(value):
                self._add_tool(value)
        self._find_health(module)

    def _refuse_hidden(self, module: Any) -> None:
        """Two tools written under one name, of which only the second can be found."""
        written: dict[str, Any] = {}
        for function in DECORATED:
            name = getattr(function, "__qualname__", "<locals>")
            if function.__module__ != module.__name__ or "<locals>" in name:
                continue
            first = written.setdefault(name, function)
            if place_of(first) != place_of(function):
                raise self._error(f"two tools are called `{name}`: {place_of(first)} and {place_of(function)}")

    def _add_attribute(self, module: Any, attribute: str) -> None:
        value = module
        for name in attribute.split("."):
            if not hasattr(value, name):
                raise self._error(f"there is no `{attribute}` in it{_near(attribute, module)}")
            value = getattr(value, name)
        if isinstance(value, type):
            self._add_class(value)
        elif _options(value) is not None:
            self._add_tool(value)
        elif isinstance(value, _ROUTINES):
            raise self._error(f"`{attribute}` is no tool: put @tool above it")
        else:
            self._add_object(value)
        self._find_health(self.objects[0] if self.objects else module)
        if not self.tools:
            raise self._error(f"`{attribute}` has no tools: put @tool above a method")

    def _find_health(self, place: Any) -> None:
        """`health` of the module, or of the object that the app is restricted to, unless it is a tool like others."""
        function = getattr(place, "health", None)
        if isinstance(function, _ROUTINES) and _options(function) is None:
            self.health = self._attempt("", lambda: health_tool(function))

    def _add_class(self, kind: type) -> None:
        self._add_object(self._attempt(f"{kind.__qualname__}(): ", kind))

    def _add_object(self, value: Any) -> None:
        self.objects.append(value)
        for name in _tools_of(type(value)):
            self._add_tool(getattr(value, name))

    def _add_tool(self, function: Callable) -> None:
        tool = self._attempt("", lambda: Tool(function, _options(function)))
        other = self.tools.get(tool.name)
        if other is not None:
            raise self._error(f"two tools are called `{tool.name}`: {other.place} and {tool.place}")
        if not tool.name or len(tool.name.encode("utf-8", "replace")) > _LONGEST_NAME:
            raise self._error(f"a tool's name has 1 to {_LONGEST_NAME} bytes: {tool.place}")
        if tool.name.startswith(RESERVED):
            raise self._error(f"names of tools that begin with `{RESERVED}` are reserved: {tool.name}, {tool.place}")
        if len(self.tools) == _MOST_TOOLS:
            raise self._error(f"it has more than {_MOST_TOOLS} tools")
        self.tools[tool.name] = tool

    def _attempt(self, what: str, action: Callable[[], Any]) -> Any:
        """Runs code of the app; whatever it raises is why the app does not load."""
        try:
            return action()
        except (LoadError, Stopped):
            raise
        except BaseException as error:
            raise self._error(what + _in_words(error), traceback_of(error)) from None

    def _error(self, problem: str, traceback: Optional[str] = None) -> LoadError:
        return LoadError(f"load app {self.name}: {problem}", traceback)


def import_app(name: str) -> Any:
    """The module of an app: the path of a .py file, or the name of a module."""
    make_importable(folder_of(name))
    if not _is_file(name):
        return importlib.import_module(name)
    if not os.path.isfile(name):
        raise LoadError(f"load app {name}: no such file")
    if name not in _IMPORTED:
        _IMPORTED[name] = _import_file(name)
    return _IMPORTED[name]


def folder_of(name: str) -> str:
    """From where an app may import what lies beside it."""
    return os.path.dirname(os.path.abspath(name)) if _is_file(name) else os.getcwd()


def make_importable(folder: str) -> None:
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)


def _is_file(name: str) -> bool:
    return name.endswith(".py") or os.sep in name


# Files that were imported as apps: by a template, for its workers.
_IMPORTED: dict[str, Any] = {}


def _import_file(path: str) -> Any:
    """Runs a file as the module of its name. It is compiled here, not by the import system, which would
    leave a __pycache__ beside the user's file."""
    stem = os.path.splitext(os.path.basename(path))[0]
    # A name that is in use already, of this package or the standard library, stays what it is.
    name = f"{stem}_app" if stem in sys.modules else stem
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    code = _code_of(path)
    sys.modules[name] = module
    exec(code, module.__dict__)
    return module


# The code of files, with what tells a file from its later versions.
_COMPILED: dict[str, tuple[tuple, CodeType]] = {}


def compile_ahead(name: str) -> None:
    """In a template: compiles the file of an app, for workers that run it. What is wrong with it, they say."""
    if _is_file(name):
        with suppress(Exception):
            _code_of(name)


def _code_of(path: str) -> CodeType:
    with open(path, "rb") as file:
        about = os.fstat(file.fileno())
        version = (about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size)
        known = _COMPILED.get(path)
        if known is None or known[0] != version:
            known = _COMPILED[path] = version, compile(file.read(), path, "exec", dont_inherit=True)
    return known[1]


def _options(value: Any) -> Optional[Options]:
    try:
        options = getattr(value, ATTRIBUTE, None)
    except Exception:  # A stand-in, of a web framework say, that cannot be asked now.
        return None
    return options if type(options) is Options else None


def _tools_of(kind: type) -> list[str]:
    """The names of a class's tools: those of its bases first, each in the order of the source."""
    members = {name: member for base in reversed(kind.__mro__) for name, member in vars(base).items()}
    return [name for name, member in members.items() if _options(_plain(member)) is not None]


def _plain(member: Any) -> Any:
    """The function of a static or class method."""
    return member.__func__ if isinstance(member, (staticmethod, classmethod)) else member


def _in_words(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type_of(error)}: {error.msg} (line {error.lineno})"
    return f"{type_of(error)}: {message_of(error)}"


def _near(attribute: str, module: Any) -> str:
    import difflib

    near = difflib.get_close_matches(attribute, [name for name in vars(module) if name[0] != "_"], 1)
    return f" (did you mean `{near[0]}`?)" if near else ""
