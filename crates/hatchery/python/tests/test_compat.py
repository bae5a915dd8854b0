"""The matrix of libraries in threads: its form, and what is said of what an app imports."""

import json
import os
import unittest

from hatchery import compat

from .host import ROOT

with open(os.path.join(ROOT, "hatchery", "compat.json"), encoding="utf-8") as file:
    MATRIX = json.load(file)


class Matrix(unittest.TestCase):
    def test_every_entry_is_whole(self):
        for entry in MATRIX:
            with self.subTest(entry["name"]):
                self.assertEqual(list(entry), ["name", "safety", "note", "advice", "modules", "aliases"])
                self.assertIn(entry["safety"], ("true", "conditional", "false"))
                self.assertTrue(entry["note"].endswith(".") and entry["modules"])
                for name in (entry["name"], *entry["aliases"]):
                    self.assertEqual(name, name.strip().lower().replace("_", "-"))
                if entry["safety"] != "true":
                    self.assertTrue(entry["advice"].endswith("."))

    def test_names_and_aliases_are_unique(self):
        names = [name for entry in MATRIX for name in (entry["name"], *entry["aliases"])]
        self.assertEqual(len(names), len(set(names)))

    def test_what_is_warned_of(self):
        lines = compat.warnings_about(["numpy", "pandas.core", "PIL", "os", "sklearn.svm"])
        self.assertEqual([line.split(":")[0] for line in lines], [
            "scikit-learn is safe in threads on conditions",
            "pillow is safe in threads on conditions",
            "pandas is not safe in threads"])  # fmt: skip
        self.assertEqual(compat.warnings_about(["numpy", "pandasql"]), [])


if __name__ == "__main__":
    unittest.main()
