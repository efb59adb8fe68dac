"""Lists of different lengths as two arrays: `values` and `offsets`, as Arrow keeps them; reductions without a loop."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ragged"]

_FEW = 1024  # values that are added up in several ways at once: a request's, not a training set's


@dataclass(frozen=True, slots=True)
class Ragged:
    """n lists laid end to end: list i is `values[offsets[i]:offsets[i + 1]]`.

    `values` has shape (total,), any dtype; `offsets` has shape (n + 1,), int64, begins with 0 and never falls.

    >>> gaps = Ragged(np.array([1.0, 2.0, 5.0]), np.array([0, 2, 2, 3]))
    >>> gaps.sum()
    array([3., 0., 5.])
    >>> gaps.last()
    array([ 2., nan,  5.])
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]
    _layout: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # what lists of one shape share

    @classmethod
    def empty(cls, lists: int, dtype: Any = np.float64) -> "Ragged":
        """Return `lists` empty lists."""
        return cls(np.empty(0, dtype), np.zeros(lists + 1, np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many values each list holds; shape (n,)."""
        found: NDArray[np.int64] | None = self._layout.get("lengths")
        if found is None:
            found = self._layout["lengths"] = self.offsets[1:] - self.offsets[:-1]
        return found

    @property
    def shortest(self) -> int:
        """How many values the shortest list holds; 0 where there is no list."""
        found: int | None = self._layout.get("shortest")
        if found is None:
            # One list's length is where it ends: a request's, for which each look at an array counts.
            found = int(self.offsets[1]) if len(self) == 1 else int(self.lengths.min()) if len(self) else 0
            self._layout["shortest"] = found
        return found

    @property
    def row(self) -> NDArray[np.int64]:
        """For each value, the number of the list it is in; shape (total,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def begins(self) -> NDArray[np.int64]:
        """Where the first value of each list is that has one."""
        return self.offsets[:-1] if self.shortest else self.offsets[:-1][self.lengths > 0]

    def with_values(self, values: NDArray[Any]) -> "Ragged":
        """Return the same lists holding other values, one for one."""
        return Ragged(values, self.offsets, self._layout)

    def known_or_zero(self) -> "Ragged":
        """Return the same lists of float64 with 0.0 for NaN."""
        unknown = np.isnan(self.values)
        return self.with_values(np.where(unknown, 0.0, self.values)) if unknown.any() else self

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return for each value in the lists that of `values` (shape (n,)) which is its list's.

        Of one list's the only one is given as it is, shape (1,), for NumPy to broadcast.
        """
        return values if len(self) == 1 else np.repeat(values, self.lengths)

    def sum(self) -> NDArray[np.float64]:
        """Sum of each list, 0.0 where it is empty.

        Each list is summed by itself and from its own first value on, so that the result does not depend on
        what else is in the batch: one customer online and a million offline give the same bits.
        """
        if self.shortest:  # the usual case, and one customer's: without masks
            return np.add.reduceat(self.values.astype(np.float64, copy=False), self.offsets[:-1])
        result = np.zeros(len(self), np.float64)
        if len(self.values):
            filled = self.lengths > 0
            result[filled] = np.add.reduceat(self.values.astype(np.float64, copy=False), self.offsets[:-1][filled])
        return result

    def sums(self, rows: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.float64]]:
        """Yield what `sum` gives of lists of this shape with the values of each of `rows`: the same bits.

        A request's few values are added up all at once, in a fraction of the time; a training set's row by row, as
        they are asked for.
        """
        if not self.shortest or len(self.values) > _FEW:
            return (self.with_values(row).sum() for row in rows)
        table = np.concatenate([*rows], dtype=np.float64).reshape(-1, len(self.values))
        return iter(np.add.reduceat(table, self.offsets[:-1], axis=1))

    def mean(self) -> NDArray[np.float64]:
        """Mean of each list, NaN where it is empty."""
        return self.per_value(self.sum())

    def per_value(self, amounts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Divide `amounts` (shape (n,)) by the lengths; NaN where a list is empty."""
        if self.shortest:
            return np.asarray(amounts / (self.shortest if len(self) == 1 else self.lengths), np.float64)
        result = np.full(len(self), np.nan)
        if len(self.values):
            np.divide(amounts, self.lengths, out=result, where=self.lengths > 0)
        return result

    def std(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Population standard deviation of each list around its `mean`, NaN where it is empty."""
        deviation = self.values - self.spread(mean)
        return np.sqrt(self.with_values(deviation * deviation).mean())

    def max(self) -> NDArray[np.float64]:
        """Largest value of each list, NaN where it is empty."""
        if self.shortest:
            return np.maximum.reduceat(self.values.astype(np.float64, copy=False), self.offsets[:-1])
        result = np.full(len(self), np.nan)
        if len(self.values):
            filled = self.lengths > 0
            result[filled] = np.maximum.reduceat(self.values.astype(np.float64), self.offsets[:-1][filled])
        return result

    def last(self) -> NDArray[np.float64]:
        """Each list's newest (its last) value, NaN where it is empty."""
        if self.shortest:
            return (self.values[-1:] if len(self) == 1 else self.values[self.offsets[1:] - 1]).astype(np.float64)
        return np.asarray(self.newest(1)[0])

    def newest(self, count: int) -> NDArray[np.float64]:
        """The `count` newest values of each list, the last one first; shape (count, n), NaN where it is too short."""
        if len(self) == 1:
            newest = np.full((count, 1), np.nan)
            newest[: min(count, self.shortest), 0] = self.values[: -count - 1 : -1]
            return newest
        back = np.arange(count)[:, None]
        places = self.offsets[1:] - 1 - back
        if self.shortest >= count:
            return self.values[places].astype(np.float64)
        result, present = np.full((count, len(self)), np.nan), self.lengths > back
        result[present] = self.values[places[present]]
        return result

    def where(self, keep: NDArray[np.bool_]) -> "Ragged":
        """Return the lists without the values for which `keep` (shape (total,)) is false."""
        counted = np.zeros(len(keep) + 1, np.int64)
        np.cumsum(keep, out=counted[1:])
        return Ragged(self.values[keep], counted[self.offsets])

    def take(self, index: NDArray[np.int64]) -> "Ragged":
        """Return the lists with the numbers `index`, in that order."""
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        position = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][index] - offsets[:-1], lengths)
        return Ragged(self.values[position], offsets)

    def differences(self) -> "Ragged":
        """Return each list's differences between neighbours: one value fewer, none for lists of one or none."""
        step = self.values[1:] - self.values[:-1]
        if len(self) == 1:
            return Ragged(step, np.array([0, len(step)]))
        newer = np.ones(len(self.values), np.bool_)
        newer[self.begins] = False
        counted = np.concatenate([[0], np.cumsum(newer)])
        return Ragged(step[newer[1:]], counted[self.offsets])
