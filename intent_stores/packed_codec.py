"""Many rows at once between NumPy columns and packed values: one value holds all features of one key.

A value is: the version (event time, creation time, sequence number), the schema's digest, a null bitmap, the
fixed-width features in one block a kind, the ends of texts and lists, their bytes, and a CRC-32 of all that.
Needs NumPy alone.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from intent_stores.errors import FeatureValueError
from intent_stores.packed_cells import read_alone, read_variable, variable_pieces
from intent_stores.packed_schema import FIXED, VERSION_BYTES, PackedSchema, null_of
from intent_stores.ragged_column import Column

NEVER = int(np.iinfo(np.int64).min)
"""The time of a row that is not there, and the creation time of a row that was written without one."""

OK, ABSENT, CORRUPT, OTHER_SCHEMA = range(4)
"""Why a row can or cannot be used: codes of `DecodedRows.reason`."""

_BIASED = 1 << 63
_BIAS = np.uint64(_BIASED)
_CRC_BYTES = 4
_CRC_OF_WHOLE = 0x2144DF1C  # what CRC-32 gives for anything that is followed by its own CRC-32
_VERSION = Struct(">3Q")
_DIGEST = slice(VERSION_BYTES, VERSION_BYTES + 8)
_SMALLEST = VERSION_BYTES + 8 + _CRC_BYTES

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class RowTimes(NamedTuple):
    """What orders the rows of one key, each of shape (n,) int64: the greatest (event, created, sequence) wins.

    Times are microseconds since 1970, UTC. A row without a creation time has `NEVER`: it loses against one that has.
    """

    event_us: Ints
    created_us: Ints
    sequence: Ints

    @classmethod
    def of(cls, event_us: Any, created_us: Any = None, sequence: Any = 0) -> "RowTimes":
        """Return times from anything that broadcasts to the shape of `event_us`."""
        event = np.atleast_1d(np.asarray(event_us, np.int64))
        created = np.broadcast_to(np.asarray(NEVER if created_us is None else created_us, np.int64), event.shape)
        return cls(event, created, np.broadcast_to(np.asarray(sequence, np.int64), event.shape))


class DecodedRows(NamedTuple):
    """n rows in the order asked for.

    Attributes:
        values: feature → (n,) in the kind's dtype (bool, int32, int64, float32, float64, datetime64[us]; object for
            texts), or a `Ragged` of n lists. Null: NaN, NaT, 0, False, None or an empty list.
        valid: feature → (n,) bool, False where null or where there is no row; features may share one array, which is
            read-only then.
        times: (n,) each; `NEVER` where there is no row.
        reason: (n,) uint8: OK, ABSENT, CORRUPT or OTHER_SCHEMA; read-only if all are the same.
    """

    values: dict[str, Column]
    valid: dict[str, Mask]
    times: RowTimes
    reason: NDArray[np.uint8]


class RowAlone(NamedTuple):
    """One row, as in `DecodedRows`; its version is event time, creation time and sequence number."""

    values: dict[str, Column]
    valid: dict[str, Mask]
    version: tuple[int, int, int]


def schema_digest(value: bytes) -> bytes:
    """Return the digest of the schema that a packed value was written by."""
    return value[_DIGEST]


def encode_rows(
    schema: PackedSchema, columns: Mapping[str, Any], times: RowTimes, valid: Mapping[str, Mask] | None = None
) -> list[bytes]:
    """Pack n rows.

    Arguments:
        columns: feature → (n,) values, or a `Ragged` of n lists; whole-number UnixTimestamps are microseconds. A
            feature that is left out is null in every row.
        valid: feature → (n,) bool, False where null. None and NaT are null without it; NaN is a value.

    Raises:
        FeatureValueError: a feature that the schema does not have, or values that its kind cannot hold.
    """
    unknown = sorted(set(columns) - set(schema.fields))
    if unknown:
        raise FeatureValueError(f"Columns {unknown} are not in the schema; expected only {sorted(schema.fields)}.")
    count = len(times.event_us)
    rows = np.repeat(schema.empty, count)
    rows["version"] = _biased(times)
    rows["digest"] = np.frombuffer(schema.digest, np.uint8)
    masks = {name: _mask(name, columns, valid, count) for name in schema.order}
    if masks:
        rows["nulls"] = np.packbits(~np.column_stack(list(masks.values())), axis=1)
    for kind, names in schema.blocks.items():
        for place, name in enumerate(names):
            if name in columns:
                rows[kind][:, place] = _fixed(name, kind, columns[name], masks[name])
    pieces = [variable_pieces(n, schema.fields[n], columns.get(n), masks[n]) for n in schema.variable]
    if pieces:
        rows["ends"] = _ends(pieces, count)
    return _with_checks(rows, pieces)


def decode_rows(schema: PackedSchema, packed: Sequence[bytes | None]) -> DecodedRows:
    """Unpack n values; whatever cannot be read as this schema's is a missing row with its reason, never an error."""
    if len(packed) == 1 and packed[0] is not None:
        alone = decode_alone(schema, packed[0])
        if alone is not None:
            times = RowTimes(*[np.array([moment]) for moment in alone.version])
            return DecodedRows(alone.values, alone.valid, times, shared(OK, np.uint8, 1))
    codes = [row_reason(schema, value) for value in packed]
    reason = np.array(codes, np.uint8) if any(codes) else shared(OK, np.uint8, len(codes))
    rows, tails = _rows(schema, packed, reason)
    if schema.variable and not _all_ends_fit(rows["ends"], tails):
        reason = np.where((reason == OK) & ~_ends_fit(rows["ends"], tails), CORRUPT, reason).astype(np.uint8)
        rows, tails = _rows(schema, packed, reason)
    masks = _valid(schema, rows)
    values: dict[str, Column] = {}
    for kind, names in schema.blocks.items():
        values.update(zip(names, _typed(kind, np.ascontiguousarray(rows[kind].T)), strict=True))
    for place, name in enumerate(schema.variable):
        values[name] = read_variable(schema.fields[name], _pieces(rows, tails, place), masks[name])
    version = (rows["version"].T ^ _BIAS).view(np.int64)
    return DecodedRows(values, masks, RowTimes(version[0], version[1], version[2]), reason)


