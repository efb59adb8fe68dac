"""Windows over a customer's last N baskets, evaluated at t: (t - w, t].

A window saturates at N baskets, offline and online alike; N is the tag of the view's source.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.ragged import Ragged
from feature_repo.transforms.recency import DAY_US

__all__ = ["in_windows"]


def in_windows(moments: Ragged, at_us: NDArray[np.int64], days: Sequence[float]) -> NDArray[np.bool_]:
    """Return for each window and moment whether it lies in (t - days, t]; shape (windows, total).

    >>> baskets = Ragged(np.array([0, 2 * DAY_US, 9 * DAY_US]), np.array([0, 3]))
    >>> in_windows(baskets, np.array([9 * DAY_US]), [7, 8])
    array([[False, False,  True],
           [False,  True,  True]])
    """
    end = moments.spread(at_us)
    begin = end - _microseconds(tuple(days))
    return np.asarray((moments.values > begin) & (moments.values <= end))


@cache
def _microseconds(days: tuple[float, ...]) -> NDArray[np.int64]:
    return np.array([[round(length * DAY_US)] for length in days], np.int64)
