"""The same metrics for groups of customers: where the model is better, where worse, and where nobody can say."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.evaluation.bootstrap import Interval, resample
from training.evaluation.decisions import further_metrics
from training.evaluation.metrics import METRICS, probability_metrics
from training.evaluation.predictions import Predictions

__all__ = [
    "MAX_VALUES",
    "MIN_PER_CLASS",
    "NOT_KNOWN",
    "SliceMetrics",
    "customer_slices",
    "pooled_values",
    "slice_metrics",
]

NOT_KNOWN = "not known"
MAX_VALUES = 12
"""Values of a column shown on their own; the rarer ones are pooled."""
MIN_PER_CLASS = 50
"""Fewer positives (or negatives) than this leave an AUC's interval at about ± 0.08: too wide to say anything."""

DAY_US = 86_400_000_000
SILENCE = ((7, "up to 1 week"), (14, "1 to 2 weeks"), (28, "2 to 4 weeks"), (56, "4 to 8 weeks"))
LONG_SILENCE = "over 8 weeks"


@dataclass(frozen=True, slots=True)
class SliceMetrics:
    """One group of anchors. `metrics[member]` and `intervals[member]` are by metric; empty when `too_small`.

    `further[member]` holds the figures of `decisions.py`, at the same threshold in every group, without intervals.
    """

    column: str
    value: str
    anchors: int
    customers: int
    positives: int
    too_small: bool
    metrics: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, Interval]]
    further: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def base_rate(self) -> float:
        """Share of positives."""
        return self.positives / self.anchors if self.anchors else float("nan")


def customer_slices(
    *,
    age_group: NDArray[np.object_],
    area: NDArray[np.object_],
    baskets: NDArray[np.float64],
    last_purchase_us: NDArray[np.float64] | NDArray[np.int64],
    anchor_us: NDArray[np.int64],
) -> dict[str, NDArray[np.object_]]:
    """Return the slices that the evaluation reports, each text [n], None where not known.

    `age_group` and `area` are text or None; `baskets` counts the purchases known at the anchor, NaN if not known;
    `last_purchase_us` is the last of them, microseconds since the epoch, UTC, NaN if there is none; all [n]. How
    long a customer is silent is `anchor - last purchase`, with upper ends included: exactly 7 days are "up to 1 week".
    """
    silent_days = (anchor_us - last_purchase_us.astype(np.float64)) / DAY_US
    return {
        "age group": age_group,
        "area": area,
        "one-time or repeat": _choose(baskets, [baskets <= 1.0], ["one-time"], "repeat"),
        "silent for": _choose(
            silent_days, [silent_days <= days for days, _ in SILENCE], [name for _, name in SILENCE], LONG_SILENCE
        ),
    }


def slice_metrics(
    predictions: Predictions,
    members: tuple[str, ...],
    *,
    draws: int = 1000,
    seed: int = 0,
    thresholds: Mapping[str, float] | None = None,
) -> tuple[SliceMetrics, ...]:
    """Return the metrics of `members` in every slice of `predictions`, with intervals over that slice's customers.

    Groups come in the order of their names, durations by length, pooled and not known ones last. A group with
    fewer than 50 positives or 50 negatives is listed with its counts only. `draws=0` leaves the intervals out; without
    `thresholds` (member → threshold, which may be empty) there are no further figures.
    """
    found = []
    for column, values in predictions.slices.items():
        labels = pooled_values(values)
        for value in _ordered(labels):
            rows = predictions.take(labels == value)
            found.append(_one_slice(column, str(value), rows, members, draws, seed, thresholds))
    return tuple(found)


def _one_slice(
    column: str,
    value: str,
    rows: Predictions,
    members: tuple[str, ...],
    draws: int,
    seed: int,
    thresholds: Mapping[str, float] | None,
) -> SliceMetrics:
    customer = rows.customers()
    positives = int(rows.label.sum())
    too_small = min(positives, len(rows.label) - positives) < MIN_PER_CLASS
    metrics: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, Interval]] = {}
    further: dict[str, dict[str, float]] = {}
    if not too_small and thresholds is not None:
        told = {name: thresholds.get(name, math.nan) for name in members}
        further = {name: further_metrics(rows.label, rows.probability[name], told[name]) for name in members}
    if not too_small:
        metrics = {name: probability_metrics(rows.label, rows.probability[name]) for name in members}
    if not too_small and draws:
        chosen = {name: rows.probability[name] for name in members}
        drawn = resample(rows.label, chosen, customer, draws=draws, seed=seed)
        intervals = {name: {metric: drawn.interval(name, metric) for metric in METRICS} for name in members}
    return SliceMetrics(
        column=column,
        value=value,
        anchors=len(rows.label),
        customers=int(customer.max()) + 1,
        positives=positives,
        too_small=too_small,
        metrics=metrics,
        intervals=intervals,
        further=further,
    )


def _choose(
    known: NDArray[np.float64], conditions: list[NDArray[np.bool_]], names: list[str], otherwise: str
) -> NDArray[np.object_]:
    """Return the name of the first condition that holds; None where `known` is NaN."""
    result = np.full(len(known), otherwise, dtype=object)
    for condition, name in reversed(list(zip(conditions, names, strict=True))):
        result[condition] = name
    result[np.isnan(known)] = None
    return result


def pooled_values(values: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return `values` as text, missing ones named, all but the 12 most frequent pooled under one name."""
    missing = np.array([value is None or value != value for value in values], dtype=bool)
    labels = np.where(missing, NOT_KNOWN, values.astype(str)).astype(object)
    names, counts = np.unique(labels[~missing].astype(str), return_counts=True)
    if len(names) > MAX_VALUES:
        by_size = np.lexsort((names, -counts))
        rare = names[by_size[MAX_VALUES - 1 :]]
        labels[~missing & np.isin(labels.astype(str), rare)] = f"{len(rare)} others"
    return labels


def _ordered(labels: NDArray[np.object_]) -> list[str]:
    by_length = [name for _, name in SILENCE] + [LONG_SILENCE]

    def key(name: str) -> tuple[bool, bool, int, int, str]:
        place = by_length.index(name) if name in by_length else -1
        end = {"<": -1, ">": 1}.get(name[:1], 0)  # "<25" is the first of the ages, ">65" the last
        return name == NOT_KNOWN, name.endswith(" others"), place, end, name

    return sorted({str(label) for label in labels}, key=key)
