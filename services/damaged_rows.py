"""Rows that a store holds and no score can be made of: their view counts as missing, and all other rows are unharmed.

A row may be whole for the store and still be damaged: lists that do not belong together, events out of order, more
steps than its view keeps, a value that makes a score no number. Nothing looks for that in every row, which would cost
every request; it is looked for where a score failed.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import FeatureError
from services.feature_lookup import ViewRows

__all__ = ["DAMAGED", "require_numbers", "scored_undamaged", "without_damaged"]

DAMAGED = "corrupt"
"""What is said of such a row: as of one that cannot be unpacked."""

Views = Mapping[str, ViewRows]
Rows = NDArray[np.int64]
Score = Callable[[Views, Rows | slice], object]
T = TypeVar("T")
ALL = slice(None)

_log = logging.getLogger("bentoml.intent")
_told: set[str] = set()


def require_numbers(probability: NDArray[np.float64]) -> None:
    """Refuse scores that are none.

    Raises:
        FeatureError: one is NaN.
    """
    if np.isnan(probability).any():
        raise FeatureError(
            f"{int(np.isnan(probability).sum())} of {len(probability)} scores are no numbers; expected probabilities. "
            "A stored value is infinite, or not known where the model takes none that is not. Write the row again."
        )


def scored_undamaged(views: Views, count: int, score: Callable[[Views, Rows | slice], T]) -> tuple[Views, T]:
    """Return the views that a score could be made of, and what `score` makes of them.

    Args:
        views: as `without_damaged` takes them, and so are `count` and `score`, whose rows are all at first, as a slice.

    Raises:
        FeatureError: no score can be made without any row either.
    """
    try:
        return views, score(views, ALL)
    except FeatureError as error:
        views = without_damaged(views, count, score, error)
        return views, score(views, ALL)


def without_damaged(views: Views, count: int, score: Score, error: FeatureError) -> Views:
    """Return the views without the rows that make `score` fail, which it did with `error` for all of them.

    A row of a view is kept if it can be scored beside what was kept of the views before.

    Args:
        views: each of `count` rows, or of one that holds for all.
        count: how many scores are asked for.
        score: scores the rows that it is given the places of, in views cut down to them; each by itself.
        error: what it raised.

    Raises:
        FeatureError: `error`; no score can be made without any row either.
    """
    kept = {name: rows.without(np.ones(len(rows.status), np.bool_), DAMAGED) for name, rows in views.items()}
    if not _can(score, kept, np.arange(count)):
        raise error
    for name, rows in views.items():
        size = len(rows.status)
        damaged = _damaged(np.arange(size), partial(_can_some, score, {**kept, name: rows}, size, count))
        kept[name] = rows.without(np.isin(np.arange(size), damaged), DAMAGED) if damaged else rows
        if damaged and name not in _told:
            _told.add(name)  # once, however many there are: `intent_view_rows_total` counts them
            _log.error("A stored row of the view %r cannot be used and counts as missing: %s", name, error)
    return kept


def _damaged(rows: Rows, can: Callable[[Rows], bool]) -> Sequence[int]:
    """Return which of some rows cannot be scored, by halves."""
    if can(rows):
        return []
    if len(rows) == 1:
        return [int(rows[0])]
    half = len(rows) // 2
    return [*_damaged(rows[:half], can), *_damaged(rows[half:], can)]


def _can_some(score: Score, views: Views, size: int, count: int, some: Rows) -> bool:
    """Say whether some rows of the views that have `size` rows can be scored beside the other views."""
    cut = {name: rows.take(some) if len(rows.status) == size else rows for name, rows in views.items()}
    return _can(score, cut, some if size == count else np.arange(count))


def _can(score: Score, views: Views, rows: Rows) -> bool:
    try:
        score(views, rows)
    except FeatureError:
        return False
    return True
