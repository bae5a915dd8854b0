"""The ranking is plain functions; the adapter before it is called by `crates/hatchery-cli/tests/it/bridged.rs`.

`python3 -m unittest discover -s examples/snakepit`
"""

import tempfile
import unittest
from pathlib import Path

import ranking

PAGES = {
    "birds.md": "# Birds\nA hen sits on eggs.\n\n## Eggs\nEggs, eggs and eggs again.\n```\n# no heading\n```\n",
    "sub/fish.md": "# Fish\nFish lay eggs too. Fish swim in the sea, which is large and far away from any hen.\n",
    "notes.txt": "# Not looked at\neggs eggs eggs eggs",
}


class Ranking(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for name, text in PAGES.items():
            path = self.root / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.index = ranking.Index(list(ranking.sections(self.root)))

    def best(self, query: str, top: int = 9) -> list:
        return [section.title for _score, section in self.index.best(query, top)]

    def test_headings_divide_and_code_has_none(self) -> None:
        found = [(it.file, it.line, it.title) for it in self.index.sections]
        self.assertEqual(found, [("birds.md", 1, "Birds"), ("birds.md", 4, "Eggs"), ("sub/fish.md", 1, "Fish")])

    def test_more_of_a_word_is_better_and_a_long_section_worse(self) -> None:
        self.assertEqual(self.best("eggs"), ["Eggs", "Birds", "Fish"])

    def test_a_rare_word_says_more_than_a_frequent_one(self) -> None:
        self.assertEqual(self.best("EGGS swim", 1), ["Fish"])

    def test_what_is_nowhere_is_not_found(self) -> None:
        self.assertEqual(self.best("mammals"), [])
        self.assertEqual(ranking.Index([]).best("eggs", 3), [])


if __name__ == "__main__":
    unittest.main()
