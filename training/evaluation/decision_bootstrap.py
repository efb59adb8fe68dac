"""Intervals of the further figures, over the same draws of customers as `bootstrap.py` makes with the same seed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.evaluation.bootstrap import Interval, draw_counts, percentiles
from training.evaluation.decisions import (
    AT_THRESHOLD,
    FURTHER,
    GAINS,
    brier_parts,
    confusion_figures,
    further_metrics,
    gains_of,
)
from training.evaluation.metrics import ECE_BINS, Ranking, equal_mass_bins

__all__ = ["Figure", "further_draws", "further_figures"]

FloatArray = NDArray[np.float64]
_FRACTIONS = tuple(GAINS.values())
_SQUARES, _SELECTED, _FOUND, _BINS = range(4)  # rows of the sums


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % interval; NaN where it is not defined."""

    value: float
    interval: Interval


def further_figures(
    label: NDArray[np.int8],
    probability: Mapping[str, FloatArray],
    customer: NDArray[np.int64],
    thresholds: Mapping[str, float],
    *,
    draws: int,
    seed: int,
) -> dict[str, dict[str, Figure]]:
    """Return each member's figures of `FURTHER` with intervals; arguments as those of `bootstrap.resample`.

    `thresholds`: member → its threshold; without one its figures at the threshold are NaN.
    """
    drawn = further_draws(label, probability, customer, thresholds, draws=draws, seed=seed)
    found = {}
    for name, p in probability.items():
        values = further_metrics(label, p, thresholds.get(name, math.nan))
        found[name] = {
            metric: Figure(values[metric], percentiles(drawn[name][:, place], 0.95))
            for place, metric in enumerate(FURTHER)
        }
    return found


def further_draws(
    label: NDArray[np.int8],
    probability: Mapping[str, FloatArray],
    customer: NDArray[np.int64],
    thresholds: Mapping[str, float],
    *,
    draws: int,
    seed: int,
) -> dict[str, FloatArray]:
    """Return each member's figures in every draw, float64 [draws, len(FURTHER)]; arguments as `further_figures`."""
    customers = int(customer.max()) + 1
    told = {name: thresholds.get(name, math.nan) for name in probability}
    members = {name: _Member.of(label, p, customer, customers, told[name]) for name, p in probability.items()}
    drawn: dict[str, list[FloatArray]] = {name: [] for name in probability}
    for counts in draw_counts(customers, draws, seed):
        times = np.ascontiguousarray(counts.T, dtype=np.float64)
        for name, member in members.items():
            drawn[name].append(member.figures(counts, times))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


@dataclass(frozen=True, eq=False)
class _Member:
    """Prepared once. `sums`, sparse [3 + 3 bins, customers], holds each customer's squared errors, selected rows, and
    selected positives, then for each bin rows, probability minus label, and positives.
    """

    ranking: Ranking
    customer: NDArray[np.int32]
    sums: sparse.csr_array
    decides: bool

    @classmethod
    def of(
        cls, label: NDArray[np.int8], p: FloatArray, customer: NDArray[np.int64], customers: int, threshold: float
    ) -> "_Member":
        ranking, n = Ranking.of(label, p), len(label)
        one, gap, selected = np.ones(n), p - label, (p >= threshold).astype(np.float64)
        bins = equal_mass_bins(ranking)
        parts: list[tuple[Any, Any]] = [
            (np.full(n, place), value) for place, value in enumerate((gap**2, selected, selected * label))
        ]
        parts += [(_BINS + place * ECE_BINS + bins, value) for place, value in enumerate((one, gap, label))]
        rows, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        sums = sparse.csr_array(
            (values.astype(np.float64), (rows, np.tile(customer, len(parts)))), shape=(_BINS + 3 * ECE_BINS, customers)
        )
        sums.eliminate_zeros()
        return cls(ranking, customer[ranking.order].astype(np.int32), sums, not math.isnan(threshold))

    def figures(self, counts: NDArray[np.int32], times: FloatArray) -> FloatArray:
        """Return float64 [draws, len(FURTHER)] for a block of draws."""
        sums = self.sums @ times
        count, gap, positive = np.split(sums[_BINS:], 3)
        found = brier_parts(count, gap, positive, sums[_SQUARES])
        if self.decides:
            found |= confusion_figures(count.sum(axis=0), positive.sum(axis=0), sums[_SELECTED], sums[_FOUND])
        else:
            found |= dict.fromkeys(AT_THRESHOLD, np.full(len(counts), np.nan))
        shares = [self.ranking.shares(drawn[self.customer], _FRACTIONS) for drawn in counts]
        found |= gains_of(np.array(shares).T)
        return np.stack([found[name] for name in FURTHER], axis=1)
