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
_LADDER = [timedelta(minutes=1), timedelta(hours=1), *(timedelta(days=days) for days in (1, 2, 4, 7, 14, 30))]


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
        hints += _other_moment(name, evidence, store)
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


def _other_moment(name: str, evidence: Evidence, store: Any) -> list[Hint]:
    """Whether what was served is what was known some time earlier, or only later."""
    earlier, later = (_as_of(name, evidence, store, sign).sum() for sign in (-1, 1))
    count = evidence.asked.num_rows
    hints = []
    if earlier >= _ENOUGH * count and earlier >= later:
        text = "rows equal what was known earlier, by up to 30 days: a stale materialisation, or a push that was lost"
        hints.append(Hint("stale", text, int(earlier), count))
    elif later >= _ENOUGH * count:
        text = "rows equal what became known only later: a wrong clock, or a row from the future"
        hints.append(Hint("too new", text, int(later), count))
    return hints


def _as_of(name: str, evidence: Evidence, store: Any, sign: int) -> NDArray[np.bool_]:
    """Which of the rows equal the offline join at any step of the ladder before (-1) or after (1) their moment."""
    moments = evidence.asked["event_timestamp"]
    place = evidence.asked.column_names.index("event_timestamp")
    shifted = [pc.add(moments, pa.scalar(sign * step, pa.duration("us"))) for step in _LADDER]
    asked = pa.concat_tables([evidence.asked.set_column(place, "event_timestamp", at) for at in shifted])
    offline = replay(store, {name: evidence.views[name]}, asked.combine_chunks())[name]
    served = pa.concat_tables([evidence.served] * len(_LADDER))
    differs = [compare_columns(served[field], offline[field])[1] for field in evidence.views[name].fields]
    equal = ~np.any(differs, axis=0)
    return np.asarray(equal.reshape(len(_LADDER), -1).any(axis=0))
