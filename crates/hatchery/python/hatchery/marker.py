"""The marker that stands in a result for an object that has no JSON form.

Its text never comes from the object's own `repr` unless the environment asks for that, as a repr may hold
secrets, be huge, or not come back.
"""

from __future__ import annotations

import os
import re
from typing import Any

KEY = "__ffi_unserializable__"
_REDACTED = "[REDACTED]"
_LONGEST_REPR = 2000
_USUAL_REPR = 500


def marker(value: Any) -> dict[str, Any]:
    """`{"__ffi_unserializable__": true, "__type__": "module.Class"}`, with a `__repr__` where it is asked for."""
    made = {KEY: True, "__type__": type_name(type(value))}
    text = _describe(value, setting("UNSERIALIZABLE_DETAIL") or "none")
    if text is not None:
        made["__repr__"] = text
    return made


def type_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def setting(name: str) -> str:
    """A variable of hatchery's, or the one of the same name that Snakepit read."""
    return os.environ.get(f"HATCHERY_{name}") or os.environ.get(f"SNAKEPIT_{name}") or ""


def redact(text: str) -> str:
    """The text without what looks like a credential."""
    for pattern, replacement in _SECRETS:
        text = re.sub(pattern, replacement, text)
    return text


def _describe(value: Any, detail: str):
    if detail == "type":
        return f"<unserializable {type_name(type(value))}>"
    if detail not in ("repr_truncated", "repr_redacted_truncated"):
        return None
    try:
        text = repr(value)
    except Exception:
        return f"<repr of {type_name(type(value))} failed>"
    if detail == "repr_redacted_truncated":
        text = redact(text)
    return _truncate(text, _repr_length())


def _repr_length() -> int:
    try:
        return max(0, min(_LONGEST_REPR, int(setting("UNSERIALIZABLE_REPR_MAXLEN"))))
    except ValueError:
        return _USUAL_REPR


def _truncate(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    return text[: length - 3] + "..." if length > 3 else text[:length]


# These are compiled when they are first used, which is never in most workers.
# A name that keeps a secret, however it is put together: api_key, apiKey, "access-token", DB_PASSWORD.
_NAME = r"[\w-]*(?:api[_-]?key|token|secret|passw(?:or)?d|passphrase)[\w-]*"
# Repr of a string within a repr escapes its quotes. A text that was cut has no closing quote.
_QUOTE = r"\\*[\"']"
_SECRETS = (
    (
        rf"(?i)(authorization{_QUOTE}?\s*[:=,]\s*{_QUOTE}?)(?:(?:bearer|basic|token|digest)\s+)?[^\s\"'\\,;)}}\]]+",
        rf"\1{_REDACTED}",
    ),
    (r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]+", rf"\1{_REDACTED}"),
    (r"\bsk-[A-Za-z0-9_-]{10,}", _REDACTED),
    (
        rf"(?is)({_NAME}{_QUOTE}?\s*(?:[:=]|=>|,)\s*[bru]{{0,2}})(\\*)([\"'])(?:(?!\2\3).)*(\2\3|$)",
        rf"\1\2\3{_REDACTED}\4",
    ),
)
