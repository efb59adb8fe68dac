"""What is made faster for a request's few values gives what the general way gives, to the bit."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.transforms import activity
from feature_repo.transforms.customer import CustomerFeatures, customer_features
from feature_repo.transforms.encoding import NumericColumn, OneHotColumn, TabularEncoding
from feature_repo.transforms.event_lists import EventLists, event_lists
from feature_repo.transforms.event_sequence import candidate_codes
from feature_repo.transforms.ragged import Ragged
from feature_repo.transforms.words import UNKNOWN, few_words, shared_codes, sought_codes

WORDS = ["tea", "", None, "milk", "tea", "ü", "\0", "milk"]


def test_words_coded_without_arrow_are_equal_where_they_are_with_it() -> None:
    other = ["milk", "new", None, ""]
    few = shared_codes([np.array(WORDS, object), np.array(other, object)])
    arrow = shared_codes([pa.array(WORDS), pa.array(other)])
    assert all(codes.dtype == np.int32 for codes in few)
    few_all, arrow_all = np.concatenate(few), np.concatenate(arrow)
    assert ((few_all[:, None] == few_all) == (arrow_all[:, None] == arrow_all)).all()
    assert ((few_all == -1) == (arrow_all == -1)).all()


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.lists(st.sampled_from([*WORDS, "new", "salt"]), max_size=8))
def test_words_that_are_sought_are_found_where_they_are_listed(listed: list[str | None], sought: list[str]) -> None:
    codes, others = sought_codes(np.array(listed, object), np.array(sought, object))
    plain, plain_others = shared_codes([np.array(listed, object), np.array(sought, object)])
    assert ((codes[:, None] == others) == (plain[:, None] == plain_others)).all()
    assert ((others == UNKNOWN) == (plain_others == UNKNOWN)).all()
    assert ((codes[:, None] == codes) == (plain[:, None] == plain)).all()


@pytest.mark.parametrize(
    "column",
    [np.array(["a"] * 5000, object), np.array(["a", float("nan")], object), np.array(["a"]), pa.array(["a"])],
    ids=["many", "NaN among them", "fixed width", "Arrow's"],
)
def test_other_columns_are_left_to_arrow(column: object) -> None:
    assert few_words(column) is None


def test_hashes_of_words_are_the_same_both_ways() -> None:
    few = candidate_codes(np.array(WORDS, object), np.array(WORDS, object))
    many = candidate_codes(np.array(WORDS * 1000, object), np.array(WORDS * 1000, object))
    for name, codes in few.items():
        assert many[name].tolist() == codes.tolist() * 1000


def test_types_of_events_are_coded_the_same_both_ways() -> None:
    kinds = ["view", "purchase", "another", None, "add_to_cart"]
    offsets = np.array([0, 5], np.int64)
    common = {"event_at": Ragged(np.arange(5), offsets)}
    few, _ = event_lists(
        common | {"event_type": Ragged(np.array(kinds, object), offsets)},
        np.array([9]),
        ("event_at", "event_type"),
        {},
    )
    arrow, _ = event_lists(
        common | {"event_type": Ragged(pa.array(kinds), offsets)}, np.array([9]), ("event_at", "event_type"), {}
    )
    assert few["event_type"].tobytes() == arrow["event_type"].tobytes()


@pytest.mark.parametrize("lengths", [[1], [7], [60], [3, 1, 20], [0, 4]])
def test_several_amounts_are_added_up_at_once_as_each_is(lengths: list[int]) -> None:
    random = np.random.default_rng(sum(lengths))
    lists = Ragged(random.normal(size=sum(lengths)) * 1e3, np.cumsum([0, *lengths]))
    inside = random.random(sum(lengths)) < 0.5
    rows = [lists.values, inside, np.where(inside, lists.values, 0.0)]
    alone = [lists.with_values(row).sum().tobytes() for row in rows]
    assert [one.tobytes() for one in lists.sums(iter(rows))] == alone


def test_features_of_one_customer_are_those_of_many() -> None:
    """A request's few baskets are added up at once; so many that they are not, give the same bits."""
    random, day = np.random.default_rng(3), 86_400_000_000
    lengths = random.integers(0, 90, 60)
    offsets = np.cumsum([0, *lengths])
    at = [np.sort(random.integers(0, 200 * day, length)) for length in lengths]
    columns = {"basket_at": Ragged(np.concatenate(at), offsets)}
    for name in ("lines", "quantity", "revenue", "cost", "items", "categories"):
        amounts = random.normal(size=offsets[-1]) * 1e3
        amounts[random.random(len(amounts)) < 0.02] = np.nan
        columns[f"basket_{name}"] = Ragged(amounts, offsets)
    asked = np.full(60, 200 * day)
    together = customer_features(columns, asked)
    for row in range(60):
        one = np.array([row])
        alone = customer_features({name: lists.take(one) for name, lists in columns.items()}, asked[:1])
        assert {n: v.tobytes() for n, v in alone.numeric.items()} == {
            n: v[one].tobytes() for n, v in together.numeric.items()
        }
        for name, lists in alone.sequences.items():
            assert lists.values.tobytes() == together.sequences[name].take(one).values.tobytes()


def test_kinds_are_counted_the_same_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(7)
    at = np.sort(random.integers(0, 40 * 24 * activity.HOUR_US, 80))
    columns = {
        "event_at": at,
        "event_type": random.integers(-1, 6, 80).astype(np.int8),
        "event_revenue": random.normal(size=80),
        "event_category": random.integers(-1, 4, 80).astype(np.int32),
    }
    lists = EventLists(np.array([0, 80], np.int64), columns)
    few = activity.activity_of(lists, at[-1:])
    monkeypatch.setattr(activity, "_FEW", 0)
    general = activity.activity_of(lists, at[-1:])
    assert few.keys() == general.keys()
    assert all(few[name].tobytes() == general[name].tobytes() for name in few)


def test_one_word_of_many_items_is_encoded_as_each_alone() -> None:
    column = OneHotColumn("area", ("105", "106"))
    for word in ("106", "elsewhere", None):
        shared = column.apply(np.broadcast_to(np.array([word], object), (3,)))
        assert shared.tolist() == column.apply(np.array([word] * 3, object)).tolist()


def test_lists_without_a_value_have_no_shortest_path() -> None:
    lists = Ragged(np.array([1.0, 2.0, 5.0]), np.array([0, 2, 2, 3]))
    assert (lists.shortest, lists.begins.tolist(), lists.sum().tolist()) == (0, [0, 2], [3.0, 0.0, 5.0])
    assert np.isnan(lists.mean()[1])
    assert Ragged.empty(0).shortest == 0


def test_a_bound_above_alone_counts_in_a_table() -> None:
    features = CustomerFeatures({"x": np.array([0.5, 3.0])}, {}, {}, 2)
    assert TabularEncoding((NumericColumn("x", high=1.0),)).apply(features).tolist() == [[0.5], [1.0]]
