"""What the worker asks its host carries the secret of this launch."""

from __future__ import annotations

import collections
from typing import Any, Callable

import grpc

from . import channels

HEADER = "x-hatchery-secret"


def wrap_channels(module: Any, secret: str) -> None:
    channels.wrap(module, [_Blocking(secret)])
    # That kind of channel asks each interceptor for one kind of call only.
    channels.wrap_aio(module, [kind(secret) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)])


class _Details(
    collections.namedtuple("_Details", ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression")),
    grpc.ClientCallDetails,
):
    """What is known of a call, and may be changed."""


class _Blocking(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def _tell(self, continuation: Callable, details: Any, request: Any) -> Any:
        metadata = [*(details.metadata or ()), (HEADER, self._secret)]
        known = [getattr(details, name, None) for name in _Details._fields]
        return continuation(_Details(*known)._replace(metadata=metadata), request)

    intercept_unary_unary = _tell
    intercept_unary_stream = _tell
    intercept_stream_unary = _tell
    intercept_stream_stream = _tell


class _Waiting:
    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def _tell(self, continuation: Callable, details: Any, request: Any) -> Any:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), (HEADER, self._secret))
        return await continuation(details._replace(metadata=metadata), request)


class _UnaryUnary(_Waiting, grpc.aio.UnaryUnaryClientInterceptor):
    intercept_unary_unary = _Waiting._tell


class _UnaryStream(_Waiting, grpc.aio.UnaryStreamClientInterceptor):
    intercept_unary_stream = _Waiting._tell


class _StreamUnary(_Waiting, grpc.aio.StreamUnaryClientInterceptor):
    intercept_stream_unary = _Waiting._tell


class _StreamStream(_Waiting, grpc.aio.StreamStreamClientInterceptor):
    intercept_stream_stream = _Waiting._tell
