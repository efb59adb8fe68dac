"""Arithmetic on ragged arrays: many short runs held as one array of values and one of lengths."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def run_indices(first: Ints, length: Ints) -> Ints:
    """Return `first[i], first[i] + 1, …` (`length[i]` of them) for each i, one run after the other."""
    ends = np.cumsum(length)
    total = int(ends[-1]) if len(ends) else 0
    indices = np.repeat(first - (ends - length), length)
    indices += np.arange(total, dtype=np.int64)
    return indices


def offsets_of(length: Ints) -> Ints:
    """Return where each run begins, and at the end the total: `len(length) + 1` numbers."""
    offsets = np.zeros(len(length) + 1, dtype=np.int64)
    np.cumsum(length, out=offsets[1:])
    return offsets


def count_true(mask: NDArray[np.bool_], length: Ints) -> Ints:
    """Return how many elements of each run are true."""
    total = np.zeros(len(mask) + 1, dtype=np.int64)
    np.cumsum(mask, out=total[1:])
    offsets = offsets_of(length)
    return total[offsets[1:]] - total[offsets[:-1]]


def bisect_runs(values: Ints, low: Ints, high: Ints, sought: Ints, after_equal: bool) -> Ints:
    """Search each run `values[low[i]:high[i]]` (ascending) for `sought[i]`.

    Returns:
        The first place in `low[i] … high[i]` whose value is above `sought[i]` (`after_equal`), or not below it.
    """
    low, high = low.copy(), high.copy()
    if len(values) == 0:
        return low
    while True:
        open_runs = low < high
        if not open_runs.any():
            return low
        middle = (low + high) >> 1
        probe = values[np.minimum(middle, len(values) - 1)]
        right = (probe <= sought if after_equal else probe < sought) & open_runs
        low = np.where(right, middle + 1, low)
        high = np.where(open_runs & ~right, middle, high)
