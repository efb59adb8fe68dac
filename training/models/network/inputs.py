"""Encoded rows for a network: lists of different lengths beside a table, in batches with little padding."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import SequenceEncoding, TabularEncoding

__all__ = ["Inputs", "equal_length_batches", "inputs_of", "shuffled_batches"]

# Batches that are sorted by length together: enough to find neighbours of the same length, few enough to stay mixed.
POOL = 32


@dataclass(frozen=True)
class Inputs:
    """n encoded rows: list i is `values[offsets[i]:offsets[i + 1]]`, at least one step; float32 all.

    `values` (total, channels), `offsets` int64 (n + 1,), `tabular` (n, columns). A network without a sequence has no
    channels, and one step a row.
    """

    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    tabular: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.tabular)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each list, shape (n,)."""
        return np.diff(self.offsets)

    def padded(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the lists `rows`, float32 (len(rows), longest, channels), padded at the end with zeros."""
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        step = np.arange(longest)
        if (lengths == longest).all():
            return self.values[self.offsets[rows][:, None] + step]
        there = step < lengths[:, None]
        place = np.where(there, self.offsets[rows][:, None] + step, 0)
        return np.where(there[..., None], self.values[place], np.float32(0))


def inputs_of(sequence: SequenceEncoding | None, tabular: TabularEncoding, features: CustomerFeatures) -> Inputs:
    """Encode `features`; a row without steps gets one step of zeros."""
    table = tabular.apply(features)
    if sequence is None:
        return Inputs(np.zeros((features.n, 0), np.float32), np.arange(features.n + 1), table)
    values, offsets = sequence.apply(features)
    lengths = np.diff(offsets)
    if lengths.all():
        return Inputs(values, offsets, table)
    starts = np.concatenate([[0], np.cumsum(np.maximum(lengths, 1))]).astype(np.int64)
    stretched = np.zeros((starts[-1], values.shape[1]), np.float32)
    stretched[np.repeat(starts[:-1] - offsets[:-1], lengths) + np.arange(len(values))] = values
    return Inputs(stretched, starts, table)


def shuffled_batches(lengths: NDArray[np.int64], size: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield every row once, in random batches of at most `size` rows of similar length."""
    order = random.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), size * POOL):
        pool = order[start : start + size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    for number in random.permutation(len(batches)):
        yield batches[number]


def equal_length_batches(lengths: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield every row once, in batches of at most `size` rows of the same length: nothing is padded."""
    order = np.argsort(lengths, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        yield from (group[i : i + size] for i in range(0, len(group), size))
