"""The confidence threshold that reaches a target precision on held-out images."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dropsort.contract.defaults import PRECISION
from training.evaluation.scores import Flags, FloatArray


class Threshold(NamedTuple):
    """A confidence from which on the target precision was met, and the share of images at or above it."""

    value: float
    precision: float
    coverage: float
    met: bool


def choose_threshold(
    confidence: FloatArray, correct: Flags, precision: float = PRECISION, chance: float = 0.0
) -> Threshold:
    """The lowest threshold whose images reach the target precision.

    Not met by any threshold, it is the one of the best precision (the largest coverage among equals), and `met` is
    False. The value is a short number about half-way to the next lower confidence, so that it does not depend on the last digit
    of one image; below the lowest there is `chance`, the confidence of a guess. It is always above that next lower confidence
    and never above the lowest one that it includes: stored and compared as it is, it separates exactly these images.
    """
    confidence = np.asarray(confidence, np.float64)  # the service compares 64-bit numbers
    if not len(confidence):
        return Threshold(1.0, math.nan, 0.0, False)
    order = np.argsort(-confidence)
    values, right = confidence[order], np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    last = np.append(values[1:] != values[:-1], True)
    met = last & (right >= precision)
    good = np.flatnonzero(met if met.any() else last & (right == right[last].max()))[-1]
    below = float(values[good + 1]) if good + 1 < len(values) else min(chance, float(values[good]))
    value = _between(below, float(values[good]))
    return Threshold(value, float(right[good]), float((good + 1) / len(values)), bool(met.any()))


def _between(below: float, above: float) -> float:
    """The middle cut to the fewest decimals, four or more, that leave it above `below`; `above` where none do."""
    middle = (below + above) / 2
    for digits in range(4, 18):
        value: float = math.floor(middle * 10**digits) / 10**digits
        if below < value <= above:
            return value
    return above
