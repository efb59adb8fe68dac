"""What a difference looks like: a few simple patterns, each with how many of the differing rows show it.

A hint is where to look first, not a proof; a view may have several.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from training.consistency.compare import FeatureComparison, compare_columns
from training.consistency.replay import TRANSFORMS, replay
from training.consistency.served_log import ServedView

__all__ = ["Evidence", "Hint", "hints_for"]

_ENOUGH = 0.9
_QUARTER_US = 15 * 60 * 1_000_000
_LARGEST_ZONE_US = 14 * 3_600 * 1_000_000
_NOW = timedelta(0)
_BORDERS = (timedelta(microseconds=-1), timedelta(microseconds=1))
_LADDER = [timedelta(minutes=1), timedelta(hours=1), *(timedelta(days=days) for days in (1, 2, 4, 7, 14, 30))]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Hint:
    """A pattern, and in how many (`shown`) of how many (`of`) differing values or rows it shows."""

    kind: str
    text: str
    shown: int
    of: int


@dataclass(frozen=True)
class Evidence:
    """Some differing rows of a view: what was asked, and what was served. `views` are all views of these answers."""

    views: Mapping[str, ServedView]
    asked: pa.Table
    served: pa.Table


def hints_for(name: str, features: Mapping[str, FeatureComparison], evidence: Evidence, store: Any) -> list[Hint]:
    """Return what the differences of view `name` look like, by the features' counts and a second look offline.

    Args:
        name: the view.
        features: its features' comparisons.
        evidence: some of its differing rows.
        store: a `feast.FeatureStore`.

    Raises:
        FeatureError: the join did not give the rows that were asked for.
    """
    hints = []
    for feature, found in features.items():
        hints += [hint for hint in (_zone(feature, found), _one_off(feature, found), _shorter(feature, found)) if hint]
    if name not in TRANSFORMS:
        hints += _other_moments(name, evidence, store)
    return hints


def _zone(feature: str, found: FeatureComparison) -> Hint | None:
    """A moment that is off by one and the same number of quarters of an hour."""
    if not feature.endswith("_at") or not found.signed:
        return None
    values, counts = np.unique(np.array(found.signed), return_counts=True)
    off, shown = float(values[counts.argmax()]), int(counts.max())
    if shown < _ENOUGH * len(found.signed) or off % _QUARTER_US or abs(off) > _LARGEST_ZONE_US:
        return None
    text = f"{feature} was served {off / 3.6e9:+g} hours from what it is offline"
    return Hint("time zone", text, shown, len(found.signed))


def _one_off(feature: str, found: FeatureComparison) -> Hint | None:
    """A count that is off by one: a window's border, or its length."""
    shown = sum(abs(value) == 1 for value in found.signed)
    if not found.signed or shown < _ENOUGH * len(found.signed):
        return None
    return Hint("off by one", f"{feature} differs by exactly 1: a window's border", shown, len(found.signed))


def _shorter(feature: str, found: FeatureComparison) -> Hint | None:
    """A list that only lacks its oldest elements."""
    if not found.edited or found.older_left_out < _ENOUGH * found.edited:
        return None
    text = f"{feature} lacks only its oldest elements: another length is kept online"
    return Hint("length", text, found.older_left_out, found.edited)


def _other_moments(name: str, evidence: Evidence, store: Any) -> list[Hint]:
    """Whether what was served is what the join gives a microsecond away, some time earlier, or only later."""
    earlier, later = ([sign * step for step in _LADDER] for sign in (-1, 1))
    at = _equal_at(name, evidence, store, [_NOW, *_BORDERS, *earlier, *later])
    hints = [hint for feature in evidence.views[name].fields if (hint := _border(feature, at)) is not None]
    row = {step: np.all(list(equal.values()), axis=0) for step, equal in at.items()}
    was, will = (int(np.any([row[step] for step in steps], axis=0).sum()) for steps in (earlier, later))
    count = evidence.asked.num_rows
    if was >= _ENOUGH * count and was >= will:
        text = "rows equal what was known earlier, by up to 30 days: a stale materialisation, or a push that was lost"
        hints.append(Hint("stale", text, was, count))
    elif will >= _ENOUGH * count:
        text = "rows equal what became known only later: a wrong clock, or a row from the future"
        hints.append(Hint("too new", text, will, count))
    return hints


def _border(feature: str, at: Mapping[timedelta, Mapping[str, Mask]]) -> Hint | None:
    """A window whose border lies on the wrong side: the join gives the served value one microsecond away."""
    differs = ~at[_NOW][feature]
    shown, of = max(int((at[step][feature] & differs).sum()) for step in _BORDERS), int(differs.sum())
    if not of or shown < _ENOUGH * of:
        return None
    text = f"{feature} equals the join's value one microsecond away: a window's border lies on the wrong side"
    return Hint("off by one", text, shown, of)


def _equal_at(name: str, evidence: Evidence, store: Any, steps: list[timedelta]) -> dict[timedelta, dict[str, Mask]]:
    """For each step, and each feature, in which of the rows the join gives what was served, that much away from t."""
    moments, place = evidence.asked["event_timestamp"], evidence.asked.column_names.index("event_timestamp")
    shifted = [pc.add(moments, pa.scalar(step, pa.duration("us"))) for step in steps]
    asked = pa.concat_tables([evidence.asked.set_column(place, "event_timestamp", at) for at in shifted])
    view = evidence.views[name]
    offline = replay(store, {name: view}, asked.combine_chunks())[name]
    rows = evidence.asked.num_rows
    found: dict[timedelta, dict[str, Mask]] = {}
    for number, step in enumerate(steps):
        part = offline.slice(number * rows, rows)
        found[step] = {field: ~compare_columns(evidence.served[field], part[field])[1] for field in view.fields}
    return found
