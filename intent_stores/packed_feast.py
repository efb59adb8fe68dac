"""Between Feast's views, keys and values (protobuf) and packed rows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from feast.feature_view import DUMMY_ENTITY_ID
from feast.infra.online_stores.helpers import compute_versioned_name
from feast.protos.feast.types import Value_pb2
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

from intent_stores.errors import FeatureValueError, OnlineKeyError
from intent_stores.packed_codec import NEVER, RowTimes, encode_rows
from intent_stores.packed_keys import ENTITYLESS, entity_keys
from intent_stores.packed_reader import microseconds
from intent_stores.packed_schema import FIXED, TEXTS, element_kind
from intent_stores.packed_view import PackedView, ViewColumns
from intent_stores.ragged_column import Ragged

FeastRow = tuple[Any, dict[str, Any], datetime, datetime | None]
"""(entity key, feature → value, event time, creation time), as Feast hands rows to an online store."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_NULL_TIME = -(2**63)  # Feast's null timestamp
_FIELD = {
    "Float64": "double",
    "Float32": "float",
    "Int64": "int64",
    "Int32": "int32",
    "Bool": "bool",
    "String": "string",
    "Bytes": "bytes",
    "UnixTimestamp": "unix_timestamp",
}
_EMPTY = {"String": "", "Bytes": b"", "Bool": False}


def packed_view(view: Any, config: RepoConfig) -> PackedView:
    """Return what a reader must know of a Feast view; types that have no kind of their own are `Opaque`."""
    ttl = getattr(view, "ttl", None) or timedelta(0)
    return PackedView(
        name=compute_versioned_name(view, config.registry.enable_online_feature_view_versioning),
        fields={field.name: _kind(str(field.dtype)) for field in view.features},
        join_keys=tuple(name for name in view.join_keys if name != DUMMY_ENTITY_ID),
        ttl_us=ttl // timedelta(microseconds=1),
    )


def feast_keys(keys: Sequence[Any]) -> list[bytes]:
    """Return the canonical bytes of Feast's entity keys.

    Raises:
        OnlineKeyError: a value is null or of a type that cannot be a key.
    """
    return [_feast_key(key) for key in keys]


def pack_feast_rows(view: PackedView, rows: Sequence[FeastRow]) -> tuple[list[bytes], list[bytes]]:
    """Return keys and packed values of Feast's rows; a feature that a row lacks is null.

    Raises:
        FeatureValueError, OnlineKeyError: what cannot be held is not stored.
    """
    event = [_moment(row[2]) for row in rows]
    if NEVER in event:
        raise FeatureValueError(f"A row of view {view.name!r} has no event time; expected one. Nothing was stored.")
    created = [_moment(row[3]) for row in rows]
    columns, valid = {}, {}
    for name, kind in view.schema.fields.items():
        cells = [_cell(name, kind, row[1].get(name)) for row in rows]
        valid[name] = np.fromiter((cell is not None for cell in cells), bool, len(cells))
        columns[name] = _column(kind, cells)
    times = RowTimes.of(event, created)
    return feast_keys([row[0] for row in rows]), encode_rows(view.schema, columns, times, valid)


def feast_rows(found: ViewColumns, kinds: dict[str, str]) -> list[tuple[datetime | None, dict[str, Any] | None]]:
    """Return fresh rows as Feast's (event time, feature → value), the others as (None, None).

    Arguments:
        kinds: the features wanted, with their kinds.
    """
    cells = {name: _protos(kind, found.values[name], found.valid[name].tolist()) for name, kind in kinds.items()}
    rows: list[tuple[datetime | None, dict[str, Any] | None]] = []
    for place, (status, event) in enumerate(zip(found.status.tolist(), found.event_us.tolist(), strict=True)):
        if status != "fresh":
            rows.append((None, None))
        else:
            moment = _EPOCH + timedelta(microseconds=event)
            rows.append((moment, {name: column[place] for name, column in cells.items()}))
    return rows


