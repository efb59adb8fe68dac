"""The metrics of a probability, weighted, with ties handled exactly as scikit-learn handles them.

Every metric takes one weight a row. A bootstrap over customers is then a reweighting: each row weighs as often as
its customer was drawn. The scores are sorted once (`Ranking`); a new set of weights costs one gather and two
cumulative sums.

Sums are NumPy's own, never a product of BLAS: on a busy machine its threads cost more than the sums, and the last
digit would depend on how many there are.

A metric that is not defined for its input (one class only, no weight at all) is NaN, never an error: a slice or
a resample may be like that.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ECE_BINS",
    "HIGHER_IS_BETTER",
    "LIFT_FRACTION",
    "METRICS",
    "RANK_METRICS",
    "Ranking",
    "equal_mass_bins",
    "expected_calibration_error",
    "log_losses",
    "probability_metrics",
    "rank_metrics",
    "weighted_ratio",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Amounts = NDArray[Any]  # integers (summed exactly) or floats

RANK_METRICS = ("roc_auc", "pr_auc", "lift_at_10")
"""Those that see only the order of the scores, in the order `rank_metrics` returns them."""

METRICS = ("roc_auc", "pr_auc", "log_loss", "brier", "ece", "lift_at_10")
"""All of them, in the order they are reported."""

HIGHER_IS_BETTER = frozenset(RANK_METRICS)

ECE_BINS = 15
LIFT_FRACTION = 0.1


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows sorted by falling score, with the boundaries of tied scores; made once, used under any weights.

    `order` [n] lists the rows, best first; `positives` [m] are the places of the positive rows in that order.
    For each run of tied scores that holds a positive, `start` and `end` bound it among all rows and
    `positive_start` and `positive_end` among the positives. `run_end` bounds every run, with or without one.
    """

    order: IntArray
    positives: IntArray
    start: IntArray
    end: IntArray
    positive_start: IntArray
    positive_end: IntArray
    run_end: IntArray

    @classmethod
    def of(cls, label: NDArray[np.int8], score: FloatArray) -> "Ranking":
        """Sort `score` [n] and find its ties; `label` [n] is 0 or 1."""
        order = np.argsort(-score, kind="stable")
        sorted_score = score[order]
        last = np.append(sorted_score[1:] != sorted_score[:-1], True) if len(score) else np.zeros(0, bool)
        run_end = np.flatnonzero(last) + 1
        positives = np.flatnonzero(label[order] == 1)
        run_start = np.concatenate(([0], run_end))[:-1]
        positive_end = np.searchsorted(positives, run_end)
        positive_start = np.searchsorted(positives, run_start)
        holds = positive_end > positive_start
        return cls(
            order=order,
            positives=positives,
            start=run_start[holds],
            end=run_end[holds],
            positive_start=positive_start[holds],
            positive_end=positive_end[holds],
            run_end=run_end,
        )

    def shares(self, weight: Amounts, fractions: tuple[float, ...]) -> tuple[float, ...]:
        """Return the share of the positives among the best-scored `fractions` of `weight` [n], in ranked order.

        NaN where no positive has weight.
        """
        above, found = _cumulative(weight), _cumulative(weight[self.positives])
        if found[-1] <= 0:
            return tuple(float("nan") for _ in fractions)
        return tuple(_share_found(self, above, found, fraction) for fraction in fractions)


def rank_metrics(ranking: Ranking, weight: Amounts) -> tuple[float, float, float]:
    """Return ROC-AUC, average precision and the lift at 10 % under `weight` [n], given in ranked order.

    Integer weights are summed exactly. ROC-AUC counts a tie as a half. Average precision takes one threshold
    for each distinct score, as scikit-learn does. The lift is the base rate's multiple among the tenth of the
    weight with the highest scores; a run of ties cut by that limit counts in proportion, so that the order of
    equal scores never matters.

    Source: Fawcett 2006, https://doi.org/10.1016/j.patrec.2005.10.010, for the area under ties.
    """
    above = _cumulative(weight)
    found = _cumulative(weight[ranking.positives])
    everything, positive = above[-1], found[-1]
    if positive <= 0:
        return float("nan"), float("nan"), float("nan")
    found_end, above_end = found[ranking.positive_end], above[ranking.end]
    found_start = found[ranking.positive_start]
    gained = found_end - found_start
    precision = np.divide(found_end, above_end, out=np.zeros(len(gained)), where=above_end > 0)
    average_precision = float((gained * precision).sum()) / float(positive)
    lift = _lift(ranking, above, found)
    negative = everything - positive
    if negative <= 0:
        return float("nan"), average_precision, lift
    negatives_before = above[ranking.start] - found_start
    negatives_until = above_end - found_end
    lost = (gained * (negatives_before + negatives_until)).sum()
    return 1.0 - float(lost) / (2.0 * float(positive) * float(negative)), average_precision, lift


