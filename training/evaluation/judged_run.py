"""One training as comparisons see it: every figure of every member, on the test and in each draw of its customers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.evaluation.bootstrap import draw_counts, resample
from training.evaluation.ceiling import REACHED, Reachable, share_of_reachable
from training.evaluation.decision_bootstrap import further_draws
from training.evaluation.decisions import FURTHER, further_metrics
from training.evaluation.metrics import METRICS, log_losses, probability_metrics
from training.evaluation.predictions import Predictions

__all__ = ["COMPARED", "Drawn", "JudgedRun"]

COMPARED = (*METRICS, *FURTHER, REACHED)
"""Every figure that runs are compared by, in the order in which they are reported."""

FloatArray = NDArray[np.float64]
Drawn = Mapping[str, Mapping[str, FloatArray]]
"""Who → metric → its value in every draw, float64 [draws]."""


@dataclass(frozen=True, eq=False)
class JudgedRun:
    """Predictions on the test, each member's threshold of the validation period, and the ends of what is reachable.

    A member without a threshold has NaN for the figures at one; so has everybody for `reached` where `reachable` is
    None.
    """

    predictions: Predictions
    thresholds: Mapping[str, float] = field(default_factory=dict)
    reachable: Reachable | None = None

    def figures(self, who: str) -> dict[str, float]:
        """Return every figure of `COMPARED` for the predictions of `who`."""
        label, p = self.predictions.label, self.predictions.probability[who]
        found = probability_metrics(label, p) | further_metrics(label, p, self.thresholds.get(who, math.nan))
        ends = self.reachable
        found[REACHED] = math.nan if ends is None else share_of_reachable(label, p, ends.constant, ends.best)
        return found

    def drawn(self, metrics: Sequence[str], *, draws: int, seed: int) -> Drawn:
        """Return the figures named, and those worked out along with them, under `draws` resamples of the customers.

        The same seed gives the same draws in every run on the same anchors.
        """
        one = self.predictions
        label, customer = one.label, one.customers()
        probability = {who: one.probability[who] for who in one.members}
        found: dict[str, dict[str, FloatArray]] = {who: {} for who in probability}
        parts: list[tuple[Sequence[str], Callable[[], Mapping[str, FloatArray]]]] = [
            (METRICS, lambda: resample(label, probability, customer, draws=draws, seed=seed).draws),
            (FURTHER, lambda: further_draws(label, probability, customer, self.thresholds, draws=draws, seed=seed)),
            ((REACHED,), lambda: self._reached(probability, customer, draws, seed)),
        ]
        for names, work in parts:
            if set(names) & set(metrics):
                for who, table in work().items():
                    found[who] |= dict(zip(names, table.T, strict=True))
        return found

    def _reached(
        self, probability: Mapping[str, FloatArray], customer: NDArray[np.int64], draws: int, seed: int
    ) -> dict[str, FloatArray]:
        """Return the share of the way that each took in every draw, float64 [draws, 1]; NaN where there is no ceiling.

        A share is made of three mean log losses, which are sums over customers.
        """
        ends, label = self.reachable, self.predictions.label
        if ends is None:
            return {who: np.full((draws, 1), np.nan) for who in probability}
        forecasts = [np.full(len(label), ends.constant), ends.best, *probability.values()]
        losses = sparse.csr_array(np.stack([np.bincount(customer, log_losses(label, p)) for p in forecasts]))
        blocks = draw_counts(int(customer.max()) + 1, draws, seed)
        base, best, *own = np.concatenate([losses @ counts.T.astype(np.float64) for counts in blocks], axis=1)
        way = np.where(base > best, base - best, np.nan)
        return {who: ((base - loss) / way)[:, None] for who, loss in zip(probability, own, strict=True)}
