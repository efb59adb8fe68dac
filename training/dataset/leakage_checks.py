"""Checks that fail a build before a leak can make a figure look good. Each names the feature.

* A planted future event, or one that became known late, must not change any value (`changed_columns`; the planting is
  in `training/pipelines/leak_probe.py`).
* No feature alone may tell buyers from others implausibly well (`too_good_alone`).
* Between two splits there must be at least the label's horizon (`require_gap`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import FeatureError, SplitError
from feature_repo.transforms.ragged import Ragged

__all__ = [
    "IMPLAUSIBLE_AUC",
    "changed_columns",
    "require_gap",
    "require_plausible",
    "single_feature_auc",
    "too_good_alone",
]

IMPLAUSIBLE_AUC = 0.95
"""A single feature at or above it (or, turned round, at or below 1 minus it) has most likely seen the label.

Honest single features of purchase data stay far below: on the demo's data the best reaches 0.71.
"""

_MOST_ROWS = 50_000


def changed_columns(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns that differ between two joins of the same anchors, bit for bit.

    Columns are arrays of shape (n,) or `Ragged`; NaN equals NaN, None equals None.
    """
    names = sorted(before.keys() | after.keys())
    return [name for name in names if name not in before or name not in after or _differ(before[name], after[name])]


def _differ(one: Any, other: Any) -> bool:
    if isinstance(one, Ragged):
        return not np.array_equal(one.offsets, other.offsets) or _differ(one.values, other.values)
    if one.dtype == object:
        return [str(value) for value in one] != [str(value) for value in other]
    return not np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def require_plausible(columns: Mapping[str, Any], label: NDArray[np.int8], seed: int = 0) -> dict[str, float]:
    """Return each feature's own AUC, and refuse features that have seen the label.

    Raises:
        FeatureError: a feature's AUC is `IMPLAUSIBLE_AUC` or more; the message names it.
    """
    rows = np.random.default_rng(seed).permutation(len(label))[:_MOST_ROWS]
    found = {name: single_feature_auc(values[rows], label[rows]) for name, values in _plain(columns).items()}
    guilty = too_good_alone(found)
    if guilty:
        named = ", ".join(f"{name} ({found[name]:.3f})" for name in guilty)
        raise FeatureError(
            f"Features tell buyers from others implausibly well by themselves: got an AUC of {named}; expected below "
            f"{IMPLAUSIBLE_AUC}. They have most likely seen the label: look at when their rows became known."
        )
    return found


def too_good_alone(auc: Mapping[str, float], threshold: float = IMPLAUSIBLE_AUC) -> list[str]:
    """Return the features whose AUC, either way round, reaches `threshold`."""
    return sorted(name for name, value in auc.items() if max(value, 1 - value) >= threshold)


def single_feature_auc(values: NDArray[Any], label: NDArray[np.int8]) -> float:
    """Return P(a buyer's value > another's) + half of P(equal); a missing value counts as the lowest.

    0.5 if there is only one class.

    >>> single_feature_auc(np.array([1.0, 2.0, np.nan, 3.0]), np.array([0, 1, 0, 1], np.int8))
    1.0
    """
    buyers = int((label == 1).sum())
    others = len(label) - buyers
    if not buyers or not others:
        return 0.5
    filled = np.where(np.isnan(values), -np.inf, values)
    _, place, counts = np.unique(filled, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2  # mean rank of ties, from 1
    of_buyers = float(rank[place[label == 1]].sum())
    return (of_buyers - buyers * (buyers + 1) / 2) / (buyers * others)


def _plain(columns: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Numbers as they are, a list by its length; text has no order and is left out."""
    plain = {}
    for name, column in columns.items():
        if isinstance(column, Ragged):
            plain[f"length of {name}"] = column.lengths.astype(np.float64)
        elif column.dtype != object:
            plain[name] = column.astype(np.float64)
    return plain


def require_gap(splits: Sequence[tuple[str, datetime, datetime]], horizon: timedelta) -> None:
    """Refuse splits that are closer than the label's horizon.

    Args:
        splits: (name, first anchor, last anchor), in order of time.
        horizon: of the label.

    Raises:
        SplitError: an anchor's label window reaches into the next split.
    """
    for (name, _, last), (following, first, _) in pairwise(splits):
        if last + horizon > first:
            raise SplitError(
                f"Splits {name!r} and {following!r} are too close: the last anchor {last:%Y-%m-%d %H:%M} and its label "
                f"window of {horizon.days} days reach past {first:%Y-%m-%d %H:%M}; expected a gap of at least the "
                "horizon. Move the border, or drop the anchors between."
            )