def _kind(dtype: str) -> str:
    inner = element_kind(dtype) or dtype
    return dtype if inner in FIXED or inner in TEXTS else "Opaque"


def _feast_key(key: Any) -> bytes:
    names = list(key.join_keys)
    if not names or names == [DUMMY_ENTITY_ID]:
        return ENTITYLESS
    values = {name: _key_column(name, v) for name, v in zip(names, key.entity_values, strict=True)}
    return entity_keys(names, values)[0]


def _key_column(name: str, value: Any) -> Any:
    field = value.WhichOneof("val")
    if field in ("string_val", "bytes_val", "int32_val", "int64_val", "uuid_val", "time_uuid_val"):
        return [getattr(value, field)]
    if field == "unix_timestamp_val":
        return np.array([value.unix_timestamp_val], "datetime64[s]")
    raise OnlineKeyError(
        f"Join key {name!r} is {field or 'null'}; expected text, bytes, whole numbers, times or UUIDs as keys."
    )


def _moment(time: datetime | None) -> int:
    # A null time comes from Feast as pandas' NaT, which is a datetime that does not equal itself.
    return NEVER if time is None or time != time else microseconds(time)


def _cell(name: str, kind: str, value: Any) -> Any:
    field = None if value is None else value.WhichOneof("val")
    if field is None or field == "null_val":
        return None
    if kind == "Opaque":
        return value.SerializeToString()
    held = getattr(value, field)
    is_list = hasattr(held, "val")
    inner = element_kind(kind)
    if is_list != (inner is not None):
        raise FeatureValueError(f"Feature {name!r} is {kind}, but a value is a {field}.")
    if (inner or kind) != "UnixTimestamp":
        return list(held.val) if is_list else held
    if is_list:
        return [_micros(name, item, 0) for item in held.val]
    return _micros(name, held, None)


def _micros(name: str, seconds: int, null: int | None) -> int | None:
    if seconds == _NULL_TIME:
        return null
    if not -(2**63) < seconds * _SECOND < 2**63:
        raise FeatureValueError(f"Feature {name!r} holds a time of {seconds} s; expected less than 292,000 years.")
    return seconds * _SECOND


def _column(kind: str, cells: list[Any]) -> Any:
    inner = element_kind(kind)
    if inner is None:
        return _objects(cells)
    flat = [item for cell in cells for item in cell or ()]
    ends = np.cumsum([0, *(len(cell or ()) for cell in cells)], dtype=np.int64)
    return Ragged(np.array(flat) if inner in FIXED and flat else _objects(flat), ends)


def _objects(cells: list[Any]) -> Any:
    column = np.empty(len(cells), object)
    column[:] = cells
    return column


def _protos(kind: str, column: Any, valid: list[bool]) -> list[Any]:
    if kind == "Opaque":
        return [Value.FromString(cell) if there else Value() for cell, there in zip(column, valid, strict=True)]
    inner = element_kind(kind)
    if inner is None:
        field, plain = f"{_FIELD[kind]}_val", _plain(kind, column)
        return [Value(**{field: cell}) if there else Value() for cell, there in zip(plain, valid, strict=True)]
    field = f"{_FIELD[inner]}_list_val"
    holder = getattr(Value_pb2, {"Bool": "BoolList", "UnixTimestamp": "Int64List"}.get(inner, _holder(inner)))
    plain, bounds = _plain(inner, column.values), column.offsets.tolist()
    return [
        Value(**{field: holder(val=plain[bounds[row] : bounds[row + 1]])}) if there else Value()
        for row, there in enumerate(valid)
    ]


def _holder(inner: str) -> str:
    return {"Float64": "DoubleList", "Float32": "FloatList"}.get(inner, f"{inner}List")


def _plain(kind: str, column: Any) -> list[Any]:
    if kind == "UnixTimestamp":
        return list((column.view(np.int64) // _SECOND).tolist())
    return list(column.tolist())
