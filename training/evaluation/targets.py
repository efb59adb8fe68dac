"""Figures that a run is held to, and whether it reached them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.evaluation.evaluate import Evaluation
from training.evaluation.predictions import ENSEMBLE

__all__ = ["TA_FENG_TARGETS", "CheckedTarget", "Target", "check_targets"]

AT_LEAST, AT_MOST = "≥", "≤"


@dataclass(frozen=True, slots=True)
class Target:
    """One bound. `subject` is a member, or `paired` for the ensemble minus its best member.

    `figure` is a metric of `METRICS`; with subject `paired`, `<metric>` is the difference and `<metric>_low` the
    lower end of its interval. `relation` is `≥` or `≤`. `note` says why, where that is not plain.
    """

    subject: str
    figure: str
    relation: str
    bound: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class CheckedTarget:
    """A target and the value found, NaN if the run does not have it; then it is not met."""

    target: Target
    value: float

    @property
    def met(self) -> bool:
        """True when the value is known and on the right side of the bound."""
        if not math.isfinite(self.value):
            return False
        if self.target.relation == AT_LEAST:
            return self.value >= self.target.bound
        return self.value <= self.target.bound


TA_FENG_TARGETS = (
    Target("boosted_trees", "roc_auc", AT_LEAST, 0.748),
    Target("sequence_lstm", "roc_auc", AT_LEAST, 0.745),
    Target(ENSEMBLE, "roc_auc", AT_LEAST, 0.7505),
    Target(ENSEMBLE, "pr_auc", AT_LEAST, 0.4735),
    Target(ENSEMBLE, "log_loss", AT_MOST, 0.4105),
    Target(ENSEMBLE, "brier", AT_MOST, 0.1272),
    Target(ENSEMBLE, "ece", AT_MOST, 0.018),
    Target("paired", "roc_auc_low", AT_LEAST, -0.001, "a narrower margin than that of every ensemble"),
    Target("paired", "log_loss", AT_MOST, 0.0005),
    Target(ENSEMBLE, "roc_auc", AT_MOST, 0.765, "above it, a leak until proved otherwise"),
)
"""What the demo aims at under its protocol; the last is a guard against leaks, not a goal."""


def check_targets(evaluation: Evaluation, targets: Sequence[Target]) -> tuple[CheckedTarget, ...]:
    """Return each target with the value that `evaluation` found, NaN where it has none."""
    return tuple(CheckedTarget(target, _value(evaluation, target)) for target in targets)


def _value(evaluation: Evaluation, target: Target) -> float:
    if target.subject != "paired":
        values: Mapping[str, float] = evaluation.metrics.get(target.subject, {})
        return values.get(target.figure, math.nan)
    if evaluation.paired is None:
        return math.nan
    differences = evaluation.paired.differences
    metric = target.figure.removesuffix("_low")
    if metric not in differences:
        return math.nan
    found = differences[metric]
    return found.interval.low if target.figure.endswith("_low") else found.estimate
