"""The caller's entity rows: checked, turned into anchors, and handed back untouched."""

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from intent_stores.entity_keys import matching_key
from intent_stores.errors import EntityRowsError
from intent_stores.view_plan import ViewPlan

EVENT_TIMESTAMP = "event_timestamp"
_YEAR_1, _YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000


@dataclass(frozen=True)
class EntityRows:
    """Entity rows of one request.

    Attributes:
        table: all columns as Arrow, in the caller's order.
        frame: the caller's DataFrame with a fresh index; None where the rows came from SQL or dates.
        timestamp_column: name of the column with the moments.
        t: int64, those moments in microseconds since 1970 in UTC.
    """

    table: pa.Table
    frame: pd.DataFrame | None
    timestamp_column: str
    t: "np.ndarray[tuple[int], np.dtype[np.int64]]"

    def anchors(self, plan: ViewPlan) -> pa.Table:
        """Return what a join needs of these rows: place `r`, keys `k0` …, moment `t`.

        Raises:
            EntityRowsError: a key column is missing.
            EntityKeyTypeError: a key's type can never equal the source's.
        """
        columns: dict[str, Any] = {"r": np.arange(len(self.t), dtype=np.int64)}
        for i, key in enumerate(plan.keys):
            if key.entity_column not in self.table.column_names:
                raise EntityRowsError(
                    f"The entity rows have no column {key.entity_column!r}, the join key of view {plan.name!r}; they "
                    f"have {self.table.column_names}. Add the column, or map another name to it with "
                    "with_join_key_map."
                )
            kind = plan.source.require(key.source_column, "a join key")
            columns[f"k{i}"] = matching_key(self.table.column(key.entity_column), kind, key, plan)
        columns["t"] = self.t
        return pa.table(columns)


def entity_rows_of_frame(frame: pd.DataFrame) -> EntityRows:
    """Check a DataFrame of entity rows; its index is not part of them.

    Raises:
        EntityRowsError: no usable timestamp column, no rows' worth of columns, names that are not unique strings,
            or values that Arrow cannot hold.
    """
    names = list(frame.columns)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise EntityRowsError(
            f"The entity rows' column names are {names}; expected strings, each once. Rename the columns."
        )
    frame = frame.reset_index(drop=True)
    arrays = [_as_arrow(frame[name]) for name in names]
    table = pa.Table.from_arrays(arrays, names=names)
    return _checked(table, frame)


def entity_rows_of_query(connection: duckdb.DuckDBPyConnection, query: str) -> EntityRows:
    """Run an SQL entity query in DuckDB; relative file names start at the repository's folder.

    Raises:
        EntityRowsError: the query fails, or its result has no usable timestamp column.
    """
    try:
        table = connection.sql(query).to_arrow_table()
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        if isinstance(error, duckdb.OutOfMemoryException):
            raise
        raise EntityRowsError(_query_message(error)) from error
    except duckdb.Error as error:
        raise EntityRowsError(_query_message(error)) from error
    return _checked(table.combine_chunks(), None)


def entity_rows_of_table(table: pa.Table) -> EntityRows:
    """Check entity rows that are an Arrow table already."""
    return _checked(table, None)


def _query_message(error: Exception) -> str:
    return (
        f"The entity query failed in DuckDB: {error}. Expected a SELECT with the join keys and a timestamp column; "
        "files are read with read_parquet('…'), relative to the folder of feature_store.yaml."
    )


def _checked(table: pa.Table, frame: pd.DataFrame | None) -> EntityRows:
    column = _timestamp_column(table.schema)
    return EntityRows(table, frame, column, _micros(table.column(column), column))


def _as_arrow(series: pd.Series) -> pa.Array:
    try:
        array = pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise EntityRowsError(
            f"The entity rows' column {series.name!r} mixes types that Arrow cannot hold ({error}); expected one type "
            "in a column. Convert it, for example with .astype(str), or leave it out."
        ) from error
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _timestamp_column(schema: pa.Schema) -> str:
    found = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    if EVENT_TIMESTAMP in schema.names:
        if EVENT_TIMESTAMP not in found:
            given = schema.field(EVENT_TIMESTAMP).type
            raise EntityRowsError(
                f"The entity rows' column {EVENT_TIMESTAMP!r} has type {given}; expected timestamps. "
                "Convert it with pd.to_datetime(…, utc=True), or CAST(… AS TIMESTAMPTZ) in SQL."
            )
        return EVENT_TIMESTAMP
    if len(found) == 1:
        return found[0]
    raise EntityRowsError(
        f"The entity rows have {len(found)} timestamp columns {found} and none named {EVENT_TIMESTAMP!r}; expected one "
        f"that says at which moment each row asks. Name it {EVENT_TIMESTAMP!r}. Columns: {schema.names}."
    )


def _micros(column: pa.ChunkedArray, name: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    if column.null_count:
        raise EntityRowsError(
            f"The entity rows' timestamp {name!r} is null in {column.null_count} of {len(column)} rows; expected a "
            "moment in each, since nothing was known at no moment. Fill or drop these rows."
        )
    unit = column.type.unit
    whole = column.cast(pa.int64())
    if unit == "ns":
        # Floor: a moment may not see what happened later within its microsecond.
        return np.floor_divide(whole.to_numpy(), 1000)
    factor = {"s": 1_000_000, "ms": 1000, "us": 1}[unit]
    micros: np.ndarray[tuple[int], np.dtype[np.int64]] = pc.multiply_checked(whole, factor).to_numpy()
    if len(micros) and (micros.min() < _YEAR_1 or micros.max() >= _YEAR_10000):
        raise EntityRowsError(
            f"The entity rows' timestamp {name!r} goes from {micros.min()} to {micros.max()} microseconds since 1970; "
            "expected moments of the years 1 to 9999 (an infinite one is none). Correct or drop these rows."
        )
    return micros
