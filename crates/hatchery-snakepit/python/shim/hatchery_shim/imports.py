"""Tells when a module has been imported."""

from __future__ import annotations

import sys
from typing import Any, Callable

from . import word

_waiting: dict = {}


def when_imported(name: str, mode: str, hook: Callable[[Any], None]) -> None:
    """Calls the hook with the module once it is complete. A hook that fails costs its mode, and nothing else."""
    if name in sys.modules:
        _run(name, mode, hook, sys.modules[name])
        return
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    _waiting.setdefault(name, []).append((mode, hook))


class _Finder:
    """Finds nothing itself: it asks the others, and listens when what they found has been executed."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _waiting:
            return None
        spec = _found_by_others(name, path, target)
        if spec is not None and spec.loader is not None:
            _listen(name, spec.loader)
        return spec


def _found_by_others(name: str, path: Any, target: Any) -> Any:
    for finder in sys.meta_path:
        if finder is not _Finder and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


def _listen(name: str, loader: Any) -> None:
    """On this one loader, whose class and module stay what they are."""
    try:
        execute = loader.exec_module

        def executed(module: Any) -> None:
            execute(module)
            for mode, hook in _waiting.pop(name, []):
                _run(name, mode, hook, module)

        loader.exec_module = executed
    except AttributeError as failure:
        word.say(f"{name}: {failure}")


def _run(name: str, mode: str, hook: Callable[[Any], None], module: Any) -> None:
    try:
        hook(module)
    except Exception as failure:  # noqa: BLE001
        word.say(f"{mode}: {name} looks different: {failure!r}")
