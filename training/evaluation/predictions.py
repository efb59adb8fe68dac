"""The test predictions: what `test_predictions.parquet` holds, checked once, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_repo.errors import InputError, SourceDataError, SplitError
from feature_repo.events import TIMESTAMP

__all__ = ["ENSEMBLE", "PREFIX", "Predictions", "texts_of"]

ENSEMBLE = "ensemble"
PREFIX = "p_"

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row an anchor of the test period; all arrays have the same length n.

    `user_id` [n] is text; `anchor_us` int64 [n] is the anchor in microseconds since the epoch, UTC; `label` int8 [n]
    is 0 or 1; `probability` holds float64 [n] in [0, 1] for each member and for `ensemble`. `slices` holds the
    slice of each row, text [n], None where not known; the file does not have them. `item_id`, text [n], is the item
    that is asked about, None where anchors are of customers alone.
    """

    user_id: NDArray[np.object_]
    anchor_us: NDArray[np.int64]
    label: NDArray[np.int8]
    probability: Mapping[str, FloatArray]
    slices: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    item_id: NDArray[np.object_] | None = None

    def __post_init__(self) -> None:
        _check_lengths(self)
        _check_labels(self.label)
        for member, values in self.probability.items():
            _check_probability(member, values)

    @property
    def members(self) -> tuple[str, ...]:
        """The members' names in their given order, the ensemble last."""
        alone = [name for name in self.probability if name != ENSEMBLE]
        return (*alone, *([ENSEMBLE] if ENSEMBLE in self.probability else []))

    def customers(self) -> NDArray[np.int64]:
        """Return each row's customer as a number 0 … u-1 by the order of the ids, int64 [n]."""
        return np.unique(self.user_id.astype(str), return_inverse=True)[1].astype(np.int64)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Predictions":
        """Return the given rows; `rows` is a mask or an index."""
        return Predictions(
            user_id=self.user_id[rows],
            anchor_us=self.anchor_us[rows],
            label=self.label[rows],
            probability={name: values[rows] for name, values in self.probability.items()},
            slices={name: values[rows] for name, values in self.slices.items()},
            item_id=None if self.item_id is None else self.item_id[rows],
        )

    def to_table(self) -> pa.Table:
        """Return the table of `test_predictions.parquet`, without the slices."""
        columns = {
            "user_id": pa.array(self.user_id, pa.string()),
            **({} if self.item_id is None else {"item_id": pa.array(self.item_id, pa.string())}),
            "anchor_timestamp": pa.array(self.anchor_us, pa.int64()).cast(TIMESTAMP),
            "label": pa.array(self.label, pa.int8()),
        }
        columns |= {f"{PREFIX}{name}": pa.array(self.probability[name], pa.float64()) for name in self.members}
        return pa.table(columns)

    @classmethod
    def from_table(cls, table: pa.Table) -> "Predictions":
        """Read what `to_table` wrote.

        Raises SourceDataError when a column is missing.
        """
        needed = ("user_id", "anchor_timestamp", "label")
        missing = [name for name in needed if name not in table.column_names]
        members = [name for name in table.column_names if name.startswith(PREFIX)]
        if missing or not members:
            lacking = ", ".join(missing) or f"any column named {PREFIX}<member>"
            raise SourceDataError(
                f"Predictions lack columns: got {', '.join(table.column_names) or 'none'}; expected {lacking} too. "
                "Run `intent evaluate` to write the file anew."
            )
        return cls(
            user_id=texts_of(table, "user_id"),
            anchor_us=table["anchor_timestamp"].cast(TIMESTAMP).cast(pa.int64()).to_numpy(),
            label=_label_of(table),
            probability={name.removeprefix(PREFIX): table[name].cast(pa.float64()).to_numpy() for name in members},
            item_id=texts_of(table, "item_id") if "item_id" in table.column_names else None,
        )

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """Read `test_predictions.parquet`.

        Raises SourceDataError when the file is missing or is not whole.
        """
        try:
            table = pq.read_table(path)
        except FileNotFoundError as error:
            raise SourceDataError(
                f"Predictions are missing: no file at {path}; expected what `intent evaluate` writes. Run it first."
            ) from error
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceDataError(
                f"Predictions cannot be read: {path} is not a whole Parquet file ({error}). "
                "Run `intent evaluate` to write it anew."
            ) from error
        return cls.from_table(table)


def texts_of(table: pa.Table, name: str) -> NDArray[np.object_]:
    """Return a column of text as an array of objects, shape (rows,), None where it is null."""
    return table[name].to_numpy(zero_copy_only=False).astype(object)


def _label_of(table: pa.Table) -> NDArray[np.int8]:
    column = table["label"]
    if column.null_count:
        raise SourceDataError(
            f"Predictions have {column.null_count} rows without a label; expected 0 or 1 in each. "
            "Run `intent evaluate` to write the file anew."
        )
    return column.cast(pa.int8()).to_numpy()


def _check_lengths(predictions: Predictions) -> None:
    rows = len(predictions.label)
    if rows == 0:
        raise SplitError(
            "The test split is empty: got 0 anchors; expected at least one. "
            "Move `splits` in intent.toml so that the test period holds an anchor date."
        )
    columns = {"user_id": predictions.user_id, "anchor": predictions.anchor_us}
    columns |= {f"{PREFIX}{name}": values for name, values in predictions.probability.items()}
    columns |= dict(predictions.slices) | ({} if predictions.item_id is None else {"item_id": predictions.item_id})
    wrong = {name: len(values) for name, values in columns.items() if len(values) != rows}
    if wrong:
        raise InputError(f"Predictions differ in length: got {wrong}; expected {rows} rows in each, as in label.")


def _check_labels(label: NDArray[np.int8]) -> None:
    other = int(((label != 0) & (label != 1)).sum())
    if other:
        raise InputError(f"Labels are not binary: got {other} other values; expected only 0 and 1.")


def _check_probability(member: str, values: FloatArray) -> None:
    bad = int((~((values >= 0.0) & (values <= 1.0))).sum())
    if bad:
        raise InputError(
            f"Probabilities of {member} cannot be used: got {bad} of {len(values)} outside [0, 1] or NaN; "
            f"expected none. Look at the member's inputs for NaN or infinite features."
        )
