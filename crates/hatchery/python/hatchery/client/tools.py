"""Tools as functions, with the names, texts and signatures that the daemon tells."""

from __future__ import annotations

from difflib import get_close_matches
from inspect import Parameter, Signature
from typing import Any, Callable, Iterator, Optional

from .errors import Error

Specs = Optional[list[dict[str, Any]]]


class Tools:
    """`tools.word_count(text="a b a")` calls a tool; where it streams, that gives the stream. `tools["name"]` is for names that are no identifiers. All
    keywords are arguments of the tool: options are those of the client, see `Client.with_options`.

    `ask` gives the specifications anew, where that can be done without waiting for it elsewhere.
    """

    def __init__(self, client: Any, known: Specs, ask: Optional[Callable[[], Specs]] = None):
        self._client = client
        self._known = known
        self._ask = ask

    def __getattr__(self, name: str) -> Tool:
        if name.startswith("_"):  # What notebooks and copy look for; `tools["_name"]` asks.
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __getitem__(self, name: str) -> Tool:
        found = self._spec(name)
        if found is None and self._ask is not None:
            self._known = self._ask()
            found = self._spec(name)
        if found is None and self._known is not None:
            raise KeyError(f"no such tool: {name}{self._near(name)}")
        return Tool(self._client, name, found)

    def __iter__(self) -> Iterator[str]:
        if self._known is None and self._ask is not None:
            self._known = self._ask()
        return iter([spec["name"] for spec in self._known or ()])

    def __dir__(self) -> list[str]:
        try:
            return [*super().__dir__(), *self]
        except Error:  # Whoever presses the tabulator key wants no traceback.
            return list(super().__dir__())

    def _spec(self, name: str) -> Optional[dict[str, Any]]:
        return next((spec for spec in self._known or () if spec["name"] == name), None)

    def _near(self, name: str) -> str:
        near = get_close_matches(name, list(self), 1)
        return f" (did you mean `{near[0]}`?)" if near else ""


class Tool:
    """One tool as a function. Without its specification it takes keywords only."""

    def __init__(self, client: Any, name: str, spec: Optional[dict[str, Any]]):
        self._client = client
        self._spec = spec
        self.__name__ = self.__qualname__ = name
        self.__doc__ = (spec or {}).get("doc") or None
        if spec is not None:
            self.__signature__ = signature_of(spec)

    def __call__(self, *args: Any, **named: Any) -> Any:
        arguments = self._bound(args, named)
        if self._spec is None:
            return self._client._either(self.__name__, arguments)
        run = self._client._stream if self._spec.get("streaming") else self._client._call
        return run(self.__name__, arguments)

    def __repr__(self) -> str:
        return f"<tool {self.__name__}{getattr(self, '__signature__', '')}>"

    def _bound(self, args: tuple, named: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name. Whether they fit, the worker says."""
        if not args:
            return named
        if self._spec is None:
            raise TypeError(f"{self.__name__} takes keywords only, until `tool_list` has told what it takes")
        names = [parameter["name"] for parameter in self._spec["parameters"]]
        if len(args) > len(names):
            raise TypeError(f"{self.__name__} takes {len(names)} arguments, and got {len(args)}")
        placed = dict(zip(names, args))
        for name in placed:
            if name in named:
                raise TypeError(f"{self.__name__} got the argument `{name}` twice")
        return {**placed, **named}


def signature_of(spec: dict[str, Any]) -> Signature:
    """The signature, with annotations as texts; of keywords only where the order of parameters is none of Python's."""
    try:
        return Signature([_formal(parameter, Parameter.POSITIONAL_OR_KEYWORD) for parameter in spec["parameters"]])
    except ValueError:
        pass
    try:
        return Signature([_formal(parameter, Parameter.KEYWORD_ONLY) for parameter in spec["parameters"]])
    except ValueError:
        return Signature([Parameter("arguments", Parameter.VAR_KEYWORD)])


def _formal(parameter: dict[str, Any], kind: Any) -> Parameter:
    default = Parameter.empty if parameter.get("required", True) else parameter.get("default")
    return Parameter(parameter["name"], kind, default=default, annotation=parameter.get("type") or Parameter.empty)
