"""Repeated stratified folds over a whole table: the protocol of benchmarks that have no dates.

It says less than a split in time: rows of one month are on both sides. It is run only where the published figures are
from it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedShuffleSplit

from training.atomic import write_json
from training.dataset.examples import Examples
from training.ensemble.combine import combine
from training.ensemble.fit_weights import fit_weights
from training.ensemble.forward_predictions import Forward, predict
from training.evaluation.metrics import METRICS, probability_metrics
from training.evaluation.predictions import ENSEMBLE
from training.models.contract import FitSettings, Member, Value
from training.models.told_member import told_member
from training.progress import Task

__all__ = ["FOLDS", "cross_validate"]

FOLDS = "folds.json"
_SPLITS = _REPEATS = 3
_STOP = 0.2  # of what a fit may see: it decides the number of steps, and is then fitted on as well


def cross_validate(
    examples: Examples,
    members: Sequence[str],
    settings: FitSettings,
    out: Path,
    parameters: Mapping[str, Mapping[str, Value]] | None = None,
) -> dict[str, Any]:
    """Fit each member on two thirds and judge it on the rest, nine times; write `<out>/folds.json`, and return it.

    The figures are means over the nine parts that were held out, with their standard deviation. No row of a part that
    is judged is seen by a fit, by what decides its number of steps, or by what decides which members the ensemble
    is the mean of: both are a fifth of the two thirds, which the first fit of a member has not seen.
    """
    folds = RepeatedStratifiedKFold(n_splits=_SPLITS, n_repeats=_REPEATS, random_state=settings.seed % 2**32)
    together = examples.dated(np.zeros(len(examples), np.int64))  # no dates: one level of demand
    pool = {name: told_member(name, parameters) for name in members}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (*pool, ENSEMBLE)}
    with settings.progress.task("folds", len(pool) * _SPLITS * _REPEATS, "fits") as task:
        for known, held_out in folds.split(np.zeros(len(examples)), examples.label):
            for name, figures in _figures(pool, together, known, held_out, settings, task).items():
                found[name].append(figures)
    record = {
        "rows": len(examples),
        "base_rate": float(examples.label.mean()),
        "folds": f"{_REPEATS} x {_SPLITS} stratified",
        "members": {name: _summary(parts) for name, parts in found.items()},
    }
    write_json(out / FOLDS, record)
    return record


def _figures(
    pool: Mapping[str, Member],
    examples: Examples,
    known: NDArray[np.int64],
    held_out: NDArray[np.int64],
    settings: FitSettings,
    task: Task,
) -> dict[str, dict[str, float]]:
    """Return the figures of each member, and of the mean of those that help, on the rows `held_out`."""
    inner = StratifiedShuffleSplit(1, test_size=_STOP, random_state=settings.seed % 2**32)
    first, stop = next(inner.split(np.zeros(len(known)), examples.label[known]))
    later, judged = examples.take(known[stop]), examples.take(held_out)
    inside: dict[str, NDArray[np.float64]] = {}
    outside: dict[str, NDArray[np.float64]] = {}
    for name, one in pool.items():
        fitted = one.fit(examples.take(known[first]), later, settings)
        inside[name] = predict(fitted, later)
        outside[name] = predict(fitted.refit(examples.take(known), settings), judged)
        task.advance()
    helping = fit_weights("mean", Forward(later.user_id, later.anchor_us, later.label, inside))
    outside[ENSEMBLE] = combine(helping, outside)
    return {name: probability_metrics(judged.label, p) for name, p in outside.items()}


def _summary(parts: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        metric: {
            "mean": float(np.mean([part[metric] for part in parts])),
            "deviation": float(np.std([part[metric] for part in parts], ddof=1)),
        }
        for metric in METRICS
    }
