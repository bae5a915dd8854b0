"""A tool stays a plain function, so a test just calls it: `hatchery test` runs this with pytest or unittest."""

import unittest

import app


class AppTest(unittest.TestCase):
    def test_words_are_counted(self) -> None:
        self.assertEqual(app.word_count("a b a"), {"a": 2, "b": 1})
        self.assertEqual(app.word_count(""), {})

    def test_the_countdown_ends_at_one(self) -> None:
        self.assertEqual(list(app.countdown(3)), [3, 2, 1])
        self.assertEqual(list(app.countdown(0)), [])


if __name__ == "__main__":
    unittest.main()
