"""Both classes weigh the same in training: what that does to probabilities, and the exact way back.

A loss that counts class 1 `a` times and class 0 `b` times is least at log-odds that are higher by ln(a / b), whatever
the features: the odds p / (1 - p) are multiplied by a / b. Taking ln(a / b) off again is therefore exact.

Source: Elkan 2001, "The foundations of cost-sensitive learning", theorem 2; Saerens, Latinne & Decaestecker 2002.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EQUAL", "class_weights", "correct_prior_shift", "prior_shift"]

EQUAL = (1.0, 1.0)
"""The weights of class 0 and class 1 where a row counts as a row."""


def class_weights(label: NDArray[Any]) -> tuple[float, float]:
    """Return the weights of class 0 and class 1 that make both count the same; over all rows their mean is 1."""
    ones = int(np.count_nonzero(label))
    return len(label) / (2 * (len(label) - ones)), len(label) / (2 * ones)


def correct_prior_shift(margin: Any, weights: tuple[float, float]) -> Any:
    """Return log-odds of the population from log-odds fitted with class weights; any shape.

    >>> round(float(correct_prior_shift(0.0, (0.625, 2.5))), 6)
    -1.386294
    """
    return margin - prior_shift(weights)


def prior_shift(weights: tuple[float, float]) -> float:
    """Return by how much log-odds are higher that were fitted with these weights of class 0 and class 1."""
    return float(np.log(weights[1] / weights[0]))
