"""The worker's channels to its host, and to nobody else."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from . import host


def wrap(grpc: Any, interceptors: list) -> None:
    make = grpc.insecure_channel

    @functools.wraps(make)
    def insecure_channel(*args: Any, **kwargs: Any) -> Any:
        channel = make(*args, **kwargs)
        return grpc.intercept_channel(channel, *interceptors) if _is_host(args, kwargs) else channel

    grpc.insecure_channel = insecure_channel


def wrap_aio(grpc: Any, interceptors: list) -> None:
    make = grpc.aio.insecure_channel
    signature = inspect.signature(make)

    @functools.wraps(make)
    def insecure_channel(*args: Any, **kwargs: Any) -> Any:
        if not _is_host(args, kwargs):
            return make(*args, **kwargs)
        told = signature.bind(*args, **kwargs)
        told.arguments["interceptors"] = [*(told.arguments.get("interceptors") or ()), *interceptors]
        return make(*told.args, **told.kwargs)

    grpc.aio.insecure_channel = insecure_channel


def _is_host(args: tuple, kwargs: dict) -> bool:
    return (args[0] if args else kwargs.get("target")) == host.address()


def method(details: Any) -> str:
    """Some versions of grpc have it as bytes."""
    return details.method.decode() if isinstance(details.method, bytes) else details.method
