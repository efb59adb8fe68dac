"""From test predictions to the figures of `metrics.json`: each metric with its interval, and the paired difference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from feature_repo.errors import SplitError
from training.evaluation.bootstrap import Interval, Resamples, resample
from training.evaluation.decision_bootstrap import Figure, further_figures
from training.evaluation.metrics import METRICS, probability_metrics
from training.evaluation.paired import REGRESSION, Paired, Requirement, best_member
from training.evaluation.predictions import ENSEMBLE, Predictions
from training.evaluation.slices import SliceMetrics, slice_metrics

__all__ = ["DRAWS", "Evaluation", "evaluate", "recompute"]

DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the test period says. `metrics` and `intervals` are by member, then by metric.

    `paired` is the ensemble against its best member, `regression` against logistic regression where that is another.
    `further` holds the figures of `decisions.py` in the same way; those at a threshold are at the member's own in
    `thresholds`, NaN for a member that has none.
    """

    anchors: int
    customers: int
    positives: int
    seed: int
    draws: int
    metrics: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, Interval]]
    paired: Paired | None
    slices: tuple[SliceMetrics, ...] = ()
    further: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    regression: Paired | None = None

    @property
    def base_rate(self) -> float:
        """Share of positives among the anchors."""
        return self.positives / self.anchors

    @property
    def pairs(self) -> tuple[Paired, ...]:
        """The ensemble against its best member, and against regression where that is another."""
        return tuple(pair for pair in (self.paired, self.regression) if pair is not None)

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What is asked of the ensemble, and whether it is shown; nothing where it is the member itself."""
        return tuple(one for pair in self.pairs for one in pair.requirements)

    def to_metrics_json(self) -> dict[str, Any]:
        """Return the `test` and `paired` parts of `metrics.json`; a figure that is not defined is null."""
        test = {
            member: {metric: _number(values[metric]) for metric in METRICS}
            | {f"{metric}_ci": _ends(self.intervals[member][metric]) for metric in METRICS}
            for member, values in self.metrics.items()
        }
        return {"test": test, "paired": _pairs_json(self.pairs)}

    def further_json(self) -> dict[str, Any]:
        """Return the `further` part of `metrics.json`: by member its threshold, and each figure with its interval."""
        return {
            member: {"threshold": _number(self.thresholds.get(member, math.nan))}
            | {name: _number(found.value) for name, found in figures.items()}
            | {f"{name}_ci": _ends(found.interval) for name, found in figures.items()}
            for member, figures in self.further.items()
        }

    def slices_json(self) -> list[dict[str, Any]]:
        """Return one record a slice, with counts, and metrics unless it is too small."""
        return [
            {
                "column": part.column,
                "value": part.value,
                "anchors": part.anchors,
                "customers": part.customers,
                "positives": part.positives,
                "too_small": part.too_small,
                "metrics": {
                    member: {metric: _number(value) for metric, value in values.items()}
                    for member, values in part.metrics.items()
                },
                "intervals": {
                    member: {metric: _ends(ends) for metric, ends in values.items()}
                    for member, values in part.intervals.items()
                },
                "further": {
                    member: {name: _number(value) for name, value in values.items()}
                    for member, values in part.further.items()
                },
            }
            for part in self.slices
        ]


def evaluate(
    predictions: Predictions, *, seed: int, draws: int = DRAWS, thresholds: Mapping[str, float] | None = None
) -> Evaluation:
    """Return every metric of every member with a 95 % interval from `draws` resamples of the customers.

    The slices are evaluated for the ensemble and for its best member, when `predictions` has slices. The further
    figures are worked out if there are `thresholds`, chosen on a validation period; the mapping may be empty.

    Raises SplitError when the test period holds one class only.
    """
    _require_both_classes(predictions)
    label, probability = predictions.label, {name: predictions.probability[name] for name in predictions.members}
    metrics = {name: probability_metrics(label, values) for name, values in probability.items()}
    customer = predictions.customers()
    drawn = resample(label, probability, customer, draws=draws, seed=seed)
    best = best_member(metrics)
    shown = tuple(name for name in (ENSEMBLE, best) if name in metrics)
    return Evaluation(
        anchors=len(label),
        customers=int(customer.max()) + 1,
        positives=int(np.sum(label, dtype=np.int64)),
        seed=seed,
        draws=draws,
        metrics=metrics,
        intervals={name: {metric: drawn.interval(name, metric) for metric in METRICS} for name in metrics},
        paired=None if best is None else _paired(metrics, drawn, best, best=True),
        slices=slice_metrics(
            predictions, tuple(str(name) for name in shown), draws=draws, seed=seed, thresholds=thresholds
        ),
        further={}
        if thresholds is None
        else further_figures(label, probability, customer, thresholds, draws=draws, seed=seed),
        thresholds=thresholds or {},
        regression=None if best == REGRESSION else _paired(metrics, drawn, REGRESSION, best=False),
    )


def recompute(path: Path, *, seed: int, draws: int = DRAWS) -> dict[str, Any]:
    """Return the `test` and `paired` parts of `metrics.json` from `test_predictions.parquet` alone.

    With the seed and the number of draws of the run, these are the run's own numbers.

    Raises SourceDataError when the file is missing, not whole, or lacks a column.
    """
    return evaluate(Predictions.read(path), seed=seed, draws=draws).to_metrics_json()


def _require_both_classes(predictions: Predictions) -> None:
    positives, rows = int(np.sum(predictions.label, dtype=np.int64)), len(predictions.label)
    if positives in (0, rows):
        raise SplitError(
            f"The test split holds one class only: got {positives} positives among {rows} anchors; expected both. "
            "Move `splits` or change `horizon_days` in intent.toml."
        )


def _paired(metrics: Mapping[str, Mapping[str, float]], drawn: Resamples, member: str, *, best: bool) -> Paired | None:
    """Return the ensemble minus `member`; None where one of them is not there."""
    if not {ENSEMBLE, member} <= set(metrics):
        return None
    apart = {metric: metrics[ENSEMBLE][metric] - metrics[member][metric] for metric in METRICS}
    return Paired(member, {name: drawn.difference(ENSEMBLE, member, name, apart[name]) for name in METRICS}, best)


def _pairs_json(pairs: tuple[Paired, ...]) -> dict[str, Any]:
    return {f"ensemble_minus_{'best_member' if pair.best else pair.member}": _paired_json(pair) for pair in pairs}


def _paired_json(paired: Paired) -> dict[str, Any]:
    found = paired.differences
    record: dict[str, Any] = {
        "member": paired.member,
        "delta_roc_auc": _number(found["roc_auc"].estimate),
        "ci": _ends(found["roc_auc"].interval),
        "verdict": found["roc_auc"].verdict,
    }
    for metric in METRICS:
        if metric == "roc_auc":
            continue
        record[f"delta_{metric}"] = _number(found[metric].estimate)
        record[f"delta_{metric}_ci"] = _ends(found[metric].interval)
        record[f"delta_{metric}_verdict"] = found[metric].verdict
    return record | paired.requirements_json()


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _ends(interval: Interval) -> list[float | None]:
    return [_number(interval.low), _number(interval.high)]
