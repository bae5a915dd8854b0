"""A tool stays a plain function, so a test just calls it. Run with pytest or with unittest:

    PYTHONPATH="$(hatchery python-path)" python3 -m unittest
"""

import unittest

import app


class AppTest(unittest.TestCase):
    def test_greet(self) -> None:
        self.assertEqual(app.greet("Ada"), "Hello, Ada.")
        self.assertEqual(app.greet("Ada", excited=True), "Hello, Ada!")

    def test_countdown(self) -> None:
        self.assertEqual(list(app.countdown(3)), [3, 2, 1])
        self.assertEqual(list(app.countdown(0)), [])


if __name__ == "__main__":
    unittest.main()
