"""Two columns, row by row and bit by bit: what was served, and what the offline join gives at the same moment."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from training.consistency.edit_distance import edit_distance

__all__ = ["FeatureComparison", "compare_columns"]

_MEASURED_ROWS = 1000
"""Edit distances, and signed differences for the hints, are taken of at most this many differing rows a feature."""

Mask = NDArray[np.bool_]


@dataclass
class FeatureComparison:
    """How often a feature was served as the offline join has it; `add` joins two of them.

    A row is `exact` if both sides have the same bits, or if neither knows a value. It is a mismatch if both have one
    and they differ; else it is missing on one side. Null and NaN are the same; so are a null list and an empty one.
    `unknown` counts the exact rows that neither side knows. Differences are absolute, of numbers, over the places that
    differ: of lists, those of equal length.
    """

    rows: int = 0
    exact: int = 0
    unknown: int = 0
    mismatches: int = 0
    missing_served: int = 0
    missing_offline: int = 0
    largest: float = 0.0
    total: float = 0.0
    measured: int = 0
    edits: int = 0
    edited: int = 0
    most_edits: int = 0
    older_left_out: int = 0
    signed: list[float] = field(default_factory=list)

    @property
    def differing(self) -> int:
        """Rows that are not exact."""
        return self.rows - self.exact

    @property
    def mean_difference(self) -> float | None:
        """Mean of the differences, or None if none was measured."""
        return self.total / self.measured if self.measured else None

    @property
    def mean_edits(self) -> float | None:
        """Mean edit distance of differing lists, or None if none was measured."""
        return self.edits / self.edited if self.edited else None

    def add(self, other: "FeatureComparison") -> None:
        """Add the counts of other rows of the same feature."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest = max(self.largest, other.largest)
        self.most_edits = max(self.most_edits, other.most_edits)
        self.signed = (self.signed + other.signed)[:_MEASURED_ROWS]


_SUMS = (
    "rows",
    "exact",
    "unknown",
    "mismatches",
    "missing_served",
    "missing_offline",
    "total",
    "measured",
    "edits",
    "edited",
    "older_left_out",
)


def compare_columns(served: Any, offline: Any) -> tuple[FeatureComparison, Mask]:
    """Return the comparison of two columns of n rows, and which rows differ (bool, shape (n,)).

    Args:
        served: an Arrow array or chunked array.
        offline: the same; it is cast to the type of what was served.
    """
    served, offline = _whole(served), _whole(offline)
    offline = offline.cast(served.type)
    if pa.types.is_list(served.type):
        return _compare_lists(served, offline)
    return _compare_cells(served, offline)


def _compare_cells(served: Any, offline: Any) -> tuple[FeatureComparison, Mask]:
    known, known_offline = _known(served), _known(offline)
    same = _same(served, offline)
    found = _counted(known, known_offline, same)
    differs = known & known_offline & ~same
    _measure(found, served, offline, differs)
    return found, ~np.where(known & known_offline, same, known == known_offline)


def _compare_lists(served: Any, offline: Any) -> tuple[FeatureComparison, Mask]:
    lengths, lengths_offline = _lengths(served), _lengths(offline)
    as_long = lengths == lengths_offline
    cells, cells_offline = (_flat(column.filter(pa.array(as_long))) for column in (served, offline))
    row = np.repeat(np.flatnonzero(as_long), lengths[as_long])
    unequal = ~_same(cells, cells_offline) & (_known(cells) | _known(cells_offline))
    same = as_long.copy()
    same[row[unequal]] = False
    found = _counted(lengths > 0, lengths_offline > 0, same)
    _measure(found, cells, cells_offline, unequal & _known(cells) & _known(cells_offline))
    for place in np.flatnonzero(~same)[:_MEASURED_ROWS].tolist():
        one, other = _cells(served[place]), _cells(offline[place])
        distance = edit_distance(one, other)
        found.edits, found.edited = found.edits + distance, found.edited + 1
        found.most_edits = max(found.most_edits, distance)
        found.older_left_out += 0 < len(one) < len(other) and edit_distance(one, other[-len(one) :]) == 0
    return found, ~same


def _counted(known: Mask, known_offline: Mask, same: Mask) -> FeatureComparison:
    both, neither = known & known_offline, ~known & ~known_offline
    return FeatureComparison(
        rows=len(known),
        exact=int((both & same).sum() + neither.sum()),
        unknown=int(neither.sum()),
        mismatches=int((both & ~same).sum()),
        missing_served=int((~known & known_offline).sum()),
        missing_offline=int((known & ~known_offline).sum()),
    )


def _measure(found: FeatureComparison, served: Any, offline: Any, differs: Mask) -> None:
    """Differences of numbers, where both sides have one and they differ."""
    if not differs.any() or not _is_number(served.type):
        return
    places = pa.array(np.flatnonzero(differs))
    first, second = (cells.take(places).to_numpy(zero_copy_only=False) for cells in (served, offline))
    with np.errstate(invalid="ignore"):  # infinity less infinity
        signed = first - second
    sizes = np.abs(signed.astype(np.float64))
    found.largest = float(np.nanmax(sizes, initial=0.0))
    found.total, found.measured = float(np.nansum(sizes)), len(sizes)
    found.signed = signed[:_MEASURED_ROWS].tolist()


def _same(one: Any, other: Any) -> Mask:
    """Whether cells have the same bits; what a null cell gives means nothing."""
    if pa.types.is_floating(one.type):
        bits = np.int32 if one.type.bit_width == 32 else np.int64
        first, second = (np.ascontiguousarray(_floats(cells)).view(bits) for cells in (one, other))
        return np.asarray(first == second)
    return np.asarray(pc.fill_null(pc.equal(one, other), False).to_numpy(zero_copy_only=False), np.bool_)


def _known(cells: Any) -> Mask:
    known = np.asarray(cells.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    return known & ~np.isnan(_floats(cells)) if pa.types.is_floating(cells.type) else known


def _floats(cells: Any) -> Any:
    return cells.fill_null(float("nan")).to_numpy(zero_copy_only=False)


def _lengths(lists: Any) -> Any:
    return lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def _flat(lists: Any) -> Any:
    return _whole(lists.flatten())


def _cells(scalar: Any) -> list[Any]:
    return [float("nan") if cell is None else cell for cell in scalar.as_py() or ()]


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
