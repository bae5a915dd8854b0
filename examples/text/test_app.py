"""The tools are plain functions here.

`PYTHONPATH="$(hatchery python-path)" python3 -m unittest discover -s examples/text`
"""

import tempfile
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import app

REPOSITORY = Path(__file__).resolve().parents[2]
VERSE = "The cat sat on the mat. The cat slept!\n\nA heading\n\nWasn't it a well-made mat?"


@contextmanager
def project(files: dict[str, str]) -> Iterator[str]:
    """A directory with these files."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield root


class SmallTexts(unittest.TestCase):
    def test_stats(self) -> None:
        stats = app.stats(VERSE)
        self.assertEqual((stats.words, stats.distinct_words, stats.sentences), (16, 11, 4))
        self.assertEqual(stats.words_per_sentence, 4.0)
        self.assertEqual(stats.characters, len(VERSE))

    def test_a_text_without_words(self) -> None:
        self.assertEqual(app.stats("42 …"), app.Stats(4, 0, 0, 0, 0.0, 0.0))
        with self.assertRaisesRegex(ValueError, "at least one word"):
            app.readability("42 …")

    def test_top_words(self) -> None:
        self.assertEqual(app.top_words(VERSE, 3), [("the", 3), ("a", 2), ("cat", 2)])
        self.assertEqual(app.top_words(VERSE, 1, shortest=6), [("heading", 1)])

    def test_readability_of_a_known_sentence(self) -> None:
        # 6 words in 1 sentence, 6 syllables: 206.835 - 6.09 - 84.6, and 2.34 + 11.8 - 15.59
        found = app.readability("The cat sat on the mat.")
        self.assertAlmostEqual(found.reading_ease, 116.145)
        self.assertAlmostEqual(found.school_grade, -1.45)

    def test_syllables(self) -> None:
        known = {"cat": 1, "made": 1, "table": 2, "the": 1, "hatchery": 3, "hmm": 1}
        self.assertEqual({word: app.syllables(word) for word in known}, known)

    def test_ngrams(self) -> None:
        self.assertEqual(list(app.ngrams("to be or not to be", 2)), [("to be", 2)])
        self.assertEqual(list(app.ngrams("a b a", 3, at_least=1)), [("a b a", 1)])
        self.assertEqual(list(app.ngrams("a b", 3, at_least=1)), [])

    def test_concordance(self) -> None:
        concordance = app.Concordance()
        concordance.remember("one", "a cat\na dog")
        self.assertEqual(concordance.remember("two", "Cat, cat"), 3)
        self.assertEqual(list(concordance.find("CAT")), [("one", 1, "a cat"), ("two", 1, "Cat, cat")])
        self.assertEqual(list(concordance.find("cow")), [])

    def test_prose_is_markdown_and_what_sources_say_to_people(self) -> None:
        files = {
            "b.md": "second",
            "inner/c.md": "third",
            "a.md": "first ü",
            "d.rs": '//! A head.\n\nlet url = "https://x"; // a remark\n/// A contract.\nfn f() {}\n',
            "e.py": '"""A docstring."""\n\nx = """no\n# no\n"""  # a remark\n\n\ndef f():\n    """Two\n    lines."""\n',
            "f.toml": 'color = "#fff"\n# a remark\n',
            "a.txt": "no",
            ".hidden/a.md": "no",
            "target/a.md": "no",
        }
        expected = "first ü|second|A head.\na remark\nA contract.|A docstring.\n\na remark\nTwo\n    lines.|a remark|third"
        with project(files) as root:
            self.assertEqual(app.corpus(root), expected.replace("|", "\n\n"))

    def test_summary(self) -> None:
        with project({"a.md": "The hatchery opens. The hatchery opens at seven.", "b.rs": "// The end."}) as root:
            summary = app.summary(root, top=2)
        self.assertEqual((summary.words, summary.distinct_words, summary.sentences), (10, 6, 3))
        self.assertEqual(summary.top_words, {"hatchery": 2, "opens": 2})
        self.assertEqual(summary.top_terms, {"hatchery opens": 2})
        self.assertEqual(summary.minutes_to_read, 0)


class ThisProjectsProse(unittest.TestCase):
    """A real text of a book's length, full of code and tables. Its numbers change, so what must hold is checked."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.text = app.corpus(str(REPOSITORY))

    def test_the_counts_agree_with_each_other(self) -> None:
        stats = app.stats(self.text)
        everything = app.top_words(self.text, stats.distinct_words)
        self.assertGreater(stats.words, 30_000)
        self.assertEqual(len(everything), stats.distinct_words)
        self.assertEqual(sum(count for _, count in everything), stats.words)
        self.assertEqual(everything[0][0], "the")

    def test_pairs_of_words_come_in_order_and_lead_with_plain_english(self) -> None:
        counts = [count for _, count in app.ngrams(self.text, 2)]
        self.assertEqual(counts, sorted(counts, reverse=True))
        self.assertIn("of the", dict(app.ngrams(self.text, 2, at_least=5)))

    def test_it_can_be_read(self) -> None:
        self.assertTrue(0 < app.readability(self.text).school_grade < 20)


if __name__ == "__main__":
    unittest.main()
