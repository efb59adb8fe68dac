"""How likely chance alone makes a feature agree with the labels of its own rows, whatever scale the feature is on.

Given an honest feature, the labels of rows with the same value are independent draws: their numbers of positives vary
by at least what a binomial does. A target encoding fitted on these very rows takes that away, and no rescaling brings
it back, for only the order of the values and which rows share one are looked at:

* `smoothness`: neighbouring values hold fewer differences than chance makes, for each group's rate, noise and all, is
  what put it where it is. Tells where groups are large enough to have a value each.
* `whole_groups`: where groups are small, those with the same rows and positives, such as one of three, share a value.
  Its counts are then multiples: 120 rows, of which exactly 40 bought. By chance, counts have large common divisors
  only sometimes. A value of whose rows all are of the rarer label counts as well.

Each returns an upper bound of the probability that rows drawn independently agree at least so well (exact for
`smoothness` given the sum of each pair; for `whole_groups` with each value's own rate put in for the true one).
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

__all__ = ["smoothness", "whole_groups"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Part = tuple[float, tuple[float, ...]]
"""-log of a part's p-value, and the logarithm of the mean of p ** -power for each of `_POWERS` under chance."""

_POWERS = np.linspace(0.05, 0.95, 19)
_FEWEST_ROWS, _FEWEST_ALIKE, _MOST_ROWS = 10, 30, 10_000
_MOST_PARTS = 2_000
"""More pairs, or more values, take long and are not needed to be sure."""

_REACH = 8
"""Numbers so many standard deviations from the expected one do not happen."""
_SURE = 0.95
"""No honest value makes the rarer label surer than that."""


def smoothness(values: Floats, label: NDArray[np.int8]) -> float:
    """Return the chance that the rates of neighbouring values are so close; values with few rows are pooled in order.

    Args:
        values: shape (n,), without NaN.
        label: 0 or 1, shape (n,).
    """
    rows, positives = _pooled(*_by_value(values, label))
    pairs = len(rows) // 2 * 2
    first, both = rows[:pairs:2], rows[:pairs:2] + rows[1:pairs:2]
    bought, found = positives[:pairs:2] + positives[1:pairs:2], positives[:pairs:2]
    variance = first / both * (both - first) * (bought / both) * (1 - bought / both) * both / np.maximum(both - 1, 1)
    told = variance >= 1.0
    numbers = zip(both[told], bought[told], first[told], found[told], strict=True)
    return _joint(_closeness(*map(int, four)) for four in numbers)


def whole_groups(values: Floats, label: NDArray[np.int8]) -> float:
    """Return the chance that the counts of the values, of 10 to 10,000 rows, are so often multiples of one number.

    Args:
        values: shape (n,), without NaN.
        label: 0 or 1, shape (n,).
    """
    rarer = label if 2 * int(np.sum(label, dtype=np.int64)) <= len(label) else 1 - label
    rows, positives = _by_value(values, rarer)
    told = (rows >= _FEWEST_ROWS) & (rows <= _MOST_ROWS) & (positives > 0)
    told &= (positives < rows) | (rows >= _FEWEST_ALIKE)
    most = np.argsort(-rows[told], kind="stable")[:_MOST_PARTS]
    return _joint(_divisor(int(n), int(k)) for n, k in zip(rows[told][most], positives[told][most], strict=True))


def _by_value(values: Floats, label: NDArray[Any]) -> tuple[Counts, Counts]:
    """Return rows and positives of each value, in the order of the values."""
    _, place, rows = np.unique(values, return_inverse=True, return_counts=True)
    return rows.astype(np.int64), np.bincount(place, label, len(rows)).astype(np.int64)


def _pooled(rows: Counts, positives: Counts) -> tuple[Counts, Counts]:
    """Join neighbours until each pool has enough rows; what is left over at the end is dropped."""
    fewest = max(_FEWEST_ROWS, int(rows.sum()) // (2 * _MOST_PARTS))
    ends, since = [], 0
    for place, reached in enumerate(np.cumsum(rows).tolist()):
        if reached - since >= fewest:
            ends.append(place)
            since = reached
    sums = [np.diff(np.cumsum(counts)[ends], prepend=0).astype(np.int64) for counts in (rows, positives)]
    return sums[0], sums[1]


@lru_cache(maxsize=65_536)
def _closeness(both: int, bought: int, first: int, found: int) -> Part:
    """Score how near the first of a pair is to its share of the positives, all ways to share them being as likely."""
    rest, others = both - first, both - bought
    expected = bought * first / both
    reach = _REACH * math.sqrt(expected * rest / both * others / (both - 1)) + abs(found - expected) + 1
    low, high = max(0, bought - rest, int(expected - reach)), min(bought, first, int(expected + reach) + 1)
    ways = np.arange(low, high + 1)
    chance = np.exp(_choices(first, ways) + _choices(rest, bought - ways) - _choices(both, np.array([bought])))
    return _scored(chance, -np.abs(ways * both - bought * first), -abs(found * both - bought * first))


@lru_cache(maxsize=65_536)
def _divisor(rows: int, positives: int) -> Part:
    """Score the largest common divisor of a value's rows and positives among those of all numbers of positives."""
    rate = min(positives / rows, _SURE)
    reach = _REACH * math.sqrt(rows * rate * (1 - rate)) + 1
    last = rows if rows >= _FEWEST_ALIKE else rows - 1
    high = min(last, max(positives, int(rows * rate + reach)))
    numbers = np.arange(max(1, int(rows * rate - reach)), high + 1)
    chance = np.exp(_choices(rows, numbers) + numbers * math.log(rate) + (rows - numbers) * math.log1p(-rate))
    return _scored(chance, np.gcd(numbers, rows), math.gcd(positives, rows))


def _choices(rows: int, taken: Counts) -> Floats:
    """Return the logarithm of the number of ways to take so many of `rows`."""
    return np.asarray(gammaln(rows + 1) - gammaln(taken + 1) - gammaln(rows - taken + 1))


def _scored(chance: Floats, suspicion: Counts, observed: int) -> Part:
    """Return the part of one observation among outcomes with a `chance` (any scale) and a `suspicion` each."""
    levels, place = np.unique(suspicion, return_inverse=True)
    share = np.bincount(place, chance / chance.sum())
    tail = np.maximum(np.cumsum(share[::-1])[::-1], 1e-300)  # at least so suspicious
    moments = np.log(np.maximum((share * tail ** -_POWERS[:, None]).sum(axis=1), 1e-300))
    return float(-np.log(tail[np.searchsorted(levels, observed)])), tuple(moments.tolist())


def _joint(parts: Iterable[Part]) -> float:
    """Return Chernoff's bound on the chance that the product of the parts' p-values is so small."""
    score, moments = 0.0, np.zeros(len(_POWERS))
    for own, means in parts:
        score += own
        moments += means
    return float(np.exp(min(0.0, float((moments - _POWERS * score).min()))))
