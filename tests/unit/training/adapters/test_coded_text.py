"""What is read, changed or judged once for each different text is what it would be for each row."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.adapters import parquet_rows
from training.adapters.coded_text import by_text, coded, coded_by, first_given, of_rows, only_used, plain
from training.adapters.parquet_rows import read_parquet

cells = st.lists(st.sampled_from(["a", "b", "", "B", None]), max_size=12)


@given(cells, st.integers(0, 3))
def test_codes_hold_the_same_cells_and_nothing_else(texts, begin):
    column = pa.array(texts, pa.string())
    part = only_used(coded(column).slice(begin))
    assert part.to_pylist() == texts[begin:]
    assert sorted(part.dictionary.to_pylist()) == sorted({text for text in texts[begin:] if text is not None})
    with_null = pa.DictionaryArray.from_arrays(pa.array([1, 0, 2, None]), pa.array(["a", None, "b"]))
    assert coded(with_null).dictionary.to_pylist() == ["a", "b"]
    assert plain(coded(with_null)).to_pylist() == [None, "a", "b", None]


@given(cells, cells)
def test_each_text_is_changed_as_in_its_row(texts, others):
    def change(column):
        return pc.if_else(pc.equal(column, ""), None, pc.utf8_upper(column))

    column = pa.array(texts, pa.string())
    assert coded_by(change, column).to_pylist() == by_text(change, column).to_pylist() == change(column).to_pylist()
    assert not coded_by(change, column).dictionary.null_count
    pairs = list(zip(texts, others, strict=False))
    one, other = (pa.array([pair[side] for pair in pairs], pa.string()) for side in (0, 1))
    assert first_given(one, other).to_pylist() == pc.coalesce(one, other).to_pylist()
    found = of_rows(
        np.array([text == "a" for text in coded(column).dictionary.to_pylist()], bool), coded(column).indices
    )
    assert found.tolist() == [text == "a" for text in texts]


@given(cells, st.integers(1, 5), st.integers(2, 6), st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_of_a_file_with_dictionaries_are_its_rows_in_order(tmp_path, monkeypatch, texts, group, size, dictionary):
    monkeypatch.setattr(parquet_rows, "BATCH_ROWS", size)
    table = pa.table({"text": pa.array(texts, pa.string()), "number": pa.array(range(len(texts)), pa.int64())})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=group, use_dictionary=dictionary)
    found = list(read_parquet(tmp_path / "x.parquet"))
    assert [text for rows in found for text in rows.table["text"].to_pylist()] == texts
    assert [number for rows in found for number in rows.source_row.tolist()] == list(range(1, len(texts) + 1))
    assert all(pa.types.is_dictionary(rows.table["text"].type) == dictionary for rows in found)
