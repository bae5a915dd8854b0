"""The app's own word on its health: `health()`, asked as the tool of a reserved name (wire.md 5)."""

from __future__ import annotations

from typing import Any, Callable

from .errors import Cancelled
from .report import message_of, traceback_of, type_of
from .signature import EMPTY, parameters
from .tools import Options, Tool

#: Names that begin so are the wire's own.
RESERVED = "hatchery."
HEALTH = RESERVED + "health"


def health_tool(function: Callable) -> Tool:
    """The tool that asks `function`, which must take nothing."""
    needed = [formal.name for formal in parameters(function) if formal.default is EMPTY and not formal.prefix]
    if needed:
        raise TypeError(f"health() is called without arguments, and takes {', '.join(needed)}")

    def ask() -> Any:
        try:
            value = function()
        except Cancelled:
            raise
        except Exception as error:
            return _failed(error)
        return _awaited(value) if hasattr(value, "__await__") else _verdict(value)

    return Tool(ask, Options(HEALTH))


async def _awaited(value: Any) -> dict[str, Any]:
    try:
        return _verdict(await value)
    except Cancelled:
        raise
    except Exception as error:
        return _failed(error)


def _verdict(value: Any) -> dict[str, Any]:
    if value is None or value is True or value is False:
        return {"healthy": value is not False, "details": None}
    if isinstance(value, dict):
        return {"healthy": True, "details": value}
    problem = f"health() gave {type(value).__qualname__}; it gives None or True, a dict of details, or False"
    return {"healthy": False, "details": {"message": problem}}



def _failed(error: Exception) -> dict[str, Any]:
    details = {"message": message_of(error), "python_type": type_of(error), "traceback": traceback_of(error)}
    return {"healthy": False, "details": details}