def decode_alone(schema: PackedSchema, value: bytes) -> RowAlone | None:
    """Unpack one row in a third of the general way's time, to the same end; None if it cannot be read."""
    if row_reason(schema, value) != OK:
        return None
    held, valid = bytearray(value), _valid_alone(schema, value)
    values: dict[str, Column] = {}
    for kind, dtype, names, start in schema.places:
        block = np.frombuffer(held, dtype, len(names), start).reshape(-1, 1)
        values.update(zip(names, _typed(kind, block), strict=False))  # as many, and counting takes a third of the time
    if schema.variable:
        ends = schema.ends.unpack_from(held, schema.size - schema.ends.size)
        if ends[-1] != len(value) - schema.size - _CRC_BYTES or [*ends] != sorted(ends):
            return None
        for name, start, stop in zip(schema.variable, (0, *ends), ends, strict=False):
            there = valid[name] is not _NULL
            values[name] = read_alone(schema.fields[name], held, schema.size + start, schema.size + stop, there)
    event, created, sequence = _VERSION.unpack_from(held)
    return RowAlone(values, valid, (event - _BIASED, created - _BIASED, sequence - _BIASED))


@lru_cache(64)
def shared(value: Any, dtype: Any, count: int) -> NDArray[Any]:
    """Return `count` times a value, as a read-only array that is given to whoever wants the same."""
    array = np.full(count, value, dtype)
    array.flags.writeable = False
    return array


_NULL = shared(False, bool, 1)


def row_reason(schema: PackedSchema, value: bytes | None) -> int:
    """Return whether a packed value can be read: OK, ABSENT, CORRUPT or OTHER_SCHEMA."""
    if value is None:
        return ABSENT
    if len(value) < _SMALLEST or crc32(value) != _CRC_OF_WHOLE:
        return CORRUPT
    if value[_DIGEST] != schema.digest:
        return OTHER_SCHEMA
    return OK if len(value) >= schema.size + _CRC_BYTES else CORRUPT


def _rows(
    schema: PackedSchema, packed: Sequence[bytes | None], reason: NDArray[np.uint8]
) -> tuple[NDArray[Any], list[bytes]]:
    size, tail = schema.size, slice(schema.size, -_CRC_BYTES)
    usable = [value for value, code in zip(packed, reason.tolist(), strict=True) if code == OK and value is not None]
    found = np.frombuffer(bytearray().join([value[:size] for value in usable]), schema.dtype)
    tails = [value[tail] for value in usable] if schema.variable else []
    if len(usable) == len(packed):
        return found, tails
    rows, present = np.repeat(schema.empty, len(packed)), reason == OK
    rows[present] = found
    if schema.variable:
        left = iter(tails)
        tails = [next(left) if there else b"" for there in present.tolist()]
    return rows, tails


def _all_ends_fit(ends: NDArray[np.uint32], tails: list[bytes]) -> bool:
    if ends.shape[1] == 1:
        return [*map(len, tails)] == ends[:, 0].tolist()
    return bool(_ends_fit(ends, tails).all())


