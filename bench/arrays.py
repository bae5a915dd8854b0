"""The app of W3: an array in, its sum out; and an array out."""

import numpy as np

from hatchery import tool

ARRAY = np.ones(16 << 20, np.float32)


@tool
def total(array: np.ndarray):
    return float(array.sum())


@tool
def array():
    return ARRAY
