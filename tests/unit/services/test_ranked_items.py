"""A ranking written at once is what its objects would be written as."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.batch_contracts import RankedItem
from services.ranked_items import ranked_items_json

ITEM = st.tuples(
    st.text(st.characters(exclude_categories=("C", "Z")), min_size=1),
    st.floats(1e-9, 1.0 - 1e-9),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(ITEM, min_size=1, max_size=20), st.none() | st.integers(1, 25))
def test_it_is_what_the_model_of_an_answer_writes(items: list, top: int | None) -> None:
    ids, *columns = zip(*items, strict=True)
    written = ranked_items_json(ids, *map(np.array, columns), top)
    expected = sorted(items, key=lambda item: -item[1])[:top]
    objects = [RankedItem(**dict(zip(RankedItem.model_fields, item, strict=True))) for item in expected]
    assert written.decode() == f"[{','.join(one.model_dump_json() for one in objects)}]"
    assert [one["item_id"] for one in json.loads(written)] == [item[0] for item in expected]
