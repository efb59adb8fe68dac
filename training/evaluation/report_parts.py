"""The parts of a report: plain values that the main job hands over, and the page shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.curves import MemberCurves
from training.evaluation.evaluate import Evaluation
from training.evaluation.fairness import FairnessTable
from training.evaluation.targets import CheckedTarget

__all__ = ["Candidate", "Oddity", "ReportInput", "ShapSummary", "SplitCount", "Stage", "TrainingCurve"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SplitCount:
    """One period. `first` and `last` are its first and last anchor as text; `base_rate` is the share of positives."""

    name: str
    first: str
    last: str
    anchors: int
    base_rate: float


@dataclass(frozen=True, eq=False)
class ShapSummary:
    """What the trees use, in log-odds.

    `names` [F] are the features; `mean_abs` [F] the mean |SHAP value| over many rows. `values` [s, F] and `features`
    [s, F] are a sample's SHAP values and inputs (NaN = missing); both may have no row. `member` is whose trees.
    """

    names: tuple[str, ...]
    mean_abs: FloatArray
    values: FloatArray
    features: FloatArray
    member: str


@dataclass(frozen=True, eq=False)
class TrainingCurve:
    """A network's log loss by epoch, 1 … k: `train` and `validation` float64 [k]; `kept_epoch` is the one exported."""

    member: str
    train: FloatArray
    validation: FloatArray
    kept_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to combine the members: its mean rolling-origin `log_loss`, on each of some dates in `by_date`, oldest
    first; one is `chosen`.
    """

    combination: str
    calibration: str
    log_loss: float
    by_date: tuple[float, ...] = ()
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the main job; `rows` is None where it has no rows to count."""

    name: str
    seconds: float
    peak_rss_mb: float
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something of the data that a reader should know before believing a figure."""

    title: str
    detail: str = ""


@dataclass(frozen=True, eq=False)
class ReportInput:
    """Everything the page shows. Every part but the first three may be left out: its section then says so.

    `data` are facts of the log (label -> text or number); `weights` is each member's share in the ensemble;
    `cut_lists` says which members read only the newest steps of some lists; `versions` names what the run was made
    with; `seed` is that of the run. `fairness` has the figures by group of customers; `robustness` is
    `robustness.json` of the run, empty if it was not tested; `seeds` is what `metrics.json` says of further seeds,
    empty for one; `ceiling` what it says of the best score that is known, on a simulated shop; `intervals` how often
    the ensemble's intervals held the rates of the test period, empty if it has none.
    """

    title: str
    question: str
    evaluation: Evaluation | None
    curves: Mapping[str, MemberCurves] = field(default_factory=dict)
    data: Mapping[str, str | int | float] = field(default_factory=dict)
    splits: tuple[SplitCount, ...] = ()
    oddities: tuple[Oddity, ...] = ()
    shap: ShapSummary | None = None
    training_curves: tuple[TrainingCurve, ...] = ()
    cut_lists: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    targets: tuple[CheckedTarget, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    fairness: tuple[FairnessTable, ...] = ()
    robustness: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[str, Any] = field(default_factory=dict)
    ceiling: Mapping[str, Any] = field(default_factory=dict)
    intervals: Mapping[str, Any] = field(default_factory=dict)
