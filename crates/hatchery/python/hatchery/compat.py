"""What is known of libraries in threads (`compat.json`), held against what an app has imported."""

from __future__ import annotations

import json
import os
from typing import Iterable

_MATRIX = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compat.json")
_VERDICTS = {"false": "is not safe in threads", "conditional": "is safe in threads on conditions"}


def warnings_about(modules: Iterable[str]) -> list[str]:
    """A line for each library among the modules that threads must not share without care."""
    imported = {name.partition(".")[0] for name in modules}
    with open(_MATRIX, encoding="utf-8") as file:
        matrix = json.load(file)
    return [
        f"{entry['name']} {_VERDICTS[entry['safety']]}: {entry['note']} {entry['advice']}"
        for entry in matrix
        if entry["safety"] in _VERDICTS and not imported.isdisjoint(entry["modules"])
    ]
