import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intent_stores.errors import OnlineKeyError
from intent_stores.packed_keys import ENTITYLESS, entity_keys


def test_keys_are_readable_and_sorted_by_name() -> None:
    assert entity_keys(["user_id"], {"user_id": ["a", "b"]}) == [b"user_id:s=a", b"user_id:s=b"]
    assert entity_keys(["user", "item"], {"user": ["a"], "item": [17]}) == [b"item:i2=17;user:s=a"]
    assert entity_keys([], {"user": ["a"]}) == [ENTITYLESS]


def test_whole_numbers_of_any_width_are_one_type() -> None:
    for column in ([7], np.array([7], np.int32), np.array([7], np.uint64), [np.int64(7)]):
        assert entity_keys(["i"], {"i": column}) == [b"i:i=7"]


def test_one_value_holds_for_all_rows() -> None:
    keys = entity_keys(["user", "item"], {"user": ["a"], "item": [1, 2]})
    assert keys == [b"item:i1=1;user:s=a", b"item:i1=2;user:s=a"]


def test_times_are_microseconds() -> None:
    moments = np.array(["1970-01-01T00:00:01"], "datetime64[s]")
    assert entity_keys(["t"], {"t": moments}) == [b"t:t=1000000"]


NO_TIME = np.array(["NaT"], "datetime64[us]")


@pytest.mark.parametrize(
    "column", [[None], [1.5], ["a", 1], ["\ud800"], np.array([0.5]), [True], np.array([False]), [1, True], NO_TIME]
)
def test_what_cannot_be_a_key_is_refused(column) -> None:
    with pytest.raises(OnlineKeyError, match="'user'"):
        entity_keys(["user"], {"user": column})


def test_missing_and_uneven_columns_are_refused() -> None:
    with pytest.raises(OnlineKeyError, match="missing"):
        entity_keys(["user"], {"item": [1]})
    with pytest.raises(OnlineKeyError, match="fewer"):
        entity_keys(["user", "item"], {"user": ["a", "b"], "item": [1, 2, 3]})


TEXTS = st.one_of(st.text(max_size=6), st.binary(max_size=6), st.integers())


@given(
    *[st.tuples(TEXTS, TEXTS)] * 2,
    *[st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=2, unique=True)] * 2,
)
def test_different_keys_have_different_bytes(first, second, names, others) -> None:
    one = entity_keys(names, dict(zip(names, [[cell] for cell in first], strict=True)))
    two = entity_keys(others, dict(zip(others, [[cell] for cell in second], strict=True)))
    same = dict(zip(names, first, strict=True)) == dict(zip(others, second, strict=True))
    assert (one == two) == same
