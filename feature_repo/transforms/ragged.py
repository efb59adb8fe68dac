"""Lists of different lengths as two arrays: `values` and `offsets`, as Arrow keeps them; reductions without a loop."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ragged"]


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
            found = self._layout["shortest"] = int(self.lengths.min()) if len(self) else 0
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

    def sum(self) -> NDArray[np.float64]:
        """Sum of each list, 0.0 where it is empty.

        Each list is summed by itself and from its own first value on, so that the result does not depend on
        what else is in the batch: one customer online and a million offline give the same bits.
        """
        if self.shortest:  # the usual case, and one customer's: without masks
            return np.add.reduceat(self.values.astype(np.float64, copy=False), self.offsets[:-1])
        filled = self.lengths > 0
        result = np.zeros(len(self), np.float64)
        if filled.any():
            result[filled] = np.add.reduceat(self.values.astype(np.float64, copy=False), self.offsets[:-1][filled])
        return result

    def mean(self) -> NDArray[np.float64]:
        """Mean of each list, NaN where it is empty."""
        if self.shortest:
            return np.asarray(self.sum() / self.lengths, np.float64)
        result = np.full(len(self), np.nan)
        np.divide(self.sum(), self.lengths, out=result, where=self.lengths > 0)
        return result

    def std(self) -> NDArray[np.float64]:
        """Population standard deviation of each list, NaN where it is empty."""
        deviation = self.values - np.repeat(self.mean(), self.lengths)
        return np.sqrt(self.with_values(deviation * deviation).mean())

    def max(self) -> NDArray[np.float64]:
        """Largest value of each list, NaN where it is empty."""
        if self.shortest:
            return np.maximum.reduceat(self.values.astype(np.float64, copy=False), self.offsets[:-1])
        result = np.full(len(self), np.nan)
        filled = self.lengths > 0
        if filled.any():
            result[filled] = np.maximum.reduceat(self.values.astype(np.float64), self.offsets[:-1][filled])
        return result

    def last(self, back: int = 0) -> NDArray[np.float64]:
        """The value `back` places before each list's newest (its last), NaN where the list is too short."""
        if self.shortest > back:
            return self.values[self.offsets[1:] - (1 + back)].astype(np.float64)
        present = self.lengths > back
        result = np.full(len(self), np.nan)
        result[present] = self.values[self.offsets[1:][present] - 1 - back]
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
        newer = np.ones(len(self.values), np.bool_)
        newer[self.begins] = False
        step = np.diff(self.values, prepend=self.values[:1])
        return self.with_values(step).where(newer)
