"""Starts a worker: python3 boot.py APP [--attr ATTR].

This file must compile under every Python there is, old ones included, so that an interpreter that is
too old can say so on the control channel instead of dying of a syntax error in the package.
"""
import os
import sys

OLDEST = (3, 9)
EX_CONFIG = 78


def refuse_old_python():
    """Answers ERROR (id 0) of kind `validation`, by hand: nothing of the package can be imported."""
    import json
    import struct

    found = "%d.%d.%d" % tuple(sys.version_info[:3])
    message = "Python %s (%s) is too old: hatchery needs %d.%d or newer" % (
        (found, sys.executable) + OLDEST
    )
    body = json.dumps({"kind": "validation", "message": message}).encode("utf-8")
    frame = struct.pack("<HBBIQIIQ", 0x7968, 20, 0, len(body), 0, 0, 0, 0) + body
    wire = os.environ.get("HATCHERY_WIRE", "").split(",")
    if len(wire) == 3:
        os.write(int(wire[2]), frame)
    sys.stderr.write(message + "\n")
    sys.exit(EX_CONFIG)


def import_runtime():
    """Imports the embedded package before the path is touched, so that no installed one wins, and
    then moves its folder to the end of the path, so that it hides nothing of the app's."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    # The folder is hatchery's own, so its bytecode is kept there even where PYTHONDONTWRITEBYTECODE, which images of
    # containers like to set, forbids it for other code: compiling anew would double the time of each start.
    keep, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    import hatchery.worker

    if "HATCHERY_TEMPLATE" in os.environ:
        import hatchery.template

        try:
            # What each worker would import by itself.
            import hatchery.arena, hatchery.segments
        except ImportError:
            pass

    sys.dont_write_bytecode = keep
    sys.path[:] = [entry for entry in sys.path if entry != here] + [here]
    return hatchery.worker


# Children that multiprocessing spawns import this file again, under another name.
if __name__ == "__main__":
    if sys.version_info < OLDEST:
        refuse_old_python()
    import_runtime().main(sys.argv[1:])