def _ends_fit(ends: NDArray[np.uint32], tails: list[bytes]) -> Mask:
    whole: Mask = ends[:, -1] == np.fromiter(map(len, tails), np.int64, len(tails))
    return whole if ends.shape[1] == 1 else whole & (ends[:, 1:] >= ends[:, :-1]).all(axis=1)


def _pieces(rows: NDArray[Any], tails: list[bytes], place: int) -> list[bytes]:
    ends = rows["ends"]
    if ends.shape[1] == 1:
        return tails
    stops = ends[:, place].tolist()
    starts = ends[:, place - 1].tolist() if place else [0] * len(stops)
    return [tail[start:stop] for tail, start, stop in zip(tails, starts, stops, strict=True)]


def _valid(schema: PackedSchema, rows: NDArray[Any]) -> dict[str, Mask]:
    if not schema.fields:
        return {}
    bitmaps = rows["nulls"]
    if not bitmaps.tobytes().strip(b"\0"):  # the usual case, and a tenth of the time
        return dict.fromkeys(schema.order, shared(True, bool, len(rows)))
    bits = np.unpackbits(bitmaps.T, axis=0, count=len(schema.order))
    return dict(zip(schema.order, bits == 0, strict=True))


def _valid_alone(schema: PackedSchema, value: bytes) -> dict[str, Mask]:
    valid, nulls = schema.all_valid.copy(), value[schema.nulls]
    if nulls.strip(b"\0"):
        bits = f"{int.from_bytes(nulls):0{8 * len(nulls)}b}"
        valid.update((name, _NULL) for name, bit in zip(schema.order, bits, strict=False) if bit == "1")
    return valid


def _typed(kind: str, block: NDArray[Any]) -> NDArray[Any]:
    if kind == "Bool":
        return block != 0
    return block.view("datetime64[us]") if kind == "UnixTimestamp" else block


def _biased(times: RowTimes) -> NDArray[np.uint64]:
    stacked = np.column_stack([times.event_us, times.created_us, times.sequence])
    return stacked.astype(np.int64).view(np.uint64) ^ _BIAS


def _mask(name: str, columns: Mapping[str, Any], valid: Mapping[str, Mask] | None, count: int) -> Mask:
    if name not in columns:
        return np.zeros(count, bool)
    column = columns[name]
    if len(column) != count:
        raise FeatureValueError(f"Column {name!r} has {len(column)} rows; expected {count}, one for each event time.")
    mask = np.ones(count, bool) if valid is None or name not in valid else np.array(valid[name], bool)
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        mask &= ~np.isnat(column)
    elif isinstance(column, np.ndarray) and column.dtype.kind == "O":
        mask &= np.fromiter((cell is not None for cell in column), bool, count)
    return mask


def _fixed(name: str, kind: str, column: Any, mask: Mask) -> NDArray[Any]:
    try:
        given = np.asarray(column)
        if given.dtype.kind == "M":
            given = given.astype("datetime64[us]").view(np.int64)
        if given.dtype.kind not in "biufO":
            raise TypeError(f"expected numbers, received {given.dtype}")
        held = given if mask.all() else np.where(mask, given, null_of(kind) if given.dtype.kind in "fO" else 0)
        target = np.dtype(bool) if kind == "Bool" else FIXED[kind]
        with np.errstate(over="raise", invalid="ignore"):
            packed = held.astype(target)
        exact = target.kind == "f" or bool((packed == held).all())
    except (TypeError, ValueError, ArithmeticError) as error:
        raise FeatureValueError(f"Feature {name!r} is {kind}, but its values cannot be read so: {error}.") from error
    if not exact:
        raise FeatureValueError(f"Feature {name!r} is {kind}, but some of its values ({given.dtype}) do not fit.")
    packed[~mask] = null_of(kind)
    return packed


def _ends(pieces: list[list[bytes]], count: int) -> NDArray[np.int64]:
    lengths = np.array([[len(piece) for piece in column] for column in pieces], np.int64).reshape(len(pieces), count)
    ends = lengths.cumsum(axis=0).T
    if ends.size and int(ends.max()) >= 1 << 32:
        raise FeatureValueError("A row holds 4 GB of texts and lists or more; expected less.")
    return ends


def _with_checks(rows: NDArray[Any], pieces: list[list[bytes]]) -> list[bytes]:
    size, fixed = rows.dtype.itemsize, rows.tobytes()
    bodies = [fixed[at : at + size] for at in range(0, len(fixed), size)]
    if pieces:
        bodies = [b"".join(parts) for parts in zip(bodies, *pieces, strict=True)]
    return [body + crc32(body).to_bytes(_CRC_BYTES, "little") for body in bodies]
