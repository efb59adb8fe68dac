"""From test predictions to the figures of `metrics.json`: each metric with its interval, and the paired difference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from feature_repo.errors import SplitError
from training.evaluation.bootstrap import Difference, Interval, resample
from training.evaluation.decision_bootstrap import Figure, further_figures
from training.evaluation.metrics import METRICS, probability_metrics
from training.evaluation.predictions import ENSEMBLE, Predictions
from training.evaluation.slices import SliceMetrics, slice_metrics

__all__ = ["DRAWS", "Evaluation", "Paired", "evaluate", "recompute"]

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Paired:
    """The ensemble minus its best member, by metric, over the same draws of customers.

    The best member is the one with the highest ROC-AUC on the test period itself (the lower log loss, then the name,
    breaks ties): choosing it in hindsight is the hardest comparison for the ensemble.
    """

    member: str
    differences: Mapping[str, Difference]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the test period says. `metrics` and `intervals` are by member, then by metric.

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

    @property
    def base_rate(self) -> float:
        """Share of positives among the anchors."""
        return self.positives / self.anchors

    def to_metrics_json(self) -> dict[str, Any]:
        """Return the `test` and `paired` parts of `metrics.json`; a figure that is not defined is null."""
        test = {
            member: {metric: _number(values[metric]) for metric in METRICS}
            | {f"{metric}_ci": _ends(self.intervals[member][metric]) for metric in METRICS}
            for member, values in self.metrics.items()
        }
        return {"test": test, "paired": _paired_json(self.paired)}

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
    best = _best_member(metrics)
    paired = None
    if best is not None and ENSEMBLE in metrics:
        apart = {metric: metrics[ENSEMBLE][metric] - metrics[best][metric] for metric in METRICS}
        paired = Paired(best, {name: drawn.difference(ENSEMBLE, best, name, apart[name]) for name in METRICS})
    shown = tuple(name for name in (ENSEMBLE, best) if name in metrics)
    return Evaluation(
        anchors=len(label),
        customers=int(customer.max()) + 1,
        positives=int(np.sum(label, dtype=np.int64)),
        seed=seed,
        draws=draws,
        metrics=metrics,
        intervals={name: {metric: drawn.interval(name, metric) for metric in METRICS} for name in metrics},
        paired=paired,
        slices=slice_metrics(
            predictions, tuple(str(name) for name in shown), draws=draws, seed=seed, thresholds=thresholds
        ),
        further={}
        if thresholds is None
        else further_figures(label, probability, customer, thresholds, draws=draws, seed=seed),
        thresholds=thresholds or {},
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


def _best_member(metrics: Mapping[str, Mapping[str, float]]) -> str | None:
    alone = [name for name in metrics if name != ENSEMBLE]
    return min(alone, key=lambda name: (-metrics[name]["roc_auc"], metrics[name]["log_loss"], name), default=None)


def _paired_json(paired: Paired | None) -> dict[str, Any]:
    if paired is None:
        return {}
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
    return {"ensemble_minus_best_member": record}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _ends(interval: Interval) -> list[float | None]:
    return [_number(interval.low), _number(interval.high)]
