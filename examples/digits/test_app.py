"""The tools are plain methods here.

`PYTHONPATH="$(hatchery python-path)" python3 -m unittest discover -s examples/digits`
"""

import unittest
from typing import Optional

try:
    import numpy as np
    import sklearn  # noqa: F401
    from threadpoolctl import threadpool_info
except ImportError as missing:
    raise unittest.SkipTest(f"{missing}; see requirements.txt") from missing

import app


class Watcher:
    """What `train` wants of a Context, and a cancel after so many reports."""

    def __init__(self, cancel_after: Optional[int] = None) -> None:
        self.reports: "list[tuple[float, str]]" = []
        self.cancel_after = cancel_after

    @property
    def cancelled(self) -> bool:
        return len(self.reports) == self.cancel_after

    def progress(self, fraction: float, message: str) -> None:
        self.reports.append((fraction, message))


class DigitsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.digits = app.Digits()

    def test_it_is_better_than_chance_before_any_training_is_asked_for(self) -> None:
        self.assertGreater(self.digits.accuracy(), 0.2)  # chance is 0.1

    def test_training_streams_an_epoch_at_a_time_and_learns(self) -> None:
        watcher = Watcher()
        before = self.digits.accuracy()
        epochs = list(self.digits.train(10, ctx=watcher))
        self.assertEqual([epoch["epoch"] for epoch in epochs], list(range(2, 12)))
        self.assertEqual([fraction for fraction, _ in watcher.reports][-2:], [0.9, 1.0])
        self.assertLess(epochs[-1]["loss"], epochs[0]["loss"])
        self.assertGreater(epochs[-1]["accuracy"], max(before, 0.9))
        self.assertEqual(epochs[-1]["accuracy"], self.digits.accuracy())

    def test_a_cancelled_training_keeps_what_it_has_learned(self) -> None:
        self.assertEqual(len(list(self.digits.train(10, ctx=Watcher(cancel_after=3)))), 3)
        self.assertEqual(self.digits.epochs, 4)

    def test_predictions_of_samples_mostly_match_their_labels(self) -> None:
        list(self.digits.train(10, ctx=Watcher()))
        samples = self.digits.samples(200, seed=1)
        predicted = self.digits.predict(samples["images"])
        self.assertEqual((samples["images"].shape, predicted.shape), ((200, 8, 8), (200,)))
        self.assertGreater(float(np.mean(predicted == samples["labels"])), 0.9)

    def test_samples_were_never_learned_from(self) -> None:
        learned = {image.tobytes() for image in self.digits.images}
        self.assertFalse(any(image.tobytes() in learned for image in self.digits.samples(450)["images"]))

    def test_the_seed_chooses(self) -> None:
        first, again, other = (self.digits.samples(20, seed)["images"] for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        self.assertFalse(np.array_equal(first, other))

    def test_what_does_not_fit_is_refused_in_words(self) -> None:
        with self.assertRaisesRegex(ValueError, r"of shape \(n, 8, 8\); they are of shape \(3, 64\)"):
            self.digits.predict(np.zeros((3, 64)))
        with self.assertRaisesRegex(ValueError, "between 0 and 450"):
            self.digits.samples(451)

    def test_linear_algebra_keeps_to_one_thread(self) -> None:
        self.assertEqual({pool["num_threads"] for pool in threadpool_info()}, {1})


if __name__ == "__main__":
    unittest.main()
