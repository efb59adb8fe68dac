import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.adapters import stable_order as module
from training.adapters.stable_order import order_of_rows, stable_order

WHOLE = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))


@given(st.lists(WHOLE, max_size=50))
def test_the_order_is_that_of_a_stable_sort(several):
    numbers = np.array(several, np.int64)
    assert stable_order(numbers).tolist() == np.argsort(numbers, kind="stable").tolist()


@given(st.lists(st.tuples(WHOLE, WHOLE), max_size=50), st.sampled_from([0, 3, module.RUN]))
def test_rows_are_ordered_by_the_first_column_then_by_the_second(rows, run):
    columns = [np.array([row[place] for row in rows], np.int64) for place in (0, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RUN", run)  # from how many rows on runs are merged
        told = order_of_rows(columns).tolist()
    assert told == sorted(range(len(rows)), key=lambda row: rows[row])
