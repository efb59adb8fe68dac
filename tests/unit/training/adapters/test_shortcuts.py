"""What is told of a whole chunk at once is what each row by itself would tell."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.adapters.canonical_rows import canonical_chunk
from training.adapters.contract import ROW_SCHEMA, CanonicalChunk
from training.adapters.csv_rows import SourceRows
from training.adapters.readings import read_id
from training.adapters.row_text import PER_SECOND, cell_texts, row_texts
from training.adapters.sole_texts import SoleTexts
from training.adapters.source_times import read_time
from training.adapters.validation import is_servable, verdicts

EPOCH = datetime(1970, 1, 1)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ids = st.one_of(
    st.text(min_size=1, max_size=4),
    st.text("az ~\x7f\x1f", min_size=1, max_size=4),
    st.sampled_from(["u" * 128, "u" * 129]),
)


@given(st.lists(st.one_of(st.none(), ids), min_size=1, max_size=8), st.integers(0, 3))
def test_an_id_can_be_used_where_the_service_would_take_it(users, begin):
    columns = {"user_id": users, "event_timestamp": [NOON] * len(users), "event_type": ["view"] * len(users)}
    rows = pa.Table.from_pydict({name: columns.get(name, [None] * len(users)) for name in ROW_SCHEMA.names}, ROW_SCHEMA)
    rows = rows.slice(begin)
    usable = verdicts(CanonicalChunk(rows, rows, np.arange(rows.num_rows))).usable
    assert usable.tolist() == [user is not None and is_servable(user) for user in users[begin:]]


def test_a_time_in_utc_with_a_second_zone_is_no_time():
    cells = ["2019-10-01 00:00:00 UTC", "2019-10-01 00:00:00+02:00 UTC", None, "2019-10-01 00:00 UTC", "at 12:00 UTC"]
    moments, unread = read_time(pa.array(cells), "Europe/Berlin")
    midnight = datetime(2019, 10, 1, tzinfo=UTC)
    assert moments.to_pylist() == [midnight, None, None, midnight, None]
    assert unread.tolist() == [False, True, False, False, True]
    whole, none = read_time(pa.array([cells[0], None]), "Europe/Berlin")
    assert whole.to_pylist() == [midnight, None]
    assert not none.any()


@given(st.lists(st.one_of(st.none(), st.integers(-(2**53), 2**53)), min_size=1, max_size=6), st.booleans())
def test_a_row_has_the_same_identity_whether_its_ids_were_numbers_or_read_before(numbers, floats):
    column = pa.array(numbers, pa.int64()).cast(pa.float64()) if floats else pa.array(numbers, pa.int64())
    source = pa.table({"who": column, "what": column})
    rows = SourceRows(source, np.arange(len(numbers)))
    chunk = canonical_chunk(rows, {"user_id": "who"}, {}, read_id)
    assert row_texts(chunk.source).equals(row_texts(source))


WIDTHS = {pa.int8(): 8, pa.int16(): 16, pa.int64(): 64, pa.uint8(): 8, pa.uint64(): 64}


@pytest.mark.parametrize("kind", WIDTHS, ids=str)
@pytest.mark.parametrize("end", ["first", "last", "all"])
def test_whole_numbers_at_the_ends_of_their_type_are_written_as_they_are(kind, end):
    """Many and close together, so that each number between is written once."""
    first = -(2 ** (WIDTHS[kind] - 1)) if pa.types.is_signed_integer(kind) else 0
    last = first + 2 ** WIDTHS[kind] - 1
    span = {
        "first": range(first, first + 3),
        "last": range(last - 2, last + 1),
        "all": range(max(first, last - 255), last),
    }
    numbers = [*span[end], None] * 5
    assert cell_texts(pa.array(numbers, kind)).to_pylist() == [None if one is None else str(one) for one in numbers]


@given(st.lists(st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1), st.integers(-719_162, 2_932_896)), max_size=6))
def test_days_are_written_as_python_writes_them_and_beyond_its_years_as_numbers(days):
    def written(day):
        try:
            return str(date(1970, 1, 1) + timedelta(days=day))
        except OverflowError:
            return str(day)

    expected = [None if day is None else written(day) for day in days]
    assert cell_texts(pa.array(days, pa.int32()).cast(pa.date32())).to_pylist() == expected
    thousandths = pa.array([19_844 * 86_400_000, None], pa.int64()).cast(pa.date64())
    assert cell_texts(thousandths).to_pylist() == ["2024-05-01", None]


moments = st.integers(-40_000_000_000, 253_402_300_799)


@given(st.lists(st.one_of(moments, st.integers(0, 2**31), st.none()), max_size=6), st.sampled_from(["s", "ms", "us"]))
def test_a_moment_is_written_as_python_writes_it(seconds, unit):
    seconds = [one for one in seconds if one is None or one >= -62_135_596_800]
    units = [one if one is None else one * PER_SECOND[unit] for one in seconds]
    for zone, mark in (("UTC", "+00:00"), (None, "")):
        told = cell_texts(pa.array(units, pa.timestamp(unit, tz=zone))).to_pylist()
        expected = [one if one is None else f"{EPOCH + timedelta(seconds=one)}{mark}" for one in seconds]
        assert told == expected


@given(st.lists(st.sampled_from(["a", "b", "aa", "", None]), max_size=5), st.integers(1, 3))
def test_a_column_that_always_says_the_same_is_found(cells, size):
    sole = SoleTexts(["what"])
    column = pa.array(cells, pa.string())
    for begin in range(0, len(cells), size):
        sole.add(pa.table({"what": column.slice(begin, size)}))
    assert sole.found == ({"what": cells[0]} if len(set(cells)) == 1 and cells[0] else {})


@given(st.lists(st.sampled_from(["2019-10-01 00:00:05 UTC", " 2019-10-01 00:00 UTC", "2019-10-01 UTC", "19:00 UTC"])))
def test_times_of_one_width_are_read_as_each_by_itself(cells):
    moments, unread = read_time(pa.array(cells, pa.string()), "Asia/Tokyo")
    each = [read_time(pa.array([cell, None]), "Asia/Tokyo") for cell in cells]
    assert moments.to_pylist() == [one[0].to_pylist()[0] for one in each]
    assert unread.tolist() == [one[1].tolist()[0] for one in each]
