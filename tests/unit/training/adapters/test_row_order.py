import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.adapters import row_order
from training.adapters.row_order import in_order

moments = st.lists(st.one_of(st.integers(-5, 5), st.integers(-(2**62), 2**62)), max_size=60)


def in_pieces(table: pa.Table, rows: int) -> list[pa.Table]:
    """Each of two batches, whose texts have dictionaries of their own."""
    place = table.schema.get_field_index("text")
    pieces = []
    for begin in range(0, table.num_rows, rows):
        halves = [table.slice(begin, rows // 2), table.slice(begin + rows // 2, rows - rows // 2)]
        encoded = [half.set_column(place, "text", half["text"].dictionary_encode()) for half in halves]
        pieces.append(pa.Table.from_batches([batch for half in encoded for batch in half.to_batches()]))
    return pieces


@given(moments, st.integers(1, 7), st.integers(1, 8), st.integers(1, 4), st.integers(0, 60), st.randoms())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_in_order_whatever_the_parts(tmp_path, monkeypatch, at, batch, part, every, waiting, random):
    monkeypatch.setattr(row_order, "PART_ROWS", part)
    monkeypatch.setattr(row_order, "MOST_WAITING", waiting)
    numbers = list(range(len(at)))
    random.shuffle(numbers)
    table = pa.table({"at": pa.array(at, pa.int64()), "row": pa.array(numbers, pa.int64()), "text": list(map(str, at))})
    pieces = in_pieces(table, batch)
    sample, keys = np.array(at[::every], np.int64), ("at", "row")
    through_files = list(in_order(pieces, keys, sample, len(at), tmp_path))
    assert list(tmp_path.iterdir()) == []
    told_before = [piece["at"].to_numpy() for piece in pieces]
    either = list(in_order(pieces, keys, sample, len(at), tmp_path, beforehand=lambda: told_before))
    assert [one.to_pydict() for one in either] == [one.to_pydict() for one in through_files]
    assert all(len(one["text"].chunks) == 1 for one in either)
    told = [row for one in either for row in one.to_pylist()]
    expected = sorted(zip(at, numbers, strict=True))
    assert [(row["at"], row["row"]) for row in told] == expected
    assert [row["text"] for row in told] == [str(moment) for moment, _ in expected]
    assert list(tmp_path.iterdir()) == []


def test_one_moment_with_most_of_the_rows_is_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(row_order, "PART_ROWS", 10)
    at = np.array([5] * 500 + [9, 1, 7, 6, 8, 4] * 5, np.int64)
    table = pa.table({"at": at, "row": np.arange(at.size)})
    pieces = [table.slice(begin, 20) for begin in range(0, at.size, 20)]
    parts = list(in_order(pieces, ("at", "row"), at, at.size, tmp_path))
    assert max(part.num_rows for part in parts) <= 30  # never the 500 at once
    assert pa.concat_tables(parts)["at"].to_pylist() == sorted(at.tolist())


def test_rows_that_come_nearly_in_order_see_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(row_order, "PART_ROWS", 10)
    monkeypatch.setattr(row_order, "MOST_WAITING", 40)
    at = np.arange(400) + np.tile([0, 15], 200)  # every other row is early
    table = pa.table({"at": at, "row": np.arange(at.size)})
    pieces = [table.slice(begin, 20) for begin in range(0, at.size, 20)]
    keys = [piece["at"].to_numpy() for piece in pieces]
    begun = in_order(pieces, ("at", "row"), at, at.size, tmp_path / "missing", beforehand=lambda: keys)
    assert pa.concat_tables(begun)["at"].to_pylist() == sorted(at.tolist())


def test_one_late_row_is_put_in_order_through_files(tmp_path, monkeypatch):
    monkeypatch.setattr(row_order, "PART_ROWS", 10)
    monkeypatch.setattr(row_order, "MOST_WAITING", 40)
    at = np.append(np.arange(400), 0)
    table = pa.table({"at": at, "row": np.arange(at.size)})
    pieces = [table.slice(begin, 20) for begin in range(0, at.size, 20)]
    keys = [piece["at"].to_numpy() for piece in pieces]
    told = in_order(pieces, ("at", "row"), at, at.size, tmp_path, beforehand=lambda: keys)
    assert next(told)["at"].to_pylist()[:3] == [0, 0, 1]
    assert len(list(tmp_path.iterdir())) > 30
