"""What a worker that was forked from a template does before it loads its app."""

from __future__ import annotations

import sys
from typing import Any, Callable

# Whether this process was forked from a template, and is a worker.
FORKED = False

_HOOKS: list = []


def after_fork(function: Callable[[], Any]) -> Callable[[], Any]:
    """Runs the function, without arguments, in each worker that is forked from the template, before the app is loaded: to open
    what workers must not share, and to seed generators of one's own. In a worker that is started cold, it never runs. Only a
    module of `preload`, or an app with `preload_app`, has a template to register in.

        @after_fork
        def connect():
            global database
            database = connect_to(DATABASE)
    """
    _HOOKS.append(function)
    return function


def begin() -> None:
    """Nothing that was random in the template is the same in two workers; then the hooks, in the order of their registration."""
    _seed()
    for hook in _HOOKS:
        hook()


def _seed() -> None:
    """From the kernel, each generator that everybody shares. Python's own `random` sees to itself after a fork."""
    for name in ("numpy.random", "torch"):
        seed = getattr(sys.modules.get(name), "seed", None)
        if callable(seed):
            seed()
