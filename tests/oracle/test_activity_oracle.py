"""Every feature of a customer's last events at t against a plain loop over the same events."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.errors import FeatureError
from feature_repo.events import EVENT_TYPES
from feature_repo.transforms import event_lists as lists_module
from feature_repo.transforms.activity import ACTIVITY_NAMES, WINDOWS, activity_features
from feature_repo.transforms.affinity import AFFINITY_NAMES, affinity_features
from feature_repo.transforms.ragged import Ragged
from feature_repo.transforms.session import PAUSE_US
from feature_repo.transforms.words import shared_codes
from tests.activity_loop import DAY, SECOND, expected

FIELDS = ("event_at", "event_type", "event_item", "event_category", "event_revenue")
EDGES = [0, 1, SECOND, PAUSE_US - 1, PAUSE_US, *(w + d for w in WINDOWS.values() for d in (-1, 0, 1))]

words = st.sampled_from(["", "tea", "milk", "ü", "a much longer word than the others"])
pauses = st.one_of(st.sampled_from(EDGES), st.integers(0, 2 * PAUSE_US), st.integers(0, 40 * DAY))
amounts = st.one_of(st.just(math.nan), st.floats(-1e5, 1e5, width=32))
events = st.lists(
    st.tuples(pauses, st.sampled_from([*EVENT_TYPES, "purchase", "other"]), words, words, amounts), max_size=14
)
cases = st.tuples(events, pauses, st.one_of(st.none(), words), st.one_of(st.none(), words), st.integers(0, 3))


def place_in_time(case):
    """(events with moments, t, item, category): t lies a pause after the last event, or before the last few."""
    rows, later, item, category, unseen = case
    at, placed = 10**15, []
    for pause, *rest in rows:
        at += pause
        placed.append((at, *rest))
    if 0 < unseen <= len(placed):
        return placed, placed[-unseen][0] - 1, item, category
    return placed, at + later, item, category


customers = st.lists(cases.map(place_in_time), min_size=1, max_size=8)


def as_arrow(found):
    kinds = (pa.int64(), pa.string(), pa.string(), pa.string(), pa.float64())
    columns = {
        field: pa.array([[row[i] for row in rows] for rows, *_ in found], pa.list_(kind))
        for i, (field, kind) in enumerate(zip(FIELDS, kinds, strict=True))
    }
    return columns | {
        "item_id": pa.array([case[2] for case in found], pa.string()),
        "item_category": pa.array([case[3] for case in found], pa.string()),
    }


def as_numpy(found):
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows, *_ in found])]).astype(np.int64)
    kinds = (np.int64, object, object, object, np.float64)
    columns = {
        field: Ragged(np.array([row[i] for rows, *_ in found for row in rows], kind), offsets)
        for i, (field, kind) in enumerate(zip(FIELDS, kinds, strict=True))
    }
    return columns | {
        "item_id": np.array([case[2] for case in found], object),
        "item_category": np.array([case[3] for case in found], object),
    }


def as_dictionaries(found):
    """Lists of dictionary-encoded words in large lists, cut out of a longer column."""
    columns = {}
    for field, column in as_arrow([found[0], *found]).items():
        kind = column.type
        if pa.types.is_list(kind):
            flat = column.values.dictionary_encode() if kind.value_type == pa.string() else column.values
            offsets = column.offsets.cast(pa.int64())
            columns[field] = pa.chunked_array([pa.LargeListArray.from_arrays(offsets, flat)]).slice(1)
        else:
            columns[field] = column.dictionary_encode().slice(1)
    return columns


def compute(columns, found):
    at = np.array([case[1] for case in found], np.int64)
    return activity_features(columns, at) | affinity_features(columns, at)


@given(customers)
@settings(max_examples=300, deadline=None)
def test_features_equal_a_plain_loop(found) -> None:
    features = compute(as_arrow(found), found)
    assert set(features) == {*ACTIVITY_NAMES, *AFFINITY_NAMES}
    for place, case in enumerate(found):
        wanted = expected(*case)
        assert set(wanted) == set(features)
        for name, value in wanted.items():
            assert features[name][place] == pytest.approx(value, rel=1e-9, abs=1e-6, nan_ok=True), name


@given(customers)
@settings(max_examples=150, deadline=None)
def test_one_customer_alone_gives_the_same_bits_as_in_a_batch(found) -> None:
    together = compute(as_arrow(found), found)
    for place, case in enumerate(found):
        for name, values in compute(as_arrow([case]), [case]).items():
            assert values.tobytes() == together[name][[place]].tobytes(), name


@given(customers)
@settings(max_examples=100, deadline=None)
def test_text_may_come_as_arrow_as_objects_or_as_dictionaries(found) -> None:
    plain = compute(as_arrow(found), found)
    for form in (as_numpy, as_dictionaries):
        for name, values in compute(form(found), found).items():
            assert values.tobytes() == plain[name].tobytes(), (form.__name__, name)


def shop(customers, seed=0, longest=256):
    """Long lists, the longest and the empty among them, as generated by NumPy."""
    random = np.random.default_rng(seed)
    found = []
    for place in range(customers):
        count = (0, longest)[place] if place < 2 else int(random.integers(0, longest + 1))
        moments = np.sort(random.integers(0, 60 * DAY, count) // random.choice([1, 3000]))
        kinds = random.choice([*EVENT_TYPES, "other"], count)
        items, categories = (random.zipf(1.4, count) % 20).astype(str), (random.zipf(1.2, count) % 9).astype(str)
        rows = list(zip(moments.tolist(), kinds, items, categories, random.normal(size=count).tolist(), strict=True))
        found.append((rows, int(random.integers(0, 61 * DAY)), str(place % 20), str(place % 9)))
    return found


def test_long_lists_equal_a_plain_loop_and_do_not_depend_on_the_batch(monkeypatch) -> None:
    found = shop(60)
    whole = compute(as_arrow(found), found)
    monkeypatch.setattr(lists_module, "_BLOCK_CELLS", 700)
    monkeypatch.setattr(lists_module, "_BLOCK_ROWS", 7)
    in_blocks = compute(as_arrow(found), found)
    for name, values in whole.items():
        assert values.tobytes() == in_blocks[name].tobytes(), name
    for place, case in enumerate(found):
        alone = compute(as_arrow([case]), [case])
        for name, value in expected(*case).items():
            assert whole[name][place] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name
            assert alone[name].tobytes() == whole[name][[place]].tobytes(), name


def test_windows_hold_their_end_and_not_their_begin() -> None:
    for name, length in WINDOWS.items():
        rows = [(10**15 + d, "view", "", "", 0.0) for d in (0, 1, length, length + 1)]
        found = [(rows, 10**15 + length, "", "")]
        assert compute(as_arrow(found), found)[f"view_count_{name}"][0] == 2.0


def test_an_event_later_than_t_changes_nothing() -> None:
    rows = [(5 * DAY, "view", "1", "a", 1.0), (5 * DAY + 1, "purchase", "1", "a", math.inf)]
    seen = compute(as_arrow([(rows[:1], 5 * DAY, "1", "a")]), [(rows, 5 * DAY, "1", "a")])
    with_future = compute(as_arrow([(rows, 5 * DAY, "1", "a")]), [(rows, 5 * DAY, "1", "a")])
    assert {name: v.tobytes() for name, v in seen.items()} == {name: v.tobytes() for name, v in with_future.items()}


def test_no_customers_no_events_and_null_lists() -> None:
    assert all(len(values) == 0 for values in compute(as_arrow([]), []).values())
    columns = as_arrow([([], 0, "tea", "tea")] * 2)
    columns |= {field: pa.array([None, []], columns[field].type) for field in FIELDS}
    features = compute(columns, [([], 5 * DAY, "tea", "tea")] * 2)
    assert features["event_count_30d"].tolist() == [0.0, 0.0]
    assert np.isnan(features["item_affinity"]).all()
    assert np.isnan(features["seconds_since_event"]).all()


def test_lists_that_are_not_in_order_are_refused() -> None:
    found = [([(2, "view", "", "", 0.0), (1, "view", "", "", 0.0)], 5, "", "")]
    with pytest.raises(FeatureError, match="1 events lie before the one they follow"):
        compute(as_arrow(found), found)


def test_lists_of_other_lengths_other_rows_or_without_moments_are_refused() -> None:
    found = [([(1, "view", "", "", 0.0)], 5, "", "")]
    columns, at = as_arrow(found), np.array([5])
    with pytest.raises(FeatureError, match="'event_type' have other lengths"):
        activity_features(columns | {"event_type": pa.array([["view", "view"]])}, at)
    with pytest.raises(FeatureError, match="'event_type' has 0 rows; expected 1"):
        activity_features(columns | {"event_type": pa.array([], pa.list_(pa.string()))}, at)
    with pytest.raises(FeatureError, match="'item_id' is missing"):
        affinity_features({name: column for name, column in columns.items() if name != "item_id"}, at)
    with pytest.raises(FeatureError, match="1 moments in 'event_at' are null"):
        activity_features(columns | {"event_at": pa.array([[None]], pa.list_(pa.int64()))}, at)


def test_words_share_their_codes_over_columns_and_forms() -> None:
    first, second = shared_codes([np.array(["tea", None, "ü", ""], object), pa.array(["ü", "", None, "new"])])
    assert first.tolist()[1] == first.tolist()[3] == second.tolist()[1] == second.tolist()[2] == -1
    assert first[2] == second[0]
    assert len({first[0], first[2], second[3]}) == 3
