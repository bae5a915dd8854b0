"""The tools are plain functions here.

`PYTHONPATH="$(hatchery python-path)" python3 -m unittest discover -s examples/text`
"""

import tempfile
import unittest
from pathlib import Path

import app

REPOSITORY = Path(__file__).resolve().parents[2]
VERSE = "The cat sat on the mat. The cat slept!\n\nA heading\n\nWasn't it a well-made mat?"


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

    def test_corpus(self) -> None:
        with tempfile.TemporaryDirectory() as root:
            (Path(root) / "inner").mkdir()
            (Path(root) / "b.md").write_text("second", encoding="utf-8")
            (Path(root) / "inner" / "c.md").write_text("third", encoding="utf-8")
            (Path(root) / "a.md").write_text("first ü", encoding="utf-8")
            (Path(root) / "a.txt").write_text("no", encoding="utf-8")
            self.assertEqual(app.corpus(root), "first ü\n\nsecond\n\nthird")


class ThisProjectsDocumentation(unittest.TestCase):
    """A real text, long, full of code and tables. Its numbers change, so what is checked is what must hold."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.text = app.corpus(str(REPOSITORY / "docs"))

    def test_the_counts_agree_with_each_other(self) -> None:
        stats = app.stats(self.text)
        everything = app.top_words(self.text, stats.distinct_words)
        self.assertGreater(stats.words, 2000)
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
