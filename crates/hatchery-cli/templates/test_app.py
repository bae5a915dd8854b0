"""The tools of {{name}} are ordinary functions, and are tested as such: `hatchery test`."""

import unittest

import app


class Tools(unittest.TestCase):
    def test_words_are_counted(self):
        self.assertEqual(app.word_count("a b a"), {"a": 2, "b": 1})

    def test_the_countdown_ends_at_one(self):
        self.assertEqual(list(app.countdown(3)), [3, 2, 1])


if __name__ == "__main__":
    unittest.main()
