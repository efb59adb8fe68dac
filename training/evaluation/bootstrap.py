"""Intervals by resampling customers: a customer's anchors are not independent, so customers are drawn, not rows.

Each draw takes as many customers as there are, with replacement, and a row weighs as often as its customer was
drawn. All members see the same draws, so a difference between two of them is paired. Scores are sorted once per
member; log loss, Brier and the bins of the calibration error are sums over customers, so a whole block of draws is
one product with a sparse matrix (SciPy's, which starts no threads: it is fast on a busy machine too, and its last
digit is the same on every one).

The bins of the calibration error are those of the original sample, by rank, in every draw: the question is how
sure we are of these bins' gaps. Resampling adds noise to every gap, so the interval of a small calibration error
lies a little high, and may lie wholly above the estimate of a member that is nearly perfectly calibrated.

Source: percentile intervals, Efron and Tibshirani 1993, chapter 13; resampling clusters, Field and Welsh 2007,
https://doi.org/10.1111/j.1467-9868.2007.00593.x
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from feature_repo.errors import InputError
from training.evaluation.ceiling import REACHED
from training.evaluation.decisions import FURTHER_HIGHER_IS_BETTER, NEITHER_IS_BETTER
from training.evaluation.metrics import (
    ECE_BINS,
    HIGHER_IS_BETTER,
    METRICS,
    RANK_METRICS,
    Ranking,
    equal_mass_bins,
    log_losses,
    rank_metrics,
)

__all__ = ["AHEAD", "BEHIND", "INSIDE", "Difference", "Interval", "Resamples", "draw_counts", "percentiles", "resample"]

AHEAD, BEHIND, INSIDE = "ahead", "behind", "inside the noise"
HIGHER, LOWER = "higher", "lower"
BETTER_HIGH = HIGHER_IS_BETTER | FURTHER_HIGHER_IS_BETTER | {REACHED}

FloatArray = NDArray[np.float64]

BLOCK = 64  # draws at a time: counts of 30,000 customers then take 15 MB
MIN_DEFINED = 0.9  # share of draws that must define a metric before its interval is told


@dataclass(frozen=True, slots=True)
class Interval:
    """A percentile interval; both ends are NaN when too few draws define the metric."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """`first - second` of one metric over the same draws: the estimate, its interval, and what it allows to say."""

    metric: str
    estimate: float
    interval: Interval

    @property
    def verdict(self) -> str:
        """`ahead` or `behind` only when the whole interval is on that side of zero, else `inside the noise`.

        What is neither better high nor low, such as the share that is selected, is `higher` or `lower` instead.
        """
        if self.metric in NEITHER_IS_BETTER:
            return HIGHER if self.interval.low > 0.0 else LOWER if self.interval.high < 0.0 else INSIDE
        sign = 1.0 if self.metric in BETTER_HIGH else -1.0
        ends = sorted((sign * self.interval.low, sign * self.interval.high))
        if ends[0] > 0.0:
            return AHEAD
        return BEHIND if ends[1] < 0.0 else INSIDE

    def reversed(self) -> "Difference":
        """Return `second - first`."""
        return Difference(self.metric, -self.estimate, Interval(-self.interval.high, -self.interval.low))


@dataclass(frozen=True, eq=False)
class Resamples:
    """Each member's metrics in every draw: `draws[member]` is float64 [draws, len(METRICS)], NaN if undefined."""

    draws: Mapping[str, FloatArray]
    level: float = 0.95

    def values(self, member: str, metric: str) -> FloatArray:
        """Return the metric of `member` in each draw, float64 [draws]."""
        return self.draws[member][:, METRICS.index(metric)]

    def interval(self, member: str, metric: str) -> Interval:
        """Return the percentile interval of one metric."""
        return percentiles(self.values(member, metric), self.level)

    def difference(self, first: str, second: str, metric: str, estimate: float) -> Difference:
        """Return the paired difference `first - second`; `estimate` is that of the original sample."""
        paired = self.values(first, metric) - self.values(second, metric)
        return Difference(metric, estimate, percentiles(paired, self.level))


def resample(
    label: NDArray[np.int8],
    probability: Mapping[str, FloatArray],
    customer: NDArray[np.int64],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Resamples:
    """Return every metric of every member under `draws` resamples of the customers.

    `label` int8 [n] is 0 or 1; `probability` holds float64 [n] for each member; `customer` int64 [n] numbers the
    customers from 0. The same seed gives the same draws, whatever the members.

    Raises InputError when `draws` is below 1 or there is no row.
    """
    if draws < 1 or len(label) == 0:
        raise InputError(f"Nothing to resample: got {draws} draws of {len(label)} rows; expected at least 1 of each.")
    customers = int(customer.max()) + 1
    prepared = {name: _Member.of(label, scores, customer, customers) for name, scores in probability.items()}
    results = {name: np.empty((draws, len(METRICS))) for name in probability}
    done = 0
    for counts in draw_counts(customers, draws, seed):
        part = slice(done, done + len(counts))
        times = np.ascontiguousarray(counts.T, dtype=np.float64)
        for name, member in prepared.items():
            member.write_metrics(results[name][part], counts, times)
        done += len(counts)
    return Resamples(results)


def draw_counts(customers: int, draws: int, seed: int) -> Iterator[NDArray[np.int32]]:
    """Yield blocks of draws, int32 [at most 64, customers]: how often each customer was drawn."""
    generator = np.random.default_rng(seed)
    for start in range(0, draws, BLOCK):
        block = np.empty((min(BLOCK, draws - start), customers), dtype=np.int32)
        for counts in block:
            counts[:] = np.bincount(generator.integers(0, customers, customers), minlength=customers)
        yield block


@dataclass(frozen=True, eq=False)
class _Member:
    """What one member needs in every draw, prepared once.

    `customer` int32 [n] is in ranked order; `sums`, sparse [3 + bins, customers], holds each customer's number of rows,
    summed log loss, summed squared error, and summed calibration gap in each bin.
    """

    ranking: Ranking
    customer: NDArray[np.int32]
    sums: sparse.csr_array

    @classmethod
    def of(cls, label: NDArray[np.int8], scores: FloatArray, customer: NDArray[np.int64], customers: int) -> "_Member":
        ranking = Ranking.of(label, scores)
        gap = scores - label
        row = np.concatenate([np.repeat([0, 1, 2], len(label)), 3 + equal_mass_bins(ranking)])
        value = np.concatenate([np.ones(len(label)), log_losses(label, scores), gap**2, gap])
        sums = sparse.csr_array((value, (row, np.tile(customer, 4))), shape=(3 + ECE_BINS, customers))
        return cls(ranking, customer[ranking.order].astype(np.int32), sums)

    def write_metrics(self, out: FloatArray, counts: NDArray[np.int32], times: FloatArray) -> None:
        """Fill `out` [draws, metrics] for a block of `counts` [draws, customers] and its transpose `times`."""
        total, loss, squares, *gaps = self.sums @ times
        out[:, METRICS.index("log_loss")] = loss / total
        out[:, METRICS.index("brier")] = squares / total
        out[:, METRICS.index("ece")] = np.abs(gaps).sum(axis=0) / total
        columns = [METRICS.index(name) for name in RANK_METRICS]
        for place, drawn in enumerate(counts):
            out[place, columns] = rank_metrics(self.ranking, drawn[self.customer])


def percentiles(values: FloatArray, level: float) -> Interval:
    """Return the interval that holds the middle `level` of `values` [draws]; NaN if too few of them are defined."""
    defined = values[np.isfinite(values)]
    if len(defined) < MIN_DEFINED * len(values):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(low), float(high))
