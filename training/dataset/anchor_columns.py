"""What the columns of an anchors file must be: keys as text, moments in UTC, labels of 0 and 1, names of splits."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feature_repo.errors import SourceDataError, SplitError
from feature_repo.events import TIMESTAMP
from training.dataset.time_splits import SPLITS

__all__ = ["KEYS", "canonical_anchors", "require_columns", "splits_of_column"]

KEYS = ("user_id", "item_id")
_YEAR_9999_US = 253_370_764_800_000_000
_UNIT_US = {"s": 1_000_000, "ms": 1_000, "us": 1}


def require_columns(schema: pa.Schema, keys: tuple[str, ...], features: frozenset[str], path: object) -> None:
    """Refuse a file whose columns cannot be anchors of a feature service.

    Args:
        schema: of the file.
        keys: the join keys of the service.
        features: names of the service's features.
        path: of the file, for messages.

    Raises:
        SourceDataError: a key or the timestamp is missing or of another type, or a name is a feature's, or twice.
    """
    names = schema.names
    missing = [name for name in dict.fromkeys(("user_id", *keys, "event_timestamp")) if name not in names]
    if missing:
        raise SourceDataError(
            f"{path} has no column {missing[0]!r}; got {names}; expected user_id, event_timestamp and the join keys of "
            f"the feature service {list(keys)}, and if you have them label and split. Rename or add the column."
        )
    twice = sorted({name for name in names if names.count(name) > 1} | (set(names) & features))
    if twice:
        raise SourceDataError(
            f"{path} has columns {twice} twice, or under the name of a feature; expected free names. Rename them."
        )
    for key in (key for key in KEYS if key in names):
        kind = schema.field(key).type
        if not _is_text(kind):
            raise SourceDataError(
                f"Column {key!r} of {path} has type {kind}, which can never equal the text that the features are kept "
                "under; expected text. Write the identifiers as they are in the log, with their leading zeros."
            )
    kind = schema.field("event_timestamp").type
    if not pa.types.is_timestamp(kind):
        raise SourceDataError(
            f"Column 'event_timestamp' of {path} has type {kind}; expected timestamps (without a zone they are UTC). "
            "Convert the column when you write the file."
        )


def canonical_anchors(table: pa.Table, first_row: int, path: object) -> pa.Table:
    """Return `table` with keys as string, `event_timestamp` as µs in UTC and `label` as int8; the rest as it is.

    Args:
        table: rows of the file.
        first_row: number of its first row in the file, for messages; the file's first is 1.
        path: of the file, for messages.

    Raises:
        SourceDataError: a moment is missing, before 1970 or in year 9999 or later, or a label is not 0 or 1.
    """
    for key in (key for key in KEYS if key in table.column_names):
        table = _with(table, key, table[key].cast(pa.string()))
    moments = _microseconds(table["event_timestamp"], first_row, path)
    table = _with(table, "event_timestamp", pa.array(moments).cast(TIMESTAMP))
    if "label" in table.column_names:
        table = _with(table, "label", _labels(table["label"], first_row, path))
    return table


def splits_of_column(column: Any, path: object) -> NDArray[np.int64]:
    """Return the place in `SPLITS` of each row's split.

    Raises:
        SplitError: a name is none of them, or missing.
    """
    names = pc.index_in(column.cast(pa.string()), pa.array(SPLITS))
    if names.null_count:
        strange = sorted({str(name) for name in column.filter(names.is_null()).unique().to_pylist()})[:5]
        raise SplitError(
            f"Column 'split' of {path} holds {strange}; expected one of {list(SPLITS)} in each row. Rename them, or "
            "leave the column out and have the rows split by the dates of intent.toml."
        )
    return np.asarray(names.to_numpy(), np.int64)


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _microseconds(column: Any, first_row: int, path: object) -> NDArray[np.int64]:
    if column.null_count:
        raise SourceDataError(
            f"Column 'event_timestamp' of {path} holds no timestamp in {column.null_count} of {len(column)} rows, the "
            f"first in row {first_row + _first(column.is_null())}; expected a moment in each, such as "
            "2001-01-08T00:00:00Z. Fill or drop these rows."
        )
    whole = column.cast(pa.int64()).to_numpy()
    unit = column.type.unit
    # Floor: a moment may not see what happened later within its microsecond.
    nanoseconds = unit == "ns"
    limit = _YEAR_9999_US * 1_000 if nanoseconds else _YEAR_9999_US // _UNIT_US[unit]
    bad = (whole < 0) if nanoseconds else (whole < 0) | (whole >= limit)
    if bad.any():
        raise SourceDataError(
            f"Column 'event_timestamp' of {path} lies before 1970 or after 9998 in {int(bad.sum())} rows, the first in "
            f"row {first_row + int(np.argmax(bad))}; expected moments of the log. Such dates mostly stand for a "
            "missing one: drop these rows."
        )
    return np.asarray(whole // 1_000 if nanoseconds else whole * _UNIT_US[unit], np.int64)


def _labels(column: Any, first_row: int, path: object) -> Any:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise SourceDataError(f"Column 'label' of {path} has type {kind}; expected the numbers 0 and 1. Convert it.")
    numbers = np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    bad = (numbers != 0) & (numbers != 1)
    if bad.any():
        raise SourceDataError(
            f"Column 'label' of {path} is neither 0 nor 1 in {int(bad.sum())} of {len(numbers)} rows, the first in row "
            f"{first_row + int(np.argmax(bad))}; expected 1 for a purchase within the horizon, else 0. Correct the "
            "labels, or leave the column out."
        )
    return pa.array(numbers.astype(np.int8))


def _first(flags: Any) -> int:
    return int(np.argmax(flags.to_numpy()))


def _with(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)
