"""Mends weak sides of workers that were written for Snakepit, without a change to their files: by wrapping what they import.

What it wraps is what these workers and their adapters cannot do without, and no more of them is known here: grpc's own factories,
the adapter's class, and `SessionContext`. Where these look different, it says so and leaves the worker as it is."""

from __future__ import annotations

from . import host, word
from .imports import when_imported


def install(told: str, secret: str) -> None:
    """Each mode stands for itself. Nothing is imported here that the worker would not import."""
    modes = {mode.strip() for mode in told.split(",") if mode.strip()}
    for mode in sorted(modes - _MODES.keys()):
        word.say(f"{mode}: no such mode")
    # In the order of the table: results are kept inside of what runs in an executor.
    for mode, begin in _MODES.items():
        if mode in modes:
            begin()
    if secret:
        when_imported("grpc", "secret", lambda grpc: _secret(grpc, secret))


def _loopback() -> None:
    def wrap(grpc: object) -> None:
        from . import loopback

        loopback.wrap(grpc)

    when_imported("grpc", "loopback", wrap)


def _lossless() -> None:
    def server(grpc: object) -> None:
        from . import results

        results.wrap_server(grpc)

    def adapter(adapter_class: type) -> None:
        from . import results

        results.wrap_adapter(adapter_class)

    def channel(grpc: object) -> None:
        from . import arguments

        arguments.wrap(grpc)

    def session(bridge: object) -> None:
        from . import sessions

        sessions.wrap(bridge)

    when_imported("grpc", "lossless results", server)
    _when_adapter("lossless results", adapter)
    when_imported("grpc", "lossless arguments", channel)
    when_imported("snakepit_bridge", "lossless arguments", session)


def _parallel() -> None:
    def wrap(adapter_class: type) -> None:
        from . import parallel

        parallel.wrap(adapter_class, host.threads())

    # The process server runs its tools beside its loop already.
    if host.threads():
        _when_adapter("parallel", wrap)


def _secret(grpc: object, secret: str) -> None:
    from . import secrets

    secrets.wrap_channels(grpc, secret)


def _when_adapter(mode: str, wrap: object) -> None:
    module, _, name = host.adapter().rpartition(".")
    if module:
        when_imported(module, mode, lambda imported: wrap(getattr(imported, name)))


_MODES = {"loopback": _loopback, "lossless": _lossless, "parallel": _parallel}
