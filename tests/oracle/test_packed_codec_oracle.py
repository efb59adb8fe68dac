"""The packed codec against rows held as plain Python values; and against bytes that are not what was written."""

import math
import struct
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intent_stores.errors import ConfigurationError, FeatureValueError
from intent_stores.packed_codec import (
    ABSENT,
    CORRUPT,
    NEVER,
    OK,
    OTHER_SCHEMA,
    RowTimes,
    decode_rows,
    encode_rows,
)
from intent_stores.packed_schema import PackedSchema, element_kind
from intent_stores.ragged_column import Ragged

INT64 = st.integers(-(2**63) + 1, 2**63 - 1)
SCALARS = {
    "Bool": st.booleans(),
    "Int32": st.integers(-(2**31), 2**31 - 1),
    "Int64": INT64,
    "Float32": st.floats(width=32, allow_nan=False),
    "Float64": st.floats(allow_nan=False),
    "String": st.text(max_size=9),
    "Bytes": st.binary(max_size=9),
    "UnixTimestamp": INT64,
}
KINDS = [*SCALARS, *(f"Array({kind})" for kind in SCALARS)]
TIMES = st.integers(-(2**63) + 1, 2**63 - 1)


def cells(kind):
    inner = element_kind(kind)
    return st.none() | (SCALARS[kind] if inner is None else st.lists(SCALARS[inner], max_size=4))


@st.composite
def examples(draw):
    names = draw(st.lists(st.text(min_size=1, max_size=5), max_size=6, unique=True))
    fields = {name: draw(st.sampled_from(KINDS)) for name in names}
    row = st.fixed_dictionaries({name: cells(kind) for name, kind in fields.items()})
    rows = draw(st.lists(row, max_size=5))
    times = [draw(st.tuples(TIMES, TIMES, TIMES)) for _ in rows]
    return PackedSchema(fields), rows, times


def pack(schema, rows, times):
    moments = np.array(times, np.int64).reshape(len(rows), 3)
    columns, valid = {}, {}
    for name, kind in schema.fields.items():
        given_cells = [row[name] for row in rows]
        columns[name] = column_of(kind, given_cells)
        valid[name] = np.array([cell is not None for cell in given_cells], bool)
    return encode_rows(schema, columns, RowTimes(*moments.T), valid)


def column_of(kind, given_cells):
    if element_kind(kind) is None:
        column = np.empty(len(given_cells), object)
        column[:] = given_cells
        return column
    flat = [item for cell in given_cells for item in cell or []]
    values = np.empty(len(flat), object)
    values[:] = flat
    return Ragged(values, np.cumsum([0, *(len(cell or []) for cell in given_cells)], dtype=np.int64))


def plain(column, place):
    cell = column[place]
    if isinstance(column, Ragged):
        return [plain(cell, i) for i in range(len(cell))]
    if isinstance(cell, np.datetime64):
        return int(cell.astype(np.int64))
    return cell.item() if isinstance(cell, np.generic) else cell


def cell_of(decoded, name, place):
    return plain(decoded.values[name], place) if decoded.valid[name][place] else None


@given(examples())
@settings(max_examples=150, deadline=None)
def test_what_is_packed_comes_back(example) -> None:
    schema, rows, times = example
    packed = pack(schema, rows, times)
    decoded = decode_rows(schema, [None, *packed])
    assert decoded.reason.tolist() == [ABSENT, *[OK] * len(rows)]
    assert decoded.times.event_us.tolist() == [NEVER, *(t[0] for t in times)]
    assert decoded.times.created_us.tolist() == [NEVER, *(t[1] for t in times)]
    assert decoded.times.sequence.tolist() == [NEVER, *(t[2] for t in times)]
    for place, row in enumerate(rows, start=1):
        assert {name: cell_of(decoded, name, place) for name in schema.fields} == row
    assert all(cell_of(decoded, name, 0) is None for name in schema.fields)


@given(examples())
@settings(max_examples=150, deadline=None)
def test_a_row_alone_reads_as_among_others(example) -> None:
    schema, rows, times = example
    packed = pack(schema, rows, times)
    together = decode_rows(schema, [*packed, None])
    for place, value in enumerate(packed):
        alone = decode_rows(schema, [value])
        assert alone.reason.tolist() == [OK]
        assert [part.tolist() for part in alone.times] == [[part[place]] for part in together.times]
        assert list(alone.values) == list(together.values)
        for name in schema.fields:
            assert cell_of(alone, name, 0) == cell_of(together, name, place)
            assert alone.valid[name].tolist() == [together.valid[name][place]]
            one, many = alone.values[name], together.values[name]
            assert getattr(one, "values", one).dtype == getattr(many, "values", many).dtype


