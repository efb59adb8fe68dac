"""The curves of the report: thinned to what a plot can show, never smoothed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import ECE_BINS, Ranking, equal_mass_bins
from training.evaluation.predictions import Predictions

__all__ = [
    "PLOT_POINTS",
    "Curve",
    "MemberCurves",
    "Reliability",
    "ScoreHistogram",
    "curves_of",
    "member_curves",
    "thinned",
]

PLOT_POINTS = 240
HISTOGRAM_BINS = 40
NORMAL_95 = 1.959963984540054

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of a curve, `x` and `y` float64 [k], both within [0, 1]; empty where it is not defined."""

    x: FloatArray
    y: FloatArray


@dataclass(frozen=True, eq=False)
class Reliability:
    """Equal-mass bins, lowest scores first, empty ones left out; all float64 [bins] but `count` int64.

    `predicted` is the mean probability, `observed` the share of positives, `low` and `high` its 95 % Wilson interval,
    which takes the rows as independent and is therefore a little narrow.
    """

    predicted: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray
    count: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """Rows by score: `edges` float64 [bins + 1]; `negatives` and `positives` int64 [bins] count each class."""

    edges: FloatArray
    negatives: NDArray[np.int64]
    positives: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MemberCurves:
    """One member's curves. ROC: false against true positive rate. PR: recall against precision.

    Gain: share of anchors contacted, best first, against share of positives reached.
    """

    roc: Curve
    pr: Curve
    gain: Curve
    reliability: Reliability
    histogram: ScoreHistogram


def curves_of(predictions: Predictions) -> dict[str, MemberCurves]:
    """Return the curves of every member of `predictions`, in its order."""
    return {name: member_curves(predictions.label, predictions.probability[name]) for name in predictions.members}


def member_curves(label: NDArray[np.int8], probability: FloatArray) -> MemberCurves:
    """Return the curves of `probability` [n] against `label` [n]; a run of tied scores is one step."""
    ranking = Ranking.of(label, probability)
    found = np.searchsorted(ranking.positives, ranking.run_end).astype(np.float64)
    contacted = ranking.run_end.astype(np.float64)
    positives, rows = float(len(ranking.positives)), float(len(label))
    zero = np.zeros(1)
    recall = _share(np.concatenate((zero, found)), positives)
    false_alarms = _share(np.concatenate((zero, contacted - found)), rows - positives)
    precision = found / contacted
    return MemberCurves(
        roc=thinned(false_alarms, recall),
        pr=thinned(recall, np.concatenate((precision[:1], precision))),
        gain=thinned(_share(np.concatenate((zero, contacted)), rows), recall),
        reliability=_reliability(label, probability, equal_mass_bins(ranking)),
        histogram=_histogram(label, probability),
    )


def thinned(x: FloatArray, y: FloatArray, points: int = PLOT_POINTS) -> Curve:
    """Return at most `points` of the given points, spread evenly along the curve, both ends kept.

    Points that are not finite are left out.
    """
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) > points:
        along = np.concatenate((np.zeros(1), np.cumsum(np.hypot(np.diff(x), np.diff(y)))))
        kept = np.searchsorted(along, np.linspace(0.0, along[-1], points)).clip(0, len(x) - 1)
        kept = np.unique(np.concatenate((kept, [0, len(x) - 1])))
        x, y = x[kept], y[kept]
    return Curve(x, y)


def _share(amount: FloatArray, total: float) -> FloatArray:
    """Return `amount / total`, NaN where the total is nothing."""
    return amount / total if total > 0 else np.full(len(amount), np.nan)


def _reliability(label: NDArray[np.int8], probability: FloatArray, bin_of: NDArray[np.int64]) -> Reliability:
    count = np.bincount(bin_of, minlength=ECE_BINS)
    used = count > 0
    mass = count[used].astype(np.float64)
    predicted = np.bincount(bin_of, weights=probability, minlength=ECE_BINS)[used] / mass
    observed = np.bincount(bin_of, weights=label.astype(np.float64), minlength=ECE_BINS)[used] / mass
    middle = (observed + NORMAL_95**2 / (2.0 * mass)) / (1.0 + NORMAL_95**2 / mass)
    spread = np.sqrt(observed * (1.0 - observed) / mass + NORMAL_95**2 / (4.0 * mass**2))
    half = NORMAL_95 * spread / (1.0 + NORMAL_95**2 / mass)
    low, high = np.clip(middle - half, 0.0, 1.0), np.clip(middle + half, 0.0, 1.0)
    return Reliability(predicted, observed, low, high, count[used])


def _histogram(label: NDArray[np.int8], probability: FloatArray) -> ScoreHistogram:
    highest = float(probability.max()) if len(probability) else 1.0
    edges = np.linspace(0.0, min(1.0, np.ceil(max(highest, 0.05) * 20.0) / 20.0), HISTOGRAM_BINS + 1)
    counts: Mapping[int, NDArray[np.int64]] = {
        value: np.histogram(probability[label == value], bins=edges)[0].astype(np.int64) for value in (0, 1)
    }
    return ScoreHistogram(edges, counts[0], counts[1])
