"""What a view declares of its features, held against what its source has: kinds of values, not widths."""

from typing import Any

from feast import types

from intent_stores.errors import SourceColumnTypeError
from intent_stores.parquet_source import ParquetSource

_NUMBER, _TEXT, _TIME, _LIST = "numbers", "text", "times", "lists"

_DECLARED = {
    types.Int32: _NUMBER,
    types.Int64: _NUMBER,
    types.Float32: _NUMBER,
    types.Float64: _NUMBER,
    types.Bool: _NUMBER,
    types.String: _TEXT,
    types.UnixTimestamp: _TIME,
}
_STORED = {
    "BOOLEAN": _NUMBER,
    "TINYINT": _NUMBER,
    "SMALLINT": _NUMBER,
    "INTEGER": _NUMBER,
    "BIGINT": _NUMBER,
    "HUGEINT": _NUMBER,
    "UTINYINT": _NUMBER,
    "USMALLINT": _NUMBER,
    "UINTEGER": _NUMBER,
    "UBIGINT": _NUMBER,
    "FLOAT": _NUMBER,
    "DOUBLE": _NUMBER,
    "VARCHAR": _TEXT,
    "DATE": _TIME,
}


def require_declared_kind(source: ParquetSource, column: str, feature: str, declared: Any, view: str) -> None:
    """Refuse a column whose values are of another kind than the view declares, as after a change of the files.

    Widths may differ (Int32 over BIGINT), truth values count as numbers, and times may be stored as numbers. What
    is neither number, text, time nor list is not looked at.

    Arguments:
        source: the view's opened source; one tagged `sequence.length` gives lists of its column's values.
        column: the feature's column in the source.
        feature: its name in the view.
        declared: its Feast type.
        view: the view's name, for the message.

    Raises:
        SourceColumnTypeError: the kinds differ.
    """
    stored = source.require(column, f"a feature of view {view!r}")
    if source.sequence_length is not None and not isinstance(declared, types.Array):
        raise SourceColumnTypeError(
            f"Source {source.name!r} is tagged 'sequence.length' and gives lists, but feature {feature!r} of view "
            f"{view!r} is declared as {declared}; expected an Array. Declare it so in the view and apply again."
        )
    wanted, given = _declared_kind(declared, source), _stored_kind(stored)
    if wanted is None or given is None or wanted == given or (wanted, given) == (_TIME, _NUMBER):
        return
    raise SourceColumnTypeError(
        f"Source {source.name!r}: column {column!r} has type {stored}, but feature {feature!r} of view {view!r} is "
        f"declared as {declared}; expected {wanted}{_hint(wanted, source)}. If the files changed since the last "
        "`feast apply`, bring the definitions up to date and apply again."
    )


def _declared_kind(declared: Any, source: ParquetSource) -> str | None:
    if not isinstance(declared, types.Array):
        return _DECLARED.get(declared)
    return _LIST if source.sequence_length is None else _DECLARED.get(declared.base_type)


def _stored_kind(stored: str) -> str | None:
    if stored.endswith("]"):
        return _LIST
    if stored.startswith("DECIMAL"):
        return _NUMBER
    return _TIME if stored.startswith("TIMESTAMP") else _STORED.get(stored)


def _hint(wanted: str, source: ParquetSource) -> str:
    if wanted != _LIST:
        return " in each row"
    return " in each row, or the tag 'sequence.length' on the source to make lists of its rows"
