"""Several runs on the same test anchors: mean and spread over seeds, and differences in pairs over customers.

A figure of a member is its mean over the runs that have it, with the standard deviation over these; never the best of
them. A difference is the mean over the runs of what one has more than the other, under the same draws of customers:
its interval says how sure it is for other customers, the spread how much of it is the seed's luck.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.errors import InputError
from training.evaluation.bootstrap import Difference, percentiles
from training.evaluation.ceiling import REACHED
from training.evaluation.evaluate import DRAWS
from training.evaluation.judged_run import COMPARED, Drawn, JudgedRun
from training.evaluation.metrics import METRICS
from training.evaluation.paired import REGRESSION, Paired, best_member
from training.evaluation.predictions import ENSEMBLE, Predictions

__all__ = ["Comparison", "Spread", "Versus", "compare_runs", "same_anchors"]


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric over the runs: its mean, its standard deviation (NaN for one run), the lowest and the highest.

    All are NaN where a run does not define it: a mean over some of the runs would pass for one over all.
    """

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
    """What runs on the same anchors say. `spreads`: who → metric → spread; `pairs`: everybody against one.

    `ensemble`: of the pairs with the ensemble, what is asked of it against the best member in the mean of the runs,
    against regression, and against the one with whom everybody is compared. `seeds_left_out`: folders of runs whose
    further seeds are not among `runs`, because they repeat another training than the one that was judged.
    """

    anchors: int
    customers: int
    positives: int
    runs: tuple[str, ...]
    spreads: Mapping[str, Mapping[str, Spread]]
    pairs: tuple[Versus, ...]
    ensemble: tuple[Paired, ...] = ()
    seeds_left_out: tuple[str, ...] = ()

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
        asked = [{"member": one.member, "best": one.best, **one.requirements_json()} for one in self.ensemble]
        told = {"runs": list(self.runs), "seeds_left_out": list(self.seeds_left_out)}
        return {**counts, **told, "spreads": spreads, "pairs": pairs, "ensemble": asked}


def same_anchors(predictions: Predictions) -> str:
    """Return a fingerprint of customers, items if they are asked about, times and labels, row by row.

    Runs with the same one were judged on the same test. One of an earlier version, which kept no items, is of another
    test than one that did.
    """
    items = None if predictions.item_id is None else predictions.item_id.astype(str).tolist()
    total = hashlib.sha256(json.dumps([predictions.user_id.astype(str).tolist(), items]).encode())
    total.update(np.ascontiguousarray(predictions.anchor_us).tobytes() + predictions.label.tobytes())
    return total.hexdigest()


def compare_runs(
    runs: Mapping[str, JudgedRun],
    *,
    against: str | None = None,
    metrics: Sequence[str] = METRICS,
    members: bool = True,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare runs on the same anchors: name of the run → what was judged.

    `against`: whom everybody is compared with; the ensemble unless given, or whoever has the lowest mean log loss
    where there is none. Whoever shares no run with it is left out of the pairs. `metrics`: of which differences are
    drawn, which is what takes time; spreads are of all. `members`: False where names are of runs, not of members, so
    that one called `ensemble` is none.

    Raises:
        InputError: there is no run, the runs are of different anchors, or `against` is in none of them.
    """
    first = _require_same({name: run.predictions for name, run in runs.items()})
    tables: _Tables = {}
    for name, run in runs.items():
        for who in run.predictions.members:
            tables.setdefault(who, {})[name] = run.figures(who)
    ceiling = any(run.reachable is not None for run in runs.values())
    known = [metric for metric in COMPARED if ceiling or metric != REACHED]
    spreads = {
        who: {metric: _spread([row[metric] for row in rows.values()]) for metric in known}
        for who, rows in tables.items()
    }
    chosen = _against(against, spreads)
    asked = [metric for metric in known if metric in metrics]
    drawn = {name: run.drawn(asked, draws=draws, seed=seed) for name, run in runs.items()} if len(tables) > 1 else {}
    pairs = tuple(_pairs(tables, drawn, chosen, asked))
    return Comparison(
        anchors=len(first.label),
        customers=len(np.unique(first.user_id.astype(str))),
        positives=int(first.label.sum()),
        runs=tuple(runs),
        spreads=spreads,
        pairs=pairs,
        ensemble=_of_the_ensemble(pairs, spreads) if members else (),
    )


_Tables = dict[str, dict[str, dict[str, float]]]
"""Who → run → metric → value."""


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


def _pairs(tables: _Tables, drawn: Mapping[str, Drawn], against: str, metrics: Sequence[str]) -> Iterator[Versus]:
    for who in tables:
        both = [run for run in drawn if run in tables[who] and run in tables[against]]
        if who == against or not both:
            continue
        differences, deviations = {}, {}
        for name in metrics:
            apart = [tables[who][run][name] - tables[against][run][name] for run in both]
            table = [drawn[run][who][name] - drawn[run][against][name] for run in both]
            interval = percentiles(np.mean(table, axis=0), 0.95)
            differences[name] = Difference(name, float(np.mean(apart)), interval)
            deviations[name] = _spread(apart).deviation
        yield Versus(who, against, differences, deviations)


def _of_the_ensemble(pairs: Sequence[Versus], spreads: Mapping[str, Mapping[str, Spread]]) -> tuple[Paired, ...]:
    best = best_member({who: {name: one.mean for name, one in row.items()} for who, row in spreads.items()})
    found = []
    for pair in pairs:
        if pair.first == ENSEMBLE:
            found.append(Paired(pair.second, pair.differences, pair.second == best))
        elif pair.second == ENSEMBLE and pair.first in (best, REGRESSION):
            turned = {name: one.reversed() for name, one in pair.differences.items()}
            found.append(Paired(pair.first, turned, pair.first == best))
    return tuple(found)


_SPREAD = ("mean", "deviation", "low", "high")


def _spread(values: Sequence[float]) -> Spread:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Spread(float(np.mean(values)), deviation, float(np.min(values)), float(np.max(values)), len(values))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
