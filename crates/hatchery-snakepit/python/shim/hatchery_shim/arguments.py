"""Arguments of the host's tools keep their types: they go as JSON, where the worker would send the text that Python prints."""

from __future__ import annotations

import json
from typing import Any, Callable

import grpc

from . import channels, sessions

_METHOD = "/snakepit.bridge.BridgeService/ExecuteElixirTool"
_ADDRESS = "type.googleapis.com/google.protobuf.StringValue"


def wrap(module: Any) -> None:
    channels.wrap(module, [_Encoding()])


class _Encoding(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(self, continuation: Callable, details: Any, request: Any) -> Any:
        if channels.method(details) == _METHOD:
            _encode(request, sessions.arguments())
        return continuation(details, request)


def _encode(request: Any, arguments: dict) -> None:
    """What has no JSON form goes as the worker sends it."""
    for name in arguments.keys() & request.parameters.keys():
        try:
            text = json.dumps(arguments[name])
        except (TypeError, ValueError):
            continue
        request.parameters[name].type_url = _ADDRESS
        request.parameters[name].value = text.encode()
