"""Requests: which path, which headers, which body. What can be asked is in `operations.py`, how it gets there in the two clients."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any, NamedTuple, Optional, Union
from urllib.parse import quote, urlencode

from .errors import ValidationError
from .http1 import Request
from .values import ARRAY, BYTES, JSON, Body, arguments_of, text_of

Timeout = Union[float, int, str, timedelta, None]

# What is asked of a daemon is told at once, or not at all. Calls take as long as they take.
PATIENCE = 10.0
# How much longer than its deadline a call is waited for: the daemon says that it has passed, unless it has stopped.
GRACE = 5.0

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_ONCE = ("GET", "PUT", "DELETE")


class Options(NamedTuple):
    """What a call has besides its arguments; None is what the daemon does by itself."""

    timeout: Timeout = None
    session: Optional[str] = None
    affinity: Optional[str] = None
    priority: Optional[str] = None
    tenant: Optional[str] = None
    idempotent: Optional[bool] = None
    correlation_id: Optional[str] = None
    worker: Optional[str] = None

    def over(self, others: Options) -> Options:
        """These, and where they say nothing the others."""
        return Options(*(mine if mine is not None else other for mine, other in zip(self, others)))

    def headers(self) -> tuple[tuple[str, str], ...]:
        said = zip(self._fields, (duration(self.timeout), *self[1:]))
        return tuple((_header(name), _ascii(name, value)) for name, value in said if value is not None)

    def limit(self) -> Optional[float]:
        """How long an answer is waited for."""
        wanted = seconds(self.timeout)
        return None if wanted is None or math.isinf(wanted) else wanted + GRACE


def call(pool: str, tool: str, arguments: Any, options: Options) -> Request:
    accept = ("Accept", f"{JSON}, {BYTES}, {ARRAY}")
    return _of_tool("call", pool, tool, arguments, options, accept)


def stream(pool: str, tool: str, arguments: Any, options: Options) -> Request:
    return _of_tool("stream", pool, tool, arguments, options, ("Accept", "text/event-stream"))


def call_host(name: str, arguments: Any, options: Options) -> Request:
    accept = ("Accept", f"{JSON}, {BYTES}, {ARRAY}")
    target = path("host-tools", name, "call")
    return _request("POST", target, (accept, *options.headers()), arguments_of(arguments), bool(options.idempotent))


def ask(method: str, *segments: str, query: Optional[dict[str, Any]] = None, body: Any = None) -> Request:
    """A question or an order: `segments` are what follows `/v1` in the path, `body` goes as JSON where it is not None."""
    said = {name: value for name, value in (query or {}).items() if value is not None}
    target = path(*segments) + (f"?{urlencode(said)}" if said else "")
    content = None if body is None else Body(JSON, text_of(body, "the body of the request"))
    return _request(method, target, (), content, method in _ONCE)


def store(segments: tuple[str, ...], value: Any) -> Request:
    """Puts a JSON value there, None too."""
    return _request("PUT", path(*segments), (), Body(JSON, text_of(value, segments[-1])), True)


def merged(arguments: Optional[dict[str, Any]], named: dict[str, Any]) -> Any:
    """The arguments of a call, from both ways to give them."""
    if arguments is None or not named:
        return named if arguments is None else arguments
    if not isinstance(arguments, dict):
        return arguments  # Which is refused where it is written.
    twice = sorted(set(arguments) & set(named))
    if twice:
        raise TypeError(f"argument {twice[0]!r} is given twice, in the dict and as a keyword")
    return {**arguments, **named}


def path(*segments: str) -> str:
    """Whatever is in a segment, it stays one. Raises `ValidationError`."""
    return "/".join(["/v1", *map(_quoted, segments)])


def seconds(timeout: Timeout) -> Optional[float]:
    """A time as a number; None stays None. Raises `ValidationError`."""
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    if isinstance(timeout, str):
        timeout = math.inf if timeout == "infinity" else _parsed(timeout)
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise ValidationError(f'timeout: expected seconds, or a duration like "250ms", "30s", "5m", "1h", found {timeout!r}')
    return float(timeout)


def duration(timeout: Timeout) -> Optional[str]:
    """The same as a daemon reads it."""
    wanted = seconds(timeout)
    if wanted is None or isinstance(timeout, str):
        return timeout  # type: ignore[return-value]
    return "infinity" if math.isinf(wanted) else f"{max(1, round(wanted * 1000))}ms"


def _of_tool(how: str, pool: str, tool: str, arguments: Any, options: Options, accept: tuple[str, str]) -> Request:
    headers = (accept, *options.headers())
    return _request("POST", path("pools", pool, how, tool), headers, arguments_of(arguments), bool(options.idempotent))


def _request(method: str, target: str, headers: Any, body: Optional[Body], idempotent: bool) -> Request:
    if body is None:
        return Request(method, target, headers, b"", idempotent)
    return Request(method, target, (*headers, ("Content-Type", body.content_type)), body.data, idempotent)


def _parsed(text: str) -> Any:
    found = _DURATION.fullmatch(text)
    return float(found[1]) * _UNITS[found[2]] if found else text


def _quoted(segment: Any) -> str:
    try:
        if isinstance(segment, str) and segment:
            return quote(segment, safe="")
    except UnicodeEncodeError:
        pass
    raise ValidationError(f"expected the name of a tool, a pool, a worker or a session, found {segment!r}")


def _header(name: str) -> str:
    return "X-Hatchery-" + name.title().replace("_", "-")


def _ascii(name: str, value: Any) -> str:
    text = ("false", "true")[value] if isinstance(value, bool) else value
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise ValidationError(f"{name}: expected a text of printable ASCII, found {value!r}")
    return text