def _cumulative(weight: Amounts) -> Amounts:
    """Return the sums of the first 0, 1, … n weights: int64 for integers, else float64."""
    kind = np.int64 if weight.dtype.kind in "iub" else np.float64
    sums = np.empty(len(weight) + 1, dtype=kind)
    sums[0] = 0
    np.cumsum(weight, out=sums[1:], dtype=kind)
    return sums


def _lift(ranking: Ranking, above: Amounts, found: Amounts) -> float:
    return _share_found(ranking, above, found, LIFT_FRACTION) / LIFT_FRACTION


def _share_found(ranking: Ranking, above: Amounts, found: Amounts, fraction: float) -> float:
    """Return the share of the positives among the best-scored `fraction` of the weight; cut ties in proportion."""
    limit = fraction * float(above[-1])
    whole = above.dtype.kind == "i"  # a fraction among integers would make NumPy convert all of them
    place = int(np.searchsorted(above[1:], math.ceil(limit) if whole else limit))
    run = min(int(np.searchsorted(ranking.run_end, place, side="right")), len(ranking.run_end) - 1)
    start = int(ranking.run_end[run - 1]) if run else 0
    end = int(ranking.run_end[run])
    positives_before, positives_until = np.searchsorted(ranking.positives, [start, end])
    inside = float(above[end] - above[start])
    share = (limit - float(above[start])) / inside if inside > 0 else 0.0
    taken = float(found[positives_before]) + share * float(found[positives_until] - found[positives_before])
    return taken / float(found[-1])


def log_losses(label: NDArray[np.int8], probability: FloatArray) -> FloatArray:
    """Return each row's log loss in nats, float64 [n]; 0 and 1 are clipped by the machine's epsilon."""
    tiny = np.finfo(np.float64).eps
    clipped = np.clip(probability, tiny, 1.0 - tiny)
    losses: FloatArray = -np.log(np.where(label == 1, clipped, 1.0 - clipped))
    return losses


def equal_mass_bins(ranking: Ranking, weight: Amounts | None = None, bins: int = ECE_BINS) -> IntArray:
    """Return each row's bin, int64 [n], 0 for the lowest scores: `bins` bins of equal weight.

    A run of tied scores goes whole into the bin of its middle, so the bins depend on neither the rows' order nor
    how ties were broken; a run heavier than a bin leaves its neighbours empty.
    """
    count = len(ranking.order)
    above = _cumulative(np.ones(count, np.int64) if weight is None else weight[ranking.order])
    ends = above[ranking.run_end].astype(np.float64)
    middle = (np.concatenate(([0.0], ends))[:-1] + ends) / 2.0
    total = max(float(above[-1]), np.finfo(np.float64).tiny)
    of_run = np.clip(np.floor(bins * (1.0 - middle / total)), 0, bins - 1).astype(np.int64)
    length = np.diff(np.concatenate(([0], ranking.run_end)))
    result = np.empty(count, dtype=np.int64)
    result[ranking.order] = np.repeat(of_run, length)
    return result


def expected_calibration_error(
    label: NDArray[np.int8], probability: FloatArray, bin_of: IntArray, weight: FloatArray
) -> float:
    """Return the mean over `bin_of` [n] of |mean probability - share of positives|, weighted by the bins' mass."""
    gaps = np.bincount(bin_of, weights=weight * (probability - label))
    return weighted_ratio(float(np.abs(gaps).sum()), float(weight.sum()))


def probability_metrics(
    label: NDArray[np.int8], probability: FloatArray, weight: Amounts | None = None
) -> dict[str, float]:
    """Return every metric of `METRICS` for `probability` [n] against `label` [n] under `weight` [n] (default 1).

    NaN where a metric is not defined.

    >>> scores = np.array([0.1, 0.4, 0.35, 0.8])
    >>> round(probability_metrics(np.array([0, 0, 1, 1], np.int8), scores)["roc_auc"], 4)
    0.75
    """
    ranking = Ranking.of(label, probability)
    given = np.ones(len(label), np.int64) if weight is None else weight
    mass = given.astype(np.float64)
    ranked = dict(zip(RANK_METRICS, rank_metrics(ranking, given[ranking.order]), strict=True))
    total = float(mass.sum())
    smooth = {
        "log_loss": weighted_ratio(float((mass * log_losses(label, probability)).sum()), total),
        "brier": weighted_ratio(float((mass * (probability - label) ** 2).sum()), total),
        "ece": expected_calibration_error(label, probability, equal_mass_bins(ranking, given), mass),
    }
    both = ranked | smooth
    return {name: both[name] for name in METRICS}


def weighted_ratio(amount: float, total: float) -> float:
    """Return `amount / total`, or NaN when there is no weight at all."""
    return amount / total if total > 0 else float("nan")
