"""The same figures by group of customers, and how far the groups are apart: by country, age and gender where known.

A difference between groups is not yet an unfairness: groups whose base rates differ are selected at different rates by
any model that ranks well. The table says where to look.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.decisions import FURTHER, further_metrics
from training.evaluation.metrics import METRICS, probability_metrics
from training.evaluation.slices import MIN_PER_CLASS, NOT_KNOWN, pooled_values

__all__ = ["FAIRNESS_METRICS", "SENSITIVE", "FairnessGroup", "FairnessTable", "fairness_tables"]

SENSITIVE = {"country": "country", "age_group": "age group", "gender": "gender"}
"""Column of the features → title of its table."""

FAIRNESS_METRICS = (*METRICS, *FURTHER)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FairnessGroup:
    """One group: counts, and figures by metric; none if it is too small to say anything."""

    value: str
    anchors: int
    positives: int
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FairnessTable:
    """The groups of one column, judged by one member at one threshold.

    `differences`: metric → largest minus smallest over the groups that are large enough. `ratios`: smallest over
    largest; 1 is equal. Both are empty where fewer than two groups are large enough.
    """

    column: str
    member: str
    threshold: float
    groups: tuple[FairnessGroup, ...]
    differences: Mapping[str, float]
    ratios: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON-able data; what is not defined is null."""
        return {
            "column": self.column,
            "member": self.member,
            "threshold": _number(self.threshold),
            "groups": [
                {
                    "value": group.value,
                    "anchors": group.anchors,
                    "positives": group.positives,
                    "figures": {name: _number(value) for name, value in group.figures.items()},
                }
                for group in self.groups
            ],
            "differences": {name: _number(value) for name, value in self.differences.items()},
            "ratios": {name: _number(value) for name, value in self.ratios.items()},
        }


def fairness_tables(
    label: NDArray[np.int8],
    probability: FloatArray,
    groups: Mapping[str, NDArray[np.object_]],
    *,
    member: str,
    threshold: float = math.nan,
) -> tuple[FairnessTable, ...]:
    """Return a table for each column of `groups` (title → text [n], None where not known) that is known at all.

    `label` int8 [n], `probability` float64 [n] of `member`; at or above `threshold` a customer counts as selected
    (NaN: the figures at the threshold are not defined). Groups with fewer than 50 positives or negatives are listed
    with their counts only, and those not known are a group of their own.
    """
    known = {title: pooled_values(values) for title, values in groups.items()}
    return tuple(
        _table(title, label, probability, names, member, threshold)
        for title, names in known.items()
        if len(set(names) - {NOT_KNOWN}) > 1
    )


def _table(
    title: str, label: NDArray[np.int8], p: FloatArray, names: NDArray[np.object_], member: str, threshold: float
) -> FairnessTable:
    from fairlearn.metrics import MetricFrame  # pandas and scikit-learn behind it: seconds that a run may not need

    counts = {str(name): _counts(label[names == name]) for name in sorted(set(names))}
    large = [name for name, (rows, buyers) in counts.items() if min(buyers, rows - buyers) >= MIN_PER_CLASS]

    def figures_of(label: Any, probability: Any) -> dict[str, float]:
        return _figures(threshold, label, probability)

    shown = np.isin(names.astype(str), large)
    figures: dict[str, dict[str, float]] = {}
    apart: tuple[dict[str, float], dict[str, float]] = ({}, {})
    if large:
        frame = MetricFrame(
            metrics=figures_of,
            y_true=label[shown],
            y_pred=p[shown],
            sensitive_features=names[shown].astype(str),
        )
        figures = {str(name): dict(row) for name, row in frame.by_group.items()}
        apart = _apart(figures) if len(figures) > 1 else apart  # one group is equal to itself, which says nothing
    found = (FairnessGroup(name, *counts[name], figures.get(name, {})) for name in counts)
    return FairnessTable(title, member, threshold, tuple(found), *apart)


def _figures(threshold: float, label: Any, probability: Any) -> dict[str, float]:
    """Return all figures of a group at once: MetricFrame takes its columns apart anew for every metric it is given."""
    labels, p = np.asarray(label, np.int8), np.asarray(probability, np.float64)
    found = probability_metrics(labels, p) | further_metrics(labels, p, threshold)
    return {name: found[name] for name in FAIRNESS_METRICS}


def _apart(figures: Mapping[str, Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return largest minus smallest, and smallest over largest, of each metric over the groups; NaN where undefined."""
    ends = {name: [row[name] for row in figures.values()] for name in FAIRNESS_METRICS}
    differences = {name: float(np.max(values) - np.min(values)) for name, values in ends.items()}
    ratios = {name: _share(float(np.min(values)), float(np.max(values))) for name, values in ends.items()}
    return differences, ratios


def _share(small: float, large: float) -> float:
    return small / large if large > 0 else math.nan


def _counts(label: NDArray[np.int8]) -> tuple[int, int]:
    return len(label), int(label.sum())


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
