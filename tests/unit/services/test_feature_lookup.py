import numpy as np
import pytest

from feature_repo.errors import BundleError
from feature_repo.transforms.ragged import Ragged
from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_reader import PackedReader
from intent_stores.packed_view import PackedView
from services.feature_lookup import ViewRows, read_views, views_of
from services.packed_lookup import PackedLookup
from tests.online_store import DictionaryStore, lookup_over, write_rows
from tests.tiny_shop import AT_US, DAY_US, FEATURES

FIELDS = {"total": "Float64", "area": "String", "lines": "Int64", "seen_at": "Array(Int64)"}
HISTORY = PackedView("history", FIELDS, ("user_id",), 10 * DAY_US)


def looked_up(rows: dict, users: list[str], at_us: int = AT_US, ttl_us: int = 10 * DAY_US) -> ViewRows:
    lookup, _ = lookup_over([PackedView("history", FIELDS, ("user_id",), ttl_us)], {"history": rows})
    return lookup.lookup({"user_id": users}, at_us)["history"]


@pytest.mark.parametrize(
    ("event_us", "ttl_us", "expected", "reason", "age"),
    [
        (AT_US, 10 * DAY_US, "fresh", None, 0.0),
        (AT_US - 1, 10 * DAY_US, "fresh", None, 1e-6),
        (AT_US - 10 * DAY_US, 10 * DAY_US, "fresh", None, 864_000.0),  # both ends inclusive, as in the offline join
        (AT_US - 10 * DAY_US - 1, 10 * DAY_US, "stale", "expired", 864_000.000001),
        (AT_US - 4000 * DAY_US, 0, "fresh", None, 4000 * 86_400.0),
        (AT_US + 1, 10 * DAY_US, "missing", "newer than at", None),
        (AT_US + 1, 0, "missing", "newer than at", None),
    ],
)
def test_age_is_measured_at_the_requests_moment(
    event_us: int, ttl_us: int, expected: str, reason: str | None, age: float | None
) -> None:
    found = looked_up({"a": (event_us, {"total": 2.0, "area": "x", "lines": 3})}, ["a"], ttl_us=ttl_us)
    assert (found.status[0], found.reason[0]) == (expected, reason)
    assert np.isnan(found.age_seconds[0]) if age is None else found.age_seconds[0] == pytest.approx(age, abs=1e-7)
    assert found.columns["area"][0] == ("x" if expected == "fresh" else None)
    assert np.isnan(found.columns["total"][0]) == np.isnan(found.columns["lines"][0]) == (expected != "fresh")


def test_a_moment_after_at_inside_the_row_makes_it_newer() -> None:
    # Who pushes rows through Feast says their event time himself, and may round it.
    rows = {"a": (AT_US, {"total": 1.0, "area": "x", "seen_at": [AT_US - 5, AT_US + 400_000]})}
    rows["b"] = (AT_US, {"total": 2.0, "area": "y", "seen_at": [AT_US - 5, AT_US]})
    found = looked_up(rows, ["a", "b"])
    assert found.status.tolist() == ["missing", "fresh"]
    assert found.reason.tolist() == ["newer than at", None]
    assert np.isnan(found.age_seconds).tolist() == [True, False]
    assert found.columns["area"].tolist() == [None, "y"]
    assert np.isnan(found.columns["total"]).tolist() == [True, False]
    assert found.columns["seen_at"].lengths.tolist() == [0, 2]


def test_columns_are_what_the_transforms_take() -> None:
    rows = {"a": (AT_US, {"lines": 3, "area": "x", "seen_at": [1, 2]}), "b": (AT_US, {}), "c": (AT_US, {"seen_at": []})}
    columns = looked_up(rows, ["a", "b", "c", "nobody"]).columns
    np.testing.assert_array_equal(columns["lines"], [3.0, np.nan, np.nan, np.nan])
    assert (columns["lines"].dtype, columns["total"].dtype) == (np.float64, np.float64)
    assert columns["area"].tolist() == ["x", None, None, None]
    assert isinstance(columns["seen_at"], Ragged)
    assert (columns["seen_at"].values.dtype, columns["seen_at"].offsets.tolist()) == (np.int64, [0, 2, 2, 2, 2])


def test_views_of_items_and_of_both_are_looked_up_beside_those_of_the_customer() -> None:
    item = PackedView("demand", {"price": "Float64"}, ("item_id",))
    both = PackedView("affinity", {"close": "Float64"}, ("user_id", "item_id"))
    store = DictionaryStore()
    write_rows(store, HISTORY, {"a": (AT_US, {"total": 1.0})})
    times = RowTimes.of([AT_US])
    store.write(
        "demand", entity_keys(["item_id"], {"item_id": ["tea"]}), encode_rows(item.schema, {"price": [2.0]}, times)
    )
    pair = entity_keys(["user_id", "item_id"], {"user_id": ["a"], "item_id": ["milk"]})
    store.write("affinity", pair, encode_rows(both.schema, {"close": [3.0]}, times))
    lookup = PackedLookup(PackedReader(store), [HISTORY, item, both])
    found = lookup.lookup({"user_id": ["a"], "item_id": ["milk", "tea"]}, AT_US)
    assert found["history"].status.tolist() == ["fresh"]
    assert found["demand"].status.tolist() == ["missing", "fresh"]
    assert found["affinity"].status.tolist() == ["fresh", "missing"]


def test_views_are_chosen_by_the_keys_at_hand() -> None:
    views = read_views(FEATURES)
    assert [view.name for view in views_of(views, "user_id")] == ["user_profile", "user_history", "user_baskets"]
    assert [view.name for view in views_of(views, "item_id")] == ["item_catalogue"]
    assert len(views_of(views, "user_id", "item_id")) == 4
    assert [view.ttl_us for view in views_of(views, "user_id")] == [0, 365 * DAY_US, 365 * DAY_US]
    with pytest.raises(BundleError, match="no view keyed by"):
        views_of(views, "shop_id")


def test_a_type_that_is_not_known_is_refused() -> None:
    view = {"join_keys": ["user_id"], "ttl_seconds": 0, "fields": {"x": "Image"}}
    with pytest.raises(BundleError, match="Image"):
        read_views({"views": {"v": view}})
    with pytest.raises(BundleError, match="no view"):
        read_views({"views": {}})
