"""What a probability is worth once it decides: a threshold, those it selects, and the parts of the Brier score.

Like `metrics.py`: one weight a row, NaN where a figure is not defined.
"""

import math

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import SplitError
from training.evaluation.metrics import ECE_BINS, LIFT_FRACTION, Amounts, Ranking, equal_mass_bins

__all__ = [
    "AT_THRESHOLD",
    "BRIER_PARTS",
    "FURTHER",
    "FURTHER_HIGHER_IS_BETTER",
    "GAINS",
    "NEITHER_IS_BETTER",
    "brier_parts",
    "choose_threshold",
    "confusion_figures",
    "further_metrics",
    "gains_of",
]

FloatArray = NDArray[np.float64]

BRIER_PARTS = ("reliability", "resolution", "uncertainty")
AT_THRESHOLD = ("accuracy", "precision", "recall", "f1", "selection_rate")
GAINS = {"lift_at_5": 0.05, "lift_at_20": 0.2, "gain_at_10": LIFT_FRACTION, "gain_at_20": 0.2}
"""Name → share of the anchors, best-scored first: the lift is the base rate's multiple among them, the gain the share
of all positives that is found there."""

FURTHER = (*BRIER_PARTS, *AT_THRESHOLD, *GAINS)
"""Figures beside `METRICS`, in the order in which they are reported."""

FURTHER_HIGHER_IS_BETTER = frozenset({"resolution", "accuracy", "precision", "recall", "f1", *GAINS})
NEITHER_IS_BETTER = frozenset({"uncertainty", "selection_rate"})


def choose_threshold(label: NDArray[np.int8], probability: FloatArray) -> float:
    """Return the threshold with the highest F1 over `probability` [n] and `label` [n]; at or above it is selected.

    Of equal ones the highest. To be chosen on a validation period, never on the test.

    Raises:
        SplitError: there is no positive label, or no negative one.
    """
    positives = int(np.count_nonzero(label == 1))
    if positives in (0, len(label)):
        raise SplitError(
            f"No threshold can be chosen on {len(label)} anchors with {positives} positives; expected both classes. "
            "Take a longer validation period in intent.toml."
        )
    ranking = Ranking.of(label, probability)
    found = np.searchsorted(ranking.positives, ranking.run_end)
    f1 = 2.0 * found / (ranking.run_end + positives)
    return float(probability[ranking.order[ranking.run_end[int(np.argmax(f1))] - 1]])


def further_metrics(label: NDArray[np.int8], probability: FloatArray, threshold: float = math.nan) -> dict[str, float]:
    """Return every figure of `FURTHER` for `probability` [n] and `label` [n]; NaN at the threshold without one.

    >>> scores, label = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1], np.int8)
    >>> round(further_metrics(label, scores, threshold=0.35)["precision"], 4)
    0.6667
    """
    ranking = Ranking.of(label, probability)
    bins = equal_mass_bins(ranking)
    count, gap, positive = (
        np.bincount(bins, weights=part, minlength=ECE_BINS)
        for part in (np.ones(len(label)), probability - label, label)
    )
    selected = probability >= threshold
    found = brier_parts(count, gap, positive, np.array(((probability - label) ** 2).sum()))
    found |= dict.fromkeys(AT_THRESHOLD, np.array(math.nan))
    if not math.isnan(threshold):
        sums = (len(label), label.sum(dtype=np.int64), selected.sum(), (selected & (label == 1)).sum())
        found |= confusion_figures(*(np.array(part, np.float64) for part in sums))
    shares = ranking.shares(np.ones(len(label), np.int64), tuple(GAINS.values()))
    return {name: float(value) for name, value in (found | gains_of(np.array(shares))).items()}


def brier_parts(count: Amounts, gap: Amounts, positive: Amounts, squares: Amounts) -> dict[str, Amounts]:
    """Return reliability, resolution and uncertainty, with Brier = reliability - resolution + uncertainty exactly.

    `count`, `gap` and `positive` [bins, ...] are sums over the bins: of weight, of probability minus label, of label;
    `squares` [...] is the sum of squared errors. The resolution is the generalised one: what scores tell apart inside
    a bin counts as well, so that the sum is exact.

    Source: Stephenson, Coelho & Jolliffe 2008, "Two extra components in the Brier score decomposition", Weather and
    Forecasting 23, 752-757.
    """
    total = count.sum(axis=0)
    reliability = _ratio(np.divide(gap**2, count, out=np.zeros(gap.shape), where=count > 0).sum(axis=0), total)
    rate = _ratio(positive.sum(axis=0), total)
    uncertainty = rate * (1.0 - rate)
    resolution = reliability + uncertainty - _ratio(squares, total)
    return {"reliability": reliability, "resolution": resolution, "uncertainty": uncertainty}


def confusion_figures(total: Amounts, positive: Amounts, selected: Amounts, found: Amounts) -> dict[str, Amounts]:
    """Return the figures of `AT_THRESHOLD` from weights: of all, of positives, of those selected, and of both at once.

    Precision is NaN where nobody is selected, recall where nobody is positive.
    """
    wrong = positive + selected - 2.0 * found
    return {
        "accuracy": 1.0 - _ratio(wrong, total),
        "precision": _ratio(found, selected),
        "recall": _ratio(found, positive),
        "f1": _ratio(2.0 * found, selected + positive),
        "selection_rate": _ratio(selected, total),
    }


def gains_of(shares: Amounts) -> dict[str, Amounts]:
    """Return lifts and gains from the shares of positives found [len(GAINS), ...], in the order of `GAINS`."""
    return {
        name: found / fraction if name.startswith("lift") else found
        for (name, fraction), found in zip(GAINS.items(), shares, strict=True)
    }


def _ratio(amount: Amounts, total: Amounts) -> Amounts:
    """Return `amount / total`, NaN where there is no weight at all."""
    amount, total = np.asarray(amount, np.float64), np.asarray(total, np.float64)
    return np.divide(amount, total, out=np.full(amount.shape, np.nan), where=total > 0)
