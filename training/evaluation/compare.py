"""Several runs on the same test anchors: mean and spread over seeds, and differences in pairs over customers.

A figure of a member is its mean over the runs that have it, with the standard deviation over these; never the best of
them. A difference is the mean over the runs of what one has more than the other, under the same draws of customers:
its interval says how sure it is for other customers, the spread how much of it is the seed's luck.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.errors import InputError
from training.evaluation.bootstrap import Difference, percentiles, resample
from training.evaluation.evaluate import DRAWS
from training.evaluation.metrics import METRICS, probability_metrics
from training.evaluation.predictions import ENSEMBLE, Predictions

__all__ = ["Comparison", "Spread", "Versus", "compare_runs", "same_anchors"]


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric over the runs: its mean, its standard deviation (NaN for one run), the lowest and the highest."""

    mean: float
    deviation: float
    low: float
    high: float
    runs: int


@dataclass(frozen=True, slots=True)
class Versus:
    """`first` minus `second`, by metric: the mean over the runs with its interval over customers, and each run's own.

    `deviations`: metric → standard deviation of the difference over the runs, NaN for one run.
    """

    first: str
    second: str
    differences: Mapping[str, Difference]
    deviations: Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """What runs on the same anchors say. `spreads`: who → metric → spread; `pairs`: everybody against one."""

    anchors: int
    customers: int
    positives: int
    runs: tuple[str, ...]
    spreads: Mapping[str, Mapping[str, Spread]]
    pairs: tuple[Versus, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON-able data; what is not defined is null."""
        spreads = {
            who: {
                name: {**{k: _number(getattr(one, k)) for k in _SPREAD}, "runs": one.runs} for name, one in row.items()
            }
            for who, row in self.spreads.items()
        }
        pairs = [
            {
                "first": pair.first,
                "second": pair.second,
                **{
                    name: {
                        "difference": _number(found.estimate),
                        "ci": [_number(found.interval.low), _number(found.interval.high)],
                        "deviation": _number(pair.deviations[name]),
                        "verdict": found.verdict,
                    }
                    for name, found in pair.differences.items()
                },
            }
            for pair in self.pairs
        ]
        counts = {"anchors": self.anchors, "customers": self.customers, "positives": self.positives}
        return {**counts, "runs": list(self.runs), "spreads": spreads, "pairs": pairs}


def same_anchors(predictions: Predictions) -> str:
    """Return a fingerprint of the anchors and labels: runs with the same one were judged on the same test."""
    total = hashlib.sha256("\n".join(predictions.user_id.astype(str)).encode())
    total.update(np.ascontiguousarray(predictions.anchor_us).tobytes() + predictions.label.tobytes())
    return total.hexdigest()


def compare_runs(
    runs: Mapping[str, Predictions], *, against: str | None = None, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """Compare runs on the same anchors: name of the run → its predictions.

    `against`: whom everybody is compared with; the ensemble unless given, or whoever has the lowest mean log loss
    where there is none. Whoever shares no run with it is left out of the pairs.

    Raises:
        InputError: there is no run, the runs are of different anchors, or `against` is in none of them.
    """
    first = _require_same(runs)
    tables: dict[str, dict[str, dict[str, float]]] = {}
    for run, predictions in runs.items():
        for who in predictions.members:
            tables.setdefault(who, {})[run] = probability_metrics(predictions.label, predictions.probability[who])
    spreads = {
        who: {name: _spread([row[name] for row in rows.values()]) for name in METRICS} for who, rows in tables.items()
    }
    chosen = _against(against, spreads)
    return Comparison(
        anchors=len(first.label),
        customers=len(np.unique(first.user_id.astype(str))),
        positives=int(first.label.sum()),
        runs=tuple(runs),
        spreads=spreads,
        pairs=_pairs(runs, tables, chosen, draws, seed),
    )


def _require_same(runs: Mapping[str, Predictions]) -> Predictions:
    if not runs:
        raise InputError("There is no run to compare; expected at least one that was evaluated.")
    (name, first), *others = runs.items()
    for other, predictions in others:
        if same_anchors(predictions) != same_anchors(first):
            raise InputError(
                f"Runs {name} and {other} were judged on different anchors ({len(first.label):,} and "
                f"{len(predictions.label):,}); expected the same test. Compare them apart."
            )
    return first


def _against(name: str | None, spreads: Mapping[str, Mapping[str, Spread]]) -> str:
    if name is not None and name not in spreads:
        raise InputError(f"Member {name!r} is in none of the runs; expected one of {', '.join(spreads)}.")
    best = min(spreads, key=lambda who: (spreads[who]["log_loss"].mean, who))
    return name or (ENSEMBLE if ENSEMBLE in spreads else best)


def _pairs(
    runs: Mapping[str, Predictions],
    tables: Mapping[str, Mapping[str, Mapping[str, float]]],
    against: str,
    draws: int,
    seed: int,
) -> tuple[Versus, ...]:
    drawn = {
        run: resample(
            one.label, {who: one.probability[who] for who in one.members}, one.customers(), draws=draws, seed=seed
        )
        for run, one in runs.items()
    }
    found = []
    for who in tables:
        both = [run for run in runs if run in tables[who] and run in tables[against]]
        if who == against or not both:
            continue
        differences, deviations = {}, {}
        for name in METRICS:
            apart = [tables[who][run][name] - tables[against][run][name] for run in both]
            table = [drawn[run].values(who, name) - drawn[run].values(against, name) for run in both]
            interval = percentiles(np.mean(table, axis=0), 0.95)
            differences[name] = Difference(name, float(np.mean(apart)), interval)
            deviations[name] = _spread(apart).deviation
        found.append(Versus(who, against, differences, deviations))
    return tuple(found)


_SPREAD = ("mean", "deviation", "low", "high")


def _spread(values: Sequence[float]) -> Spread:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Spread(float(np.mean(values)), deviation, float(min(values)), float(max(values)), len(values))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
