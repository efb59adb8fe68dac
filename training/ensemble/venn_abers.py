"""What the rate of buyers may be behind a probability: Venn-Abers intervals over the dates of forward predictions.

On one past date, isotonic regression of the labels on the ensemble's probabilities, once with the new row taken as 0
and once as 1, gives two rates between which the right one lies as far as that date can say. Dates differ in their level
of demand, and no model knows the next one's: the interval reaches from the lowest rate of any date to the highest.

It is about a rate, not about a single label. If the next date is one more draw of dates like those seen, its rate lies
within the range of D others with a chance of (D - 1) / (D + 1) or more: what a date cannot say makes its two rates, and
with them the interval, wider.

Source: Vovk & Petej 2014, "Venn-Abers predictors"; Vovk, Petej & Fedorova 2015, "Large-scale probabilistic predictors
with and without guarantees of validity" (one predictor a fold).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from training.ensemble.combine import Interval

__all__ = ["BINS", "fit_interval", "interval_coverage", "says_something", "venn_abers"]

Floats = NDArray[np.float64]
POINTS = 101
"""Where the interval is written down, at quantiles of the probabilities; between them it is linear."""
BINS = 10
_LEAST = 30  # rows and of each label: a date with fewer says nothing about rates


def venn_abers(probability: Floats, label: NDArray[Any], at: Floats) -> tuple[Floats, Floats]:
    """Return p0 and p1 at the probabilities `at`, each of shape (len(at),), from one date's predictions and labels.

    p0 is the isotonic rate at a new row with label 0, p1 with label 1; p0 <= p1.
    """
    order = np.argsort(probability, kind="stable")
    scores, labels = probability[order], np.asarray(label, np.float64)[order]
    values, first, count = np.unique(scores, return_index=True, return_counts=True)
    means = np.add.reduceat(labels, first) / count
    found = [[_rate_with(values, means, count, point, new) for point in at] for new in (0.0, 1.0)]
    return np.asarray(found[0]), np.asarray(found[1])


def fit_interval(probability: Floats, label: NDArray[Any], anchor_us: NDArray[np.int64]) -> Interval | None:
    """Return the hull over dates as numbers; None if no date has enough of both labels.

    Args:
        probability: the ensemble's forward predictions, shape (n,).
        label: 0 or 1, shape (n,).
        anchor_us: date of each, int64 microseconds, shape (n,).
    """
    at = np.unique(np.quantile(probability, np.linspace(0, 1, POINTS)))
    dates = [anchor_us == date for date in np.unique(anchor_us) if says_something(label[anchor_us == date])]
    return _hull(at, [venn_abers(probability[rows], label[rows], at) for rows in dates]) if dates else None


def says_something(label: NDArray[Any]) -> bool:
    """Whether a date with these labels has enough of both to say something about rates."""
    ones = int(np.count_nonzero(label))
    return min(ones, len(label) - ones) >= _LEAST


def _hull(at: Floats, bands: list[tuple[Floats, Floats]]) -> Interval:
    low, high = (np.array(side) for side in zip(*bands, strict=True))
    return Interval(tuple(at.tolist()), tuple(low.min(axis=0).tolist()), tuple(high.max(axis=0).tolist()), len(bands))


def interval_coverage(
    probability: Floats, label: NDArray[Any], low: Floats, high: Floats, anchor_us: NDArray[np.int64], bins: int = BINS
) -> float:
    """Return the share of rows whose group's rate of buyers lies in the group's mean interval.

    A group is one date's rows of one of `bins` classes of probability, equally large. All arrays of shape (n,).
    """
    covered = 0
    for date in np.unique(anchor_us):
        rows = np.flatnonzero(anchor_us == date)
        rows = rows[np.argsort(probability[rows], kind="stable")]
        for group in np.array_split(rows, min(bins, len(rows))):
            inside = low[group].mean() <= label[group].mean() <= high[group].mean()
            covered += len(group) if inside else 0
    return covered / len(label)


def _rate_with(values: Floats, means: Floats, count: NDArray[np.int64], point: float, new: float) -> float:
    """Return the isotonic rate at `point` after a row with label `new` was added there."""
    place = int(np.searchsorted(values, point))
    weight = count.astype(np.float64)
    if place < len(values) and values[place] == point:
        means = means.copy()
        means[place] = (means[place] * weight[place] + new) / (weight[place] + 1)
        weight[place] += 1
    else:
        means, weight = np.insert(means, place, new), np.insert(weight, place, 1.0)
    return float(isotonic_regression(means, sample_weight=weight)[place])
