"""Tests of the bridge's worker and of the shim, against a host made for them. The stubs are built once, and are gone afterwards."""

import atexit
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = os.path.normpath(os.path.join(HERE, os.pardir, os.pardir, "tests/fixtures/bridge_worker"))
SHIM = os.path.normpath(os.path.join(HERE, os.pardir, "shim"))


def _stubs() -> str:
    sys.path.insert(0, WORKER)
    try:
        import stubs
    finally:
        sys.path.remove(WORKER)
    folder = tempfile.mkdtemp(prefix="bridge_stubs_")
    atexit.register(shutil.rmtree, folder)
    return stubs.build(folder)


STUBS = _stubs()
sys.path.insert(0, STUBS)
