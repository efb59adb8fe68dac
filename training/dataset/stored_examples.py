"""Examples that stay on disk: of what a fit holds in memory, only keys and labels grow with the data set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_repo.transforms.columns import columns_of
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.feature_sets import FeatureFunction
from training.dataset.concatenate import concatenate
from training.dataset.examples import Examples

__all__ = ["PART_ROWS", "SAMPLE_ROWS", "StoredExamples", "one_after_the_other"]

PART_ROWS = 8_192
"""Rows whose features are in memory at a time."""
SAMPLE_ROWS = 20_000
"""Rows that scales and vocabularies are fitted on: enough for a median, and for a word that one in a thousand has."""
_KEYS = ["user_id", "event_timestamp", "label"]


@dataclass(frozen=True)
class _Rows:
    """The kept rows of one file: its path, and a mask over its rows (True everywhere unless something was taken)."""

    path: Path
    kept: NDArray[np.bool_]


class StoredExamples(Examples):
    """The anchors of Parquet files in order; their features are computed whenever they are asked for, part by part."""

    def __init__(
        self,
        files: Sequence[_Rows],
        keys: tuple[NDArray[np.object_], NDArray[np.int64], NDArray[np.int8]],
        function: FeatureFunction,
    ) -> None:
        for name, value in zip(("user_id", "anchor_us", "label"), keys, strict=True):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "files", tuple(files))
        object.__setattr__(self, "function", function)

    files: tuple[_Rows, ...]
    function: FeatureFunction

    @classmethod
    def open(cls, paths: Sequence[Path], function: FeatureFunction) -> "StoredExamples":
        """Read keys and labels of the files `paths`; `function` makes features of their columns."""
        files, found = [], []
        known: dict[str, str] = {}  # a customer has anchors on many dates, but one name in memory
        for path in paths:
            names = [name for name in _KEYS if name in pq.read_schema(path).names]
            columns = columns_of(pq.read_table(path, columns=names))
            n = len(columns["user_id"])
            files.append(_Rows(path, np.ones(n, np.bool_)))
            label = columns.get("label", np.full(n, -1)).astype(np.int8)
            users = np.fromiter((known.setdefault(user, user) for user in columns["user_id"]), object, n)
            found.append((users, columns["event_timestamp"], label))
        user_id, anchor_us, label = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return cls(files, (user_id, anchor_us, label), function)

    @property
    def stored(self) -> bool:
        """True: nothing but keys and labels is in memory."""
        return True

    @property
    def features(self) -> CustomerFeatures:
        """All features at once, which takes as much memory as it takes."""
        parts = list(self.parts())
        while len(parts) > 1:  # in pairs: one after the other would copy the first part again and again
            pairs = zip(parts[::2], [*parts[1::2], None], strict=False)
            parts = [one if other is None else concatenate(one, other) for one, other in pairs]
        return parts[0].features if parts else self.function({}, self.anchor_us)

    @cached_property
    def sample(self) -> Examples:
        """`SAMPLE_ROWS` anchors of all dates in memory, or all if there are fewer; always the same ones."""
        chosen = self.take(np.sort(np.random.default_rng(0).permutation(len(self))[:SAMPLE_ROWS]))
        return Examples(chosen.user_id, chosen.anchor_us, chosen.label, chosen.features)

    def forget_sample(self) -> None:
        """Give the sample's features back: a long fit would stand on top of them."""
        self.__dict__.pop("sample", None)

    def parts(self) -> Iterator[Examples]:
        """Yield the anchors in order, at most `PART_ROWS` of them at a time, with their features."""
        start = 0
        for file in self.files:
            for table in _batches(file):
                place = slice(start, start + table.num_rows)
                part = Examples.from_table(table, self.function)
                yield Examples(self.user_id[place], self.anchor_us[place], self.label[place], part.features)
                start += table.num_rows

    def take(self, index: NDArray[Any]) -> "StoredExamples":
        """Return the anchors with the numbers `index`, ascending, or for which a mask is true; they stay on disk.

        Raises:
            ValueError: the numbers are not ascending: files are read from the front.
        """
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index
        if (np.diff(index) <= 0).any():
            raise ValueError("Numbers of stored examples are not ascending; expected each row once, in order.")
        wanted, files, start = np.zeros(len(self), np.bool_), [], 0
        wanted[index] = True
        for file in self.files:
            places = np.flatnonzero(file.kept)
            kept = np.zeros(len(file.kept), np.bool_)
            kept[places[wanted[start : start + len(places)]]] = True
            start += len(places)
            files.append(_Rows(file.path, kept))
        return StoredExamples(files, (self.user_id[index], self.anchor_us[index], self.label[index]), self.function)

    def dated(self, date_us: NDArray[np.int64]) -> "StoredExamples":
        """Return the same anchors under their dates."""
        return StoredExamples(self.files, (self.user_id, date_us, self.label), self.function)


def one_after_the_other(earlier: Examples, later: Examples) -> Examples:
    """Return the anchors of `earlier`, then those of `later`; what is on disk stays there."""
    if not (isinstance(earlier, StoredExamples) and isinstance(later, StoredExamples)):
        return concatenate(earlier, later)
    keys = (
        np.concatenate([earlier.user_id, later.user_id]),
        np.concatenate([earlier.anchor_us, later.anchor_us]),
        np.concatenate([earlier.label, later.label]),
    )
    return StoredExamples((*earlier.files, *later.files), keys, earlier.function)


def _batches(file: _Rows) -> Iterator[pa.Table]:
    """Yield the kept rows of a file in order, as tables that are not empty."""
    start = 0
    with pq.ParquetFile(file.path) as content:
        for group in range(content.num_row_groups):
            rows = content.metadata.row_group(group).num_rows
            if file.kept[start : start + rows].any():
                place = start
                for batch in content.iter_batches(PART_ROWS, row_groups=[group]):
                    kept = file.kept[place : place + batch.num_rows]
                    place += batch.num_rows
                    if kept.any():
                        yield pa.Table.from_batches([batch]).filter(pa.array(kept))
            start += rows
