"""Names the interpreter, and the version of every package that the arguments name, as JSON; those missing are left out."""

import importlib.metadata
import json
import platform
import sys


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


found = {name: version(name) for name in sys.argv[1:]}
found["python"] = platform.python_version()
print(json.dumps({name: text for name, text in found.items() if text}))
