"""The app of W3: an array in, its sum out; and an array out."""

import numpy as np

import hatchery
from hatchery import tool


@tool
def total(array: np.ndarray):
    return float(array.sum())


@tool
def array():
    """Made where it is sent from, as the floor's worker does."""
    array = hatchery.empty(16 << 20, np.float32)
    array.fill(1)
    return array
