"""Results keep their types: `None`, integers and bytes as what they are, sets and tuples as lists.

The worker encodes a result where we do not see it. So the adapter's result is kept when it comes by, and put in the place of what
the worker made of it when the answer goes out."""

from __future__ import annotations

import contextvars
import functools
import inspect
from typing import Any, Callable

import grpc

_METHOD = "/snakepit.bridge.BridgeService/ExecuteTool"
_ADDRESS = "type.googleapis.com/snakepit."
_KEPT: contextvars.ContextVar = contextvars.ContextVar("hatchery_kept")
_ATTRIBUTE = "_hatchery_kept"
_NOTHING = object()


class _Kept:
    """The result of one call."""

    value: Any = _NOTHING


def wrap_server(module: Any) -> None:
    make = module.aio.server
    signature = inspect.signature(make)

    @functools.wraps(make)
    def server(*args: Any, **kwargs: Any) -> Any:
        told = signature.bind(*args, **kwargs)
        told.arguments["interceptors"] = (*(told.arguments.get("interceptors") or ()), _Restoring())
        return make(*told.args, **told.kwargs)

    module.aio.server = server


class _Restoring(grpc.aio.ServerInterceptor):
    async def intercept_service(self, continuation: Callable, details: Any) -> Any:
        handler = await continuation(details)
        if details.method != _METHOD or not inspect.iscoroutinefunction(getattr(handler, "unary_unary", None)):
            return handler
        return grpc.unary_unary_rpc_method_handler(
            _restoring(handler.unary_unary), handler.request_deserializer, handler.response_serializer
        )


def _restoring(execute: Callable) -> Callable:
    async def answer(request: Any, context: Any) -> Any:
        kept = _Kept()
        _KEPT.set(kept)
        return restored(await execute(request, context), kept.value)

    return answer


def restored(answer: Any, value: Any) -> Any:
    if value is _NOTHING or not getattr(answer, "success", False):
        return answer
    if isinstance(value, (bytes, bytearray, memoryview)):
        answer.ClearField("result")
        answer.binary_result = bytes(value)
    elif value is None:
        answer.result.type_url, answer.result.value = f"{_ADDRESS}null", b"null"
    else:
        answer.result.type_url, answer.result.value = f"{_ADDRESS}integer", str(int(value)).encode()
    return answer


def wrap_adapter(adapter_class: type) -> None:
    execute, begin = adapter_class.execute_tool, adapter_class.set_session_context
    if not inspect.isfunction(execute) or not inspect.isfunction(begin):
        raise TypeError(f"{adapter_class.__name__} has no method execute_tool or set_session_context")

    @functools.wraps(begin)
    def set_session_context(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The tool may run in a thread that knows nothing of the call; the adapter is the call's own.
        setattr(self, _ATTRIBUTE, _KEPT.get(None))
        return begin(self, *args, **kwargs)

    if inspect.iscoroutinefunction(execute):

        @functools.wraps(execute)
        async def execute_tool(self: Any, *args: Any, **kwargs: Any) -> Any:
            return _keep(self, await execute(self, *args, **kwargs))

    else:

        @functools.wraps(execute)
        def execute_tool(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = execute(self, *args, **kwargs)
            return _kept_later(self, result) if inspect.isawaitable(result) else _keep(self, result)

    adapter_class.set_session_context = set_session_context
    adapter_class.execute_tool = execute_tool


async def _kept_later(adapter: Any, result: Any) -> Any:
    return _keep(adapter, await result)


def _keep(adapter: Any, result: Any) -> Any:
    """What the worker gets to encode; what it would encode wrongly is kept beside."""
    kept = _KEPT.get(None) or getattr(adapter, _ATTRIBUTE, None)
    is_odd = result is None or (isinstance(result, (int, bytes, bytearray, memoryview)) and not isinstance(result, bool))
    if kept is not None and is_odd:
        kept.value = result
    return plain(result)


def plain(value: Any) -> Any:
    """With lists in place of sets and tuples, as deep as there are any; the same object where there are none."""
    if isinstance(value, (set, frozenset)) or type(value) is tuple:
        return [plain(item) for item in value]
    if type(value) is list:
        items = [plain(item) for item in value]
        return items if any(new is not old for new, old in zip(items, value)) else value
    if type(value) is dict:
        items = {key: plain(item) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in value) else value
    return value
