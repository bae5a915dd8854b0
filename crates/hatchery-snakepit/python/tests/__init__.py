"""Tests of the bridge's worker and of the shim, against a host made for them. The stubs are built once, and are gone afterwards."""

import atexit
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURE = os.path.normpath(os.path.join(HERE, os.pardir, os.pardir, "tests/fixtures/bridge_worker"))
# Another worker of the same contract may be tried against the same tests; those that look into ours fail there.
WORKER = os.environ.get("HATCHERY_BRIDGE_WORKER") or FIXTURE
SHIM = os.path.normpath(os.path.join(HERE, os.pardir, "shim"))


def _stubs() -> str:
    sys.path.insert(0, FIXTURE)
    try:
        import stubs
    finally:
        sys.path.remove(FIXTURE)
    folder = tempfile.mkdtemp(prefix="bridge_stubs_")
    atexit.register(shutil.rmtree, folder)
    return stubs.build(folder)


STUBS = _stubs()
sys.path.insert(0, STUBS)
