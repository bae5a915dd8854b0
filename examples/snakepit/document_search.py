"""An adapter as it is written for Snakepit: it searches the Markdown of a folder. Nothing in it knows of hatchery.

    PYTHONPATH=examples/snakepit hatchery serve --config examples/snakepit/hatchery.toml
    hatchery call search root="$PWD" query="what happens to orphans" top=3
    hatchery stream outline root="$PWD/docs"
"""

from pathlib import Path
from typing import Any

import ranking
from snakepit_bridge.base_adapter import BaseAdapter, tool

# An adapter lives as long as a call: what is to last belongs to the module.
INDEXES: dict[str, ranking.Index] = {}


class DocumentSearch(BaseAdapter):
    @tool(description="The sections of a folder's Markdown that answer a question best")
    def search(self, root: str, query: str, top: int = 5) -> dict:
        if root not in INDEXES:
            INDEXES[root] = ranking.Index(list(ranking.sections(Path(root))))
        index = INDEXES[root]
        best = index.best(query, int(top))
        found = [{"at": f"{it.file}:{it.line}", "title": it.title, "score": round(score, 3)} for score, it in best]
        return {"sections": len(index.sections), "found": found}

    @tool(description="All headings, as they are found", supports_streaming=True)
    def outline(self, root: str) -> Any:
        for section in ranking.sections(Path(root)):
            yield {"at": f"{section.file}:{section.line}", "title": section.title}

    @tool(description="Forgets what was indexed, to see what has changed")
    def forget(self) -> dict:
        known = len(INDEXES)
        INDEXES.clear()
        return {"forgotten": known}

    def execute_tool(self, tool_name: str, arguments: dict, context: Any) -> Any:
        return self.call_tool(tool_name, **arguments)
