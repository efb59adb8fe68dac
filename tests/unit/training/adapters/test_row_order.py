import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.adapters import row_order
from training.adapters.row_order import in_order

moments = st.lists(st.one_of(st.integers(-5, 5), st.integers(-(2**62), 2**62)), max_size=60)


@given(moments, st.integers(1, 7), st.integers(1, 8), st.integers(1, 4), st.randoms())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_in_order_whatever_the_parts(tmp_path, monkeypatch, at, batch, part, every, random):
    monkeypatch.setattr(row_order, "PART_ROWS", part)
    numbers = list(range(len(at)))
    random.shuffle(numbers)
    table = pa.table({"at": pa.array(at, pa.int64()), "row": pa.array(numbers, pa.int64()), "text": list(map(str, at))})
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=batch))
    sample = np.array(at[::every], np.int64)
    told = [row for one in in_order(reader, ("at", "row"), sample, len(at), tmp_path) for row in one.to_pylist()]
    expected = sorted(zip(at, numbers, strict=True))
    assert [(row["at"], row["row"]) for row in told] == expected
    assert [row["text"] for row in told] == [str(moment) for moment, _ in expected]
    assert list(tmp_path.iterdir()) == []


def test_one_moment_with_most_of_the_rows_is_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(row_order, "PART_ROWS", 10)
    at = np.array([5] * 500 + [9, 1, 7, 6, 8, 4] * 5, np.int64)
    table = pa.table({"at": at, "row": np.arange(at.size)})
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=20))
    parts = list(in_order(reader, ("at", "row"), at, at.size, tmp_path))
    assert max(part.num_rows for part in parts) <= 30  # never the 500 at once
    assert pa.concat_tables(parts)["at"].to_pylist() == sorted(at.tolist())
