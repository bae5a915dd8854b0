"""A classifier of handwritten digits that learns inside the worker, on the data that ships with scikit-learn.

    python3 -m venv examples/digits/.venv
    examples/digits/.venv/bin/pip install -r examples/digits/requirements.txt
    hatchery call accuracy --app examples/digits/app.py
    hatchery stream train epochs=5 --app examples/digits/app.py

A `.venv` beside the app is found without being named; any other environment is named with `--python`.

Each worker has a model of its own. Who trains it and then asks it does both in one session, or with one worker.
"""

from collections.abc import Iterator
from typing import TypedDict

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from hatchery import Context, tool

# A pool has a worker for each core, so a worker's linear algebra keeps to one thread. This works whenever NumPy was
# imported; OMP_NUM_THREADS works only before.
threadpool_limits(limits=1)

SIDE = 8  # an image is 8 by 8 pixels
WHITE = 16.0  # from 0, black


class Epoch(TypedDict):
    epoch: int
    loss: float
    accuracy: float


class Samples(TypedDict):
    images: np.ndarray
    labels: np.ndarray


class Digits:
    """One model per worker. It sees three quarters of the data; the last quarter is held out to judge it."""

    def __init__(self) -> None:
        digits = load_digits()
        split = train_test_split(digits.images, digits.target, test_size=0.25, random_state=0, stratify=digits.target)
        self.images, self.held_out_images, self.labels, self.held_out_labels = split
        self.model = MLPClassifier(hidden_layer_sizes=(32,), batch_size=32, random_state=0)
        self.epochs = 0
        self._learn()  # a first pass, so that `predict` works in a worker that is ready

    @tool
    def train(self, epochs: int, *, ctx: Context) -> Iterator[Epoch]:
        """Go over the training data `epochs` times more; stream the loss and the accuracy on held-out images."""
        for done in range(1, epochs + 1):
            if ctx.cancelled:
                return
            self._learn()
            accuracy = self.accuracy()
            ctx.progress(done / epochs, f"epoch {self.epochs}: {accuracy:.1%} right")
            yield {"epoch": self.epochs, "loss": float(self.model.loss_), "accuracy": accuracy}

    @tool
    def predict(self, images: np.ndarray) -> np.ndarray:
        """The digit in each image, for an array of shape (n, 8, 8) with pixels from 0, black, to 16, white."""
        return self.model.predict(features(images))

    @tool
    def accuracy(self) -> float:
        """The share of the held-out images that the model gets right."""
        return float(np.mean(self.predict(self.held_out_images) == self.held_out_labels))

    @tool
    def samples(self, n: int = 10, seed: int = 0) -> Samples:
        """n images that the model has never learned from, chosen by `seed`, and what they show."""
        available = len(self.held_out_labels)
        if not 0 <= n <= available:
            raise ValueError(f"n must be between 0 and {available}, the number of held-out images; it is {n}")
        chosen = np.random.default_rng(seed).choice(available, n, replace=False)
        return {"images": self.held_out_images[chosen], "labels": self.held_out_labels[chosen]}

    def _learn(self) -> None:
        self.model.partial_fit(features(self.images), self.labels, classes=range(10))
        self.epochs += 1


def features(images: np.ndarray) -> np.ndarray:
    """One row of 64 numbers between 0 and 1 for each image."""
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"images must be of shape (n, {SIDE}, {SIDE}); they are of shape {images.shape}")
    return images.reshape(len(images), SIDE * SIDE) / WHITE
