"""Entity keys against source keys: the types that can be equal, and how they are made equal."""

import pyarrow as pa
import pyarrow.compute as pc

from intent_stores.errors import EntityKeyTypeError
from intent_stores.view_plan import JoinKey, ViewPlan

_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}


def matching_key(column: pa.ChunkedArray, source_type: str, key: JoinKey, plan: ViewPlan) -> pa.ChunkedArray:
    """Return an entity key column that compares exactly with a source column of this DuckDB type.

    Whole numbers that pandas turned into floats (because a key was null) become whole numbers again; one with a
    fraction equals no whole number and becomes null.

    Raises:
        EntityKeyTypeError: the two kinds can never be equal ("7" is not 7).
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    given, expected = _kind(column.type), _source_kind(source_type)
    if given == "null":
        return column.cast(pa.int64()) if expected in ("whole", "float") else column.cast(pa.string())
    if given == "float" and expected == "whole":
        return _whole_again(column)
    if given == "whole" and expected == "float":
        return _exact_as_float(column)
    if given == expected or {given, expected} <= {"whole", "float"}:
        return column
    raise EntityKeyTypeError(
        f"The entity rows' key {key.entity_column!r} is {column.type}, but column {key.source_column!r} of source "
        f"{plan.source.name!r} (view {plan.name!r}) is {source_type}: they can never be equal, and every feature would "
        "be null. Convert the key to the source's type."
    )


def _whole_again(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # Beyond 2^53 a float no longer says which whole number was meant; at 2^63 it is none.
    in_range = pc.less(pc.abs(column), 2.0**63)
    integral = pc.and_(in_range, pc.equal(pc.floor(column), column))
    return pc.if_else(integral, column, None).cast(pa.int64())


def _exact_as_float(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # Beyond 2^53 not every whole number is a float, and its neighbour is another key.
    floats = column.cast(pa.float64(), safe=False)
    in_range = pc.less(pc.abs(floats), 2.0**63)
    back = pc.if_else(in_range, floats, None).cast(pa.int64())
    return pc.if_else(pc.equal(back, column), floats, None)


def _kind(kind: pa.DataType) -> str:
    tests = {
        "null": pa.types.is_null,
        "whole": pa.types.is_integer,
        "float": pa.types.is_floating,
        "bool": pa.types.is_boolean,
        "time": pa.types.is_timestamp,
        "date": pa.types.is_date,
        "decimal": pa.types.is_decimal,
    }
    for name, test in tests.items():
        if test(kind):
            return name
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "bytes"
    return str(kind)


def _source_kind(kind: str) -> str:
    if kind in _WHOLE:
        return "whole"
    if kind.startswith("TIMESTAMP"):
        return "time"
    if kind.startswith("DECIMAL"):
        return "decimal"
    names = {"VARCHAR": "text", "BLOB": "bytes", "FLOAT": "float", "DOUBLE": "float", "BOOLEAN": "bool"}
    return names.get(kind, kind.lower())
