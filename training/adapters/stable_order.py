"""The order of whole numbers: what `argsort(kind="stable")` gives, several times as fast."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["order_of_rows", "stable_order"]

WORD_BITS = 64
Numbers = npt.NDArray[np.int64]


def stable_order(numbers: Numbers) -> Numbers:
    """Return int64[n], the places of `numbers` (int64[n]) from the smallest to the largest; equal ones stay put.

    Number and place are sorted together as one word, for plain words sort far faster than places do; where the two do
    not fit into one, they are sorted as usual.
    """
    if not numbers.size:
        return np.empty(0, np.int64)
    least, most = int(numbers.min()), int(numbers.max())
    bits = (numbers.size - 1).bit_length()
    if (most - least).bit_length() + bits > WORD_BITS:
        return np.argsort(numbers, kind="stable")
    words = (numbers - least).astype(np.uint64)
    words <<= np.uint64(bits)
    words |= np.arange(numbers.size, dtype=np.uint64)
    words.sort()
    words &= np.uint64(2**bits - 1)
    return words.view(np.int64)


def order_of_rows(columns: Sequence[Numbers]) -> Numbers:
    """Return int64[n], the places of the rows by the first column (int64[n]), then by the second, and so on."""
    order: Numbers = np.arange(len(columns[0]), dtype=np.int64)
    for column in reversed(columns):
        values = column[order]
        if (values[1:] < values[:-1]).any():
            order = order[stable_order(values)]
    return order
