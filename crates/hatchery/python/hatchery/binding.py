"""Arguments from the wire, fitted to a function: made once per tool when the app loads."""

from __future__ import annotations

from typing import Any, Callable, Optional, get_args

from .annotations import hints, plain_function, text_of, written
from .checkers import ANY, Mismatch, checker, exact_type
from .context import Context
from .errors import ValidationError
from .forms import DEFAULT, form_of
from .jsonlib import is_plain, write_plain
from .signature import EMPTY, Formal, parameters


class Parameter:
    """One parameter that callers give."""

    __slots__ = ("name", "written", "annotation", "default", "check", "exact")

    def __init__(self, name: str, written: Any, annotation: Any, default: Any):
        self.name = name
        self.written = written
        self.annotation = annotation
        self.default = default
        self.exact = exact_type(annotation)
        self.check = checker(annotation)

    @property
    def required(self) -> bool:
        return self.default is EMPTY

    def describe(self) -> dict[str, Any]:
        """The parameter as READY lists it; a default that JSON cannot say is left out."""
        made = {"name": self.name, "type": text_of(self.written), "required": self.required}
        if not self.required and _json_can_say(self.default):
            made["default"] = self.default
        return made


class Binding:
    """Checks and converts the arguments of one tool."""

    def __init__(self, tool: str, function: Callable):
        self.tool = tool
        self.context_name: Optional[str] = None
        self.takes_any = False
        self.parameters: list[Parameter] = []
        self._read(function)
        # Those whose attachments are not opened as they are everywhere else.
        forms = {p.name: form_of(p.annotation) for p in self.parameters}
        self.forms = {name: form for name, form in forms.items() if form != DEFAULT}
        self._plan = [(p.name, p.exact, p.check, p.required) for p in self.parameters]

    def bind(self, arguments: dict[str, Any], call: Any) -> dict[str, Any]:
        """The keyword arguments for the function: `arguments` itself, checked and converted in place."""
        plan, expected = self._plan, len(self._plan)
        for name, exact, check, required in plan:
            try:
                value = arguments[name]
            except KeyError:
                if required:
                    raise self._missing(arguments, name) from None
                expected -= 1
                continue
            if type(value) is not exact:
                try:
                    arguments[name] = check(value)
                except Mismatch as mismatch:
                    raise self._mismatch(name, mismatch) from None
        if len(arguments) != expected and not self.takes_any:
            raise self._unknown(arguments)
        if self.context_name is not None:
            arguments[self.context_name] = Context(call)
        return arguments

    def _read(self, function: Callable) -> None:
        annotations, texts = hints(function), written(function)
        for formal in parameters(function):
            name, annotation = formal.name, annotations.get(formal.name, ANY)
            if formal.prefix == "**":
                self.takes_any = True
            elif formal.prefix or formal.positional_only:
                raise TypeError(_positional(function, formal))
            elif _is_context(annotation):
                self.context_name = name
            else:
                self.parameters.append(Parameter(name, texts.get(name, ANY), annotation, formal.default))

    def _mismatch(self, name: str, mismatch: Mismatch) -> ValidationError:
        path = name + "".join(mismatch.path)
        return self._error(f"argument `{path}` {mismatch.problem}", name)

    def _missing(self, arguments: dict[str, Any], name: str) -> ValidationError:
        # A misspelt argument leaves another one missing; the misspelling is what to mend.
        names = {parameter.name for parameter in self.parameters}
        if not self.takes_any and not arguments.keys() <= names:
            return self._unknown(arguments)
        return self._error(f"missing argument `{name}`", name)

    def _unknown(self, arguments: dict[str, Any]) -> ValidationError:
        import difflib

        names = [parameter.name for parameter in self.parameters]
        name = next(name for name in arguments if name not in names)
        near = difflib.get_close_matches(name, names, 1)
        hint = f" (did you mean `{near[0]}`?)" if near else ""
        return self._error(f"unknown argument `{name}`{hint}", name)

    def _error(self, problem: str, parameter: str) -> ValidationError:
        return ValidationError(f"{self.tool}: {problem}", {"tool": self.tool, "parameter": parameter})


def _positional(function: Callable, formal: Formal) -> str:
    return (
        f"tool {plain_function(function).__qualname__}: the parameter {formal.prefix}{formal.name} can only be given by position,"
        " but arguments of tools are given by name"
    )


def _members(annotation: Any) -> tuple:
    """The annotation itself and, of a union, its members."""
    return (annotation, *get_args(annotation))


def _is_context(annotation: Any) -> bool:
    if type(annotation) is str:
        return annotation.strip("'\" ").rpartition(".")[2] == "Context"
    return Context in _members(annotation)


def _json_can_say(value: Any) -> bool:
    try:
        return is_plain(value) and bool(write_plain(value))
    except (ValueError, RecursionError):
        return False
