import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.adapters import shared_texts
from training.adapters.coded_text import TEXT
from training.adapters.shared_texts import SharedTexts

cells = st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "", "ä", "\x1f"])), max_size=6)


def piece(*chunks: list[str | None]) -> pa.Table:
    """Rows whose texts have a dictionary for each chunk, and one column that is not looked at."""
    coded = [pa.array(chunk, pa.string()).dictionary_encode() for chunk in chunks]
    number = pa.array(range(sum(map(len, chunks))))
    return pa.table({"text": pa.chunked_array(coded, TEXT), "number": number})


@given(st.lists(cells, min_size=1, max_size=4), st.randoms())
def test_rows_have_their_texts_again_in_whatever_order(chunks, random):
    shared, table = SharedTexts(("text", "absent")), piece(*chunks)
    shared.add(table.append_column("absent", pa.nulls(table.num_rows, TEXT)))
    order = pa.array(random.sample(range(table.num_rows), table.num_rows), pa.int64())
    told = shared.spelt(shared.numbered(table).take(order))
    assert told.to_pydict() == table.take(order).to_pydict()
    column = told["text"].combine_chunks()
    if any(cell is not None for chunk in chunks for cell in chunk):
        assert column.type == TEXT
        assert set(column.dictionary.to_pylist()) == set(column.drop_null().to_pylist())  # none that no row has


@pytest.mark.parametrize("chunks", [[["a", "b", "c"]], [["a", "b"], ["b", "c"]]])
def test_a_column_with_too_many_texts_is_left_alone(monkeypatch, chunks):
    monkeypatch.setattr(shared_texts, "MOST_TEXTS", 2)
    shared = SharedTexts(("text",))
    for chunk in chunks:
        shared.add(piece(chunk))
    table = piece(*chunks)
    assert shared.numbered(table) is table
    assert shared.spelt(table) is table