@given(examples(), st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_are_missing_and_never_another_value(example, data) -> None:
    schema, rows, times = example
    packed = pack(schema, rows, times)
    if not packed:
        return
    whole = bytearray(packed[0])
    harm = data.draw(st.sampled_from(["flip", "cut", "grow", "other"]))
    if harm == "flip":
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif harm == "cut":
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    elif harm == "grow":
        whole += data.draw(st.binary(min_size=1, max_size=9))
    else:
        whole = bytearray(data.draw(st.binary(max_size=200)))
    decoded = decode_rows(schema, [bytes(whole), *packed[1:]])
    assert decoded.reason[0] == CORRUPT
    assert decoded.reason[1:].tolist() == [OK] * (len(rows) - 1)
    assert all(cell_of(decoded, name, 0) is None for name in schema.fields)
    for place, row in enumerate(rows[1:], start=1):
        assert {name: cell_of(decoded, name, place) for name in schema.fields} == row


@given(examples(), st.data())
@settings(max_examples=150, deadline=None)
def test_bytes_forged_with_a_right_checksum_raise_nothing(example, data) -> None:
    schema, _, _ = example
    body = data.draw(st.binary(min_size=24, max_size=24)) + schema.digest + data.draw(st.binary(max_size=150))
    body += b"\0" * data.draw(st.integers(0, 60))
    decoded = decode_rows(schema, [body + struct.pack("<I", crc32(body))])
    assert decoded.reason[0] in (OK, CORRUPT)
    for name in schema.fields:
        cell_of(decoded, name, 0)


@given(examples(), st.tuples(TIMES, TIMES, TIMES))
@settings(max_examples=80, deadline=None)
def test_the_first_bytes_sort_as_the_times_do(example, other) -> None:
    schema, rows, times = example
    if not rows:
        return
    first = pack(schema, rows[:1], times[:1])[0][:24]
    second = pack(schema, rows[:1], [other])[0][:24]
    assert (first < second) == (tuple(times[0]) < other)


OLD = {"price": "Float64", "stock": "Int64", "tags": "Array(String)"}


@pytest.mark.parametrize(
    "new",
    [
        {**OLD, "brand": "String"},
        {"price": "Float64", "stock": "Int64"},
        {**OLD, "stock": "Float64"},
        {**OLD, "stock": "Int32"},
        {**OLD, "tags": "Array(Bytes)"},
        {"cost": "Float64", "stock": "Int64", "tags": "Array(String)"},
        {},
    ],
    ids=["added", "removed", "retyped", "narrowed", "list retyped", "renamed", "all removed"],
)
def test_another_schema_is_missing_both_ways(new) -> None:
    tags = Ragged(np.array(["a", "b"], object), np.array([0, 2]))
    old_row = encode_rows(PackedSchema(OLD), {"price": [1.5], "stock": [7], "tags": tags}, RowTimes.of([1]))
    new_row = encode_rows(PackedSchema(new), {}, RowTimes.of([1]))
    assert decode_rows(PackedSchema(new), old_row + new_row).reason.tolist() == [OTHER_SCHEMA, OK]
    assert decode_rows(PackedSchema(OLD), old_row + new_row).reason.tolist() == [OK, OTHER_SCHEMA]


def test_the_order_of_fields_means_nothing() -> None:
    turned = PackedSchema(dict(reversed(OLD.items())))
    assert turned.digest == PackedSchema(OLD).digest
    assert turned.dtype == PackedSchema(OLD).dtype


def test_nan_is_a_value_and_null_is_none() -> None:
    schema = PackedSchema({"x": "Float64"})
    packed = encode_rows(schema, {"x": np.array([math.nan, None, math.inf], object)}, RowTimes.of([1, 2, 3]))
    decoded = decode_rows(schema, packed)
    assert decoded.valid["x"].tolist() == [True, False, True]
    assert np.isnan(decoded.values["x"]).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("Int32", [2**31]),
        ("Int64", [0.5]),
        ("Int64", [math.nan]),
        ("Int64", np.array([2**63], np.uint64)),
        ("Bool", [2]),
        ("Float64", ["1.5"]),
        ("Float32", [1e300]),
        ("String", [7]),
        ("String", [b"x"]),
        ("String", ["\ud800"]),
        ("Bytes", ["x"]),
        ("Array(Int32)", Ragged(np.array([2**31]), np.array([0, 1]))),
        ("Array(Int64)", [[1]]),
        ("Float64", [1.0, 2.0]),
    ],
)
def test_a_value_that_its_kind_cannot_hold_is_refused(kind, column) -> None:
    with pytest.raises(FeatureValueError, match="x"):
        encode_rows(PackedSchema({"x": kind}), {"x": column}, RowTimes.of([1]))


def test_unknown_features_and_kinds_are_refused() -> None:
    with pytest.raises(FeatureValueError, match="not in the schema"):
        encode_rows(PackedSchema({}), {"x": [1]}, RowTimes.of([1]))
    with pytest.raises(ConfigurationError, match="Complex"):
        PackedSchema({"x": "Complex"})
