"""Rolling-origin folds inside a training period: what was labelled by a date is fitted on, later dates are judged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import SplitError
from training.dataset.examples import Examples
from training.ensemble.forward_predictions import DAY_US

__all__ = ["FOLDS", "Fold", "forward_folds"]

FOLDS = 3
_WARM_UP = 0.5
"""Share of the dates that are never judged: the first fold needs something to learn from."""
_STOP = 0.75
"""Share of a fold's known dates after which the rest decides when to stop."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Numbers of rows, int64, in order. `known`: labelled by the first judged date; of these, `stop` (perhaps none) is
    the latest part, which decides when to stop, and `fit` what was labelled before it. `judged`: the dates after.
    """

    fit: Rows
    stop: Rows
    known: Rows
    judged: Rows


def forward_folds(examples: Examples, horizon_days: float, count: int = FOLDS) -> list[Fold]:
    """Return up to `count` folds, oldest first: the later half of the dates in contiguous blocks of about equal size.

    A block is left out if what is known before it, or the block itself, holds one class only.

    Raises:
        SplitError: no fold is left.
    """
    at, label = examples.anchor_us, examples.label
    horizon = round(horizon_days * DAY_US)
    dates = np.unique(at)
    later = dates[int(np.ceil(len(dates) * _WARM_UP)) :]
    blocks = [block for block in np.array_split(later, min(count, max(len(later), 1))) if len(block)]
    folds = []
    for block in blocks:
        known = np.flatnonzero(at + horizon <= block[0])
        judged = np.flatnonzero((at >= block[0]) & (at <= block[-1]))
        if _both(label[known]) and _both(label[judged]):
            folds.append(Fold(*_stopping(at, label, known, horizon), known, judged))
    if not folds:
        raise SplitError(
            f"The training period has {len(dates)} anchor dates, none of which can be judged by what was labelled "
            "before it; expected at least two, with both labels, and the horizon apart. Take a longer training period."
        )
    return folds


def _stopping(at: Rows, label: NDArray[np.int8], known: Rows, horizon: int) -> tuple[Rows, Rows]:
    dates = np.unique(at[known])
    origin = dates[min(int(len(dates) * _STOP), len(dates) - 1)]
    fit, stop = known[at[known] + horizon <= origin], known[at[known] >= origin]
    return (fit, stop) if _both(label[fit]) and _both(label[stop]) else (known, known[:0])


def _both(label: NDArray[np.int8]) -> bool:
    return len(np.unique(label)) == 2
