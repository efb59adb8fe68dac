"""Arrow tables as the columns that the packed codec takes: whole buffers, no value touched by Python."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from intent_stores.errors import FeatureValueError, OnlineKeyError
from intent_stores.packed_codec import NEVER, RowTimes
from intent_stores.packed_schema import FIXED, PackedSchema, element_kind
from intent_stores.ragged_column import ByteRuns, Ragged

_ARROW: dict[str, pa.DataType] = {
    "Float64": pa.float64(),
    "Float32": pa.float32(),
    "Int64": pa.int64(),
    "Int32": pa.int32(),
    "Bool": pa.bool_(),
    "UnixTimestamp": pa.timestamp("us"),
    "String": pa.large_string(),
    "Bytes": pa.large_binary(),
    "Opaque": pa.large_binary(),
}

Mask = NDArray[np.bool_]


def table_columns(schema: PackedSchema, table: pa.Table) -> tuple[dict[str, Any], dict[str, Mask]]:
    """Return the schema's features of a table as columns and masks for `encode_rows`; other columns are ignored.

    A null inside a list becomes NaN, 0, False, 1970 or an empty text: lists hold no nulls.

    Raises:
        FeatureValueError: a feature has no column, or one that its kind cannot hold exactly.
    """
    missing = sorted(set(schema.fields) - set(table.column_names))
    if missing:
        raise FeatureValueError(f"The table has no columns {missing}; received {table.column_names}.")
    columns, valid = {}, {}
    for name, kind in schema.fields.items():
        array = one_array(table.column(name))
        valid[name] = array.is_valid().to_numpy(zero_copy_only=False)
        try:
            columns[name] = _column(kind, array)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise FeatureValueError(f"Column {name!r} ({array.type}) cannot be read as {kind}: {error}.") from error
    return columns, valid


def table_times(table: pa.Table, event: str, created: str | None, sequence: str | int) -> tuple[RowTimes, Mask]:
    """Return the times of a table's rows, and which rows have an event time (the others cannot be stored).

    Naive timestamps are UTC; nanoseconds are rounded up, so that nothing is known too early.

    Raises:
        FeatureValueError: a column is missing or holds no times.
    """
    moments = _micros(table, event)
    created_us = None if created is None else _micros(table, created)
    numbers: Any = sequence
    if isinstance(sequence, str):
        numbers = one_array(table.column(sequence)).cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return RowTimes.of(moments, created_us, numbers), moments != NEVER


def key_values(table: pa.Table, join_keys: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the join keys as columns for `entity_keys`; a null is None, which is refused there.

    Whole numbers that pandas turned into floats (because a key was null) become whole numbers again, as in joins.
    Numbers of an entity that is declared as text become text, and the other way round: so Feast asks for them.

    Arguments:
        join_keys: name → kind, as Feast spells the declared type; None where none is known.

    Raises:
        FeatureValueError: a join key has no column.
        OnlineKeyError: a join key holds numbers that are not whole, or text that is no number where one is declared.
    """
    missing = sorted(set(join_keys) - set(table.column_names))
    if missing:
        raise FeatureValueError(f"The table has no columns {missing} (join keys); received {table.column_names}.")
    found: dict[str, Any] = {}
    for name, kind in join_keys.items():
        array = _as_declared(name, kind, one_array(table.column(name)))
        is_time = pa.types.is_timestamp(array.type) and not array.null_count
        found[name] = array.cast(pa.timestamp("us")).to_numpy() if is_time else array.to_pylist()
    return found


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, dictionaries as their values."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def _as_declared(name: str, kind: str | None, array: pa.Array) -> pa.Array:
    is_text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    try:
        if pa.types.is_floating(array.type) or (is_text and kind in ("Int64", "Int32")):
            array = array.cast(pa.int64())
        return array.cast(pa.string()) if kind == "String" and pa.types.is_integer(array.type) else array
    except pa.ArrowInvalid as error:
        raise OnlineKeyError(f"Join key {name!r} is {array.type}: {error}. Expected whole numbers, or text.") from error


def _column(kind: str, array: pa.Array) -> Any:
    inner = element_kind(kind)
    if inner is None:
        return _values(kind, array)
    if pa.types.is_null(array.type):
        return Ragged(_nothing(inner), np.zeros(len(array) + 1, np.int64))
    offsets = _offsets(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False))
    values = _values(inner, array.flatten())
    if isinstance(values, ByteRuns):
        cells = values.cells()
        values = np.empty(len(cells), object)
        values[:] = [cell.decode() for cell in cells] if inner == "String" else cells
    return Ragged(values, offsets)


def _values(kind: str, array: pa.Array) -> Any:
    if kind == "UnixTimestamp" and pa.types.is_timestamp(array.type):
        return _ceil_micros(array).fill_null(0).to_numpy(zero_copy_only=False)
    array = array.cast(_ARROW[kind])
    if kind in FIXED:
        empty = {"Float64": np.nan, "Float32": np.nan, "Bool": False}.get(kind, 0)
        if kind == "UnixTimestamp":
            array = array.cast(pa.int64())
        return array.fill_null(pa.scalar(empty, array.type)).to_numpy(zero_copy_only=False)
    return _runs(array)


def _runs(array: pa.Array) -> ByteRuns:
    _, bounds, data = array.buffers()
    offsets = np.frombuffer(bounds, np.int64, len(array) + 1, array.offset * 8) if bounds else np.zeros(1, np.int64)
    return ByteRuns(data.to_pybytes() if data else b"", offsets)


def _nothing(kind: str) -> NDArray[Any]:
    return np.array([], FIXED.get(kind, np.dtype(object)))


def _micros(table: pa.Table, name: str) -> NDArray[np.int64]:
    if name not in table.column_names:
        raise FeatureValueError(f"The table has no column {name!r} (a time); received {table.column_names}.")
    array = one_array(table.column(name))
    if pa.types.is_null(array.type):
        return np.full(len(array), NEVER)
    if not pa.types.is_timestamp(array.type):
        raise FeatureValueError(f"Column {name!r} is {array.type}; expected timestamps.")
    return np.asarray(_ceil_micros(array).fill_null(NEVER).to_numpy(zero_copy_only=False))


def _ceil_micros(array: pa.Array) -> pa.Array:
    if array.type.unit != "ns":
        return array.cast(pa.timestamp("us", tz=array.type.tz)).cast(pa.int64())
    nanos = array.cast(pa.int64())
    micros = pc.divide(nanos, 1000)  # towards zero
    return pc.add(micros, pc.greater(nanos, pc.multiply(micros, 1000)).cast(pa.int64()))


def _offsets(lengths: NDArray[Any]) -> NDArray[np.int64]:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
