"""Checks that fail a build before a leak can make a figure look good. Each names the feature.

* A planted future event, or one that became known late, must not change any value (`changed_columns`; the planting is
  in `training/pipelines/leak_probe.py`).
* No moment in a customer's past may lie after its anchor (`require_past`).
* No feature alone may tell buyers from others implausibly well (`too_good_alone`).
* Between two splits there must be at least the label's horizon (`require_gap`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import FeatureError, SplitError
from feature_repo.transforms.ragged import Ragged

__all__ = [
    "FEWEST_OF_EACH",
    "IMPLAUSIBLE_AUC",
    "PAST_MOMENTS",
    "changed_columns",
    "require_gap",
    "require_past",
    "require_plausible",
    "single_feature_auc",
    "too_good_alone",
]

IMPLAUSIBLE_AUC = 0.95
"""A single feature at or above it (or, turned round, at or below 1 minus it) has most likely seen the label.

Honest single features of purchase data stay far below: on the demo's data the best reaches 0.71.
"""

PAST_MOMENTS = ("first_purchase_at", "last_purchase_at", "basket_at", "event_at")
"""Features that say when something happened, in microseconds since 1970; a moment after t gives the future away."""

FEWEST_OF_EACH = 30
"""With fewer buyers, or fewer others, chance alone can make a feature look that good."""

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


def require_past(columns: Mapping[str, Any], at_us: NDArray[np.int64]) -> None:
    """Refuse features that hold a moment after their anchor.

    Args:
        columns: feature → array of shape (n,) or `Ragged`; those of `PAST_MOMENTS` are looked at.
        at_us: t, int64 microseconds since 1970, shape (n,).

    Raises:
        FeatureError: one does; the message names it.
    """
    for name in (name for name in PAST_MOMENTS if name in columns):
        column = columns[name]
        lists = isinstance(column, Ragged)
        late = (column.values > np.repeat(at_us, column.lengths)) if lists else (column > at_us)
        if late.any():
            raise FeatureError(
                f"Feature {name!r} holds {int(late.sum())} moments after its anchor; expected only what had happened "
                "by t. Its source gives rows an event_timestamp before their event: correct the view's table."
            )


def require_plausible(columns: Mapping[str, Any], label: NDArray[np.int8], seed: int = 0) -> dict[str, float]:
    """Return each feature's own AUC, and refuse features that have seen the label.

    Numbers count as they are, lists by their length and by their last value, text by the share of buyers among the
    rows with the same text (learnt on one half of the rows, measured on the other). Where there are fewer than
    `FEWEST_OF_EACH` buyers or others, nothing can be said: the result is empty.

    Raises:
        FeatureError: a feature's AUC is `IMPLAUSIBLE_AUC` or more; the message names it.
    """
    rows = np.random.default_rng(seed).permutation(len(label))[:_MOST_ROWS]
    label = label[rows]
    if min(label.sum(), len(label) - label.sum()) < FEWEST_OF_EACH:
        return {}
    found = {name: single_feature_auc(values[rows], label) for name, values in _plain(columns).items()}
    found |= {
        name: _text_auc(values[rows], label)
        for name, values in columns.items()
        if not isinstance(values, Ragged) and values.dtype == object
    }
    guilty = too_good_alone(found)
    if guilty:
        named = ", ".join(f"{name} ({found[name]:.3f})" for name in guilty)
        raise FeatureError(
            f"Features tell buyers from others implausibly well by themselves: got an AUC of {named}; expected between "
            f"{1 - IMPLAUSIBLE_AUC:.2f} and {IMPLAUSIBLE_AUC}. They have most likely seen the label: look at when "
            "their rows became known."
        )
    return found


def too_good_alone(auc: Mapping[str, float], threshold: float = IMPLAUSIBLE_AUC) -> list[str]:
    """Return the features whose AUC, either way round, reaches `threshold`."""
    return sorted(name for name, value in auc.items() if max(value, 1 - value) >= threshold)


def single_feature_auc(values: NDArray[Any], label: NDArray[np.int8]) -> float:
    """Return P(a buyer's value > another's) + half of P(equal), 0.5 if there is only one class.

    A missing value counts as the lowest or as the highest, whichever tells more: of the time since a purchase, "never"
    belongs to the long ones, of a number of purchases to the few.

    >>> single_feature_auc(np.array([1.0, 2.0, np.nan, 3.0]), np.array([0, 1, 0, 1], np.int8))
    1.0
    """
    buyers = int((label == 1).sum())
    others = len(label) - buyers
    if not buyers or not others:
        return 0.5
    missing = np.isnan(values)
    ends = (-np.inf, np.inf) if missing.any() else (-np.inf,)
    return max((_auc(np.where(missing, end, values), label) for end in ends), key=lambda auc: abs(auc - 0.5))


def _auc(values: NDArray[Any], label: NDArray[np.int8]) -> float:
    buyers = int((label == 1).sum())
    others = len(label) - buyers
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2  # mean rank of ties, from 1
    of_buyers = float(rank[place[label == 1]].sum())
    return (of_buyers - buyers * (buyers + 1) / 2) / (buyers * others)


def _plain(columns: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Numbers as they are, a list by its length and its last value."""
    plain = {}
    for name, column in columns.items():
        if isinstance(column, Ragged):
            plain[f"length of {name}"] = column.lengths.astype(np.float64)
            if column.values.dtype.kind in "iuf":
                plain[f"last of {name}"] = column.last()
        elif column.dtype != object:
            plain[name] = column.astype(np.float64)
    return plain


def _text_auc(values: NDArray[Any], label: NDArray[np.int8]) -> float:
    """AUC on the second half of the rows of the share of buyers that each text had in the first half.

    A text that the first half does not know gets the share of all, so that rare texts cannot learn their own label.
    """
    _, code = np.unique(np.array([str(value) for value in values]), return_inverse=True)
    half = len(label) // 2
    if half == 0:
        return 0.5
    rows, buyers = (np.bincount(code[:half], weights, code.max() + 1) for weights in (None, label[:half]))
    rate = float(label[:half].mean())
    share: NDArray[np.float64] = (buyers + rate) / (rows + 1)
    return single_feature_auc(share[code[half:]], label[half:])


def require_gap(splits: Sequence[tuple[str, datetime, datetime]]) -> None:
    """Refuse splits of which one's label windows reach past the beginning of the next: it trains on what comes after.

    Args:
        splits: (name, first anchor, end of the last label window), in order of time.

    Raises:
        SplitError: an anchor's label window reaches into the next split, as after a random split.
    """
    for (name, _, until), (following, first, _) in pairwise(splits):
        if until > first:
            raise SplitError(
                f"Splits {name!r} and {following!r} are too close: label windows of the one end at "
                f"{until:%Y-%m-%d %H:%M}, past the first anchor of the other, {first:%Y-%m-%d %H:%M}; expected a gap "
                "of at least the label's horizon. Split by time, move the border, or drop the anchors between."
            )
