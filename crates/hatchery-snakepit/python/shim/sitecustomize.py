"""Python runs this at its start when its folder is on PYTHONPATH. It mends what it is told to mend, and nothing else."""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _mend() -> None:
    told = os.environ.get("HATCHERY_SHIM", "")
    # Children of the worker have no business with it.
    secret = os.environ.pop("HATCHERY_BRIDGE_SECRET", "")
    if told or secret:
        import hatchery_shim

        hatchery_shim.install(told, secret)


def _run_hidden() -> None:
    """The module of this name that would have been found without us. What it raises is Python's to report, as ever."""
    import importlib.machinery
    import importlib.util

    elsewhere = [folder for folder in sys.path if os.path.abspath(folder or os.curdir) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


try:
    _mend()
except Exception as failure:  # A worker starts whatever becomes of us.
    print(f"hatchery shim: not installed: {failure!r}", file=sys.stderr)
_run_hidden()
