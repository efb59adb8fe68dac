"""How far two lists are apart: the fewest elements to insert, remove or replace (Levenshtein)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["edit_distance"]


def edit_distance(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return how many elements must be inserted, removed or replaced to make `one` the other; NaN equals NaN.

    >>> edit_distance([1, 2, 3], [2, 3, 4])
    2
    """
    codes: dict[Any, int] = {}
    first, second = ([codes.setdefault(_same(cell), len(codes)) for cell in cells] for cells in (one, other))
    begin = 0
    while begin < min(len(first), len(second)) and first[begin] == second[begin]:
        begin += 1
    first, second = first[begin:], second[begin:]
    while first and second and first[-1] == second[-1]:
        first, second = first[:-1], second[:-1]
    return _levenshtein(np.array(first, np.int64), np.array(second, np.int64))


def _same(cell: Any) -> Any:
    if isinstance(cell, float):
        return "nan" if cell != cell else cell.hex()
    return cell


def _levenshtein(first: Any, second: Any) -> int:
    """One row of the table at a time; an insertion is a running minimum along the row."""
    steps = np.arange(len(second) + 1)
    row = steps
    for place, cell in enumerate(first, start=1):
        replaced = row[:-1] + (second != cell)
        removed = row[1:] + 1
        row = np.concatenate([[place], np.minimum(replaced, removed)])
        row = np.minimum.accumulate(row - steps) + steps
    return int(row[-1])
