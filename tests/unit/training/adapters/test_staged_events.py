"""Events are read back in the order of the file, in pieces of one size, without what is left out."""

import hashlib

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.adapters.repetitions import RowSet
from training.adapters.row_identity import row_identities
from training.adapters.staged_events import StagedEvents


@given(st.integers(0, 90), st.sets(st.integers(1, 90)), st.integers(1, 40), st.integers(1, 30))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_are_of_one_size_and_in_the_order_of_the_file(tmp_path, rows, left_out, group, size):
    numbers = np.arange(1, rows + 1)
    texts = pa.array([None if number % 7 == 0 else f"text {number % 5}" for number in numbers.tolist()], pa.string())
    pq.write_table(pa.table({"source_row": numbers, "text": texts}), tmp_path / "x.parquet", row_group_size=group)
    without = RowSet(90)
    without.add(np.array(sorted(left_out, reverse=True), np.int64))
    pieces = list(StagedEvents(tmp_path / "x.parquet", without).pieces(["text", "source_row"], size))
    assert [piece.num_rows for piece in pieces[:-1]] == [size] * len(pieces[:-1])
    kept = [number for number in numbers.tolist() if number not in left_out]
    assert [number for piece in pieces for number in piece["source_row"].to_pylist()] == kept
    assert [text for piece in pieces for text in piece["text"].to_pylist()] == [texts[n - 1].as_py() for n in kept]


@given(st.lists(st.text(max_size=150), max_size=30))
@settings(deadline=None)
def test_an_identity_is_the_md5(texts):
    with duckdb.connect() as connection:
        low, high = row_identities(connection, pa.array(texts, pa.string()))
    expected = [hashlib.md5(text.encode(), usedforsecurity=False).digest() for text in texts]
    halves = zip(low.tolist(), high.tolist(), strict=True)
    assert [a.to_bytes(8, "little") + b.to_bytes(8, "little") for a, b in halves] == expected
