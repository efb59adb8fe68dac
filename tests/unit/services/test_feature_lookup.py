import numpy as np
import pytest

from feature_repo.errors import BundleError
from feature_repo.transforms.ragged import Ragged
from services.feature_lookup import InMemoryLookup, ViewSchema, column_of, read_view_schemas, usable_columns
from tests.tiny_shop import AT_US, DAY_US, FEATURES

HISTORY = ViewSchema("history", {"total": "Float64", "area": "String", "seen_at": "Array(Int64)"}, 10 * 86_400)


def judge(event_us: int, at_us: int = AT_US, ttl: int = 10 * 86_400, seen: tuple[int, ...] = ()):
    schema = ViewSchema("history", HISTORY.fields, ttl)
    lookup = InMemoryLookup([schema], {"history": {"a": (event_us, {"total": 2.0, "area": "x", "seen_at": seen})}})
    columns, statuses = usable_columns([schema], lookup.lookup(["a"]), at_us)
    status = statuses["history"]
    return status.status[0], status.age_seconds[0], columns


@pytest.mark.parametrize(
    ("event_us", "ttl", "expected", "age"),
    [
        (AT_US, 864_000, "fresh", 0.0),
        (AT_US - 1, 864_000, "fresh", 1e-6),
        (AT_US - 10 * DAY_US, 864_000, "fresh", 864_000.0),  # both ends inclusive, as in the offline join
        (AT_US - 10 * DAY_US - 1, 864_000, "stale", 864_000.000001),
        (AT_US - 4000 * DAY_US, 0, "fresh", 4000 * 86_400.0),
        (AT_US + 1, 864_000, "missing", None),
        (AT_US + 1, 0, "missing", None),
    ],
)
def test_age_is_measured_at_the_requests_moment(event_us: int, ttl: int, expected: str, age: float | None) -> None:
    status, seconds, columns = judge(event_us, ttl=ttl)
    assert status == expected
    assert np.isnan(seconds) if age is None else seconds == pytest.approx(age, abs=1e-7)
    assert columns["area"][0] == ("x" if expected == "fresh" else None)
    assert np.isnan(columns["total"][0]) == (expected != "fresh")


def test_a_moment_after_at_inside_the_row_makes_it_newer() -> None:
    # The store keeps whole seconds: a row of 0.4 s past the second says it is of the second.
    assert judge(AT_US, seen=(AT_US - 5, AT_US + 400_000))[0] == "missing"
    assert judge(AT_US, seen=(AT_US - 5, AT_US))[0] == "fresh"


def test_withheld_lists_are_empty_and_the_others_untouched() -> None:
    rows = {"history": {"a": (AT_US + 5, {"seen_at": [1, 2]}), "b": (AT_US, {"seen_at": [3]})}}
    lookup = InMemoryLookup([HISTORY], rows)
    columns, statuses = usable_columns([HISTORY], lookup.lookup(["a", "b", "c"]), AT_US)
    assert list(statuses["history"].status) == ["missing", "fresh", "missing"]
    assert columns["seen_at"].lengths.tolist() == [0, 1, 0]
    assert columns["seen_at"].values.tolist() == [3]


def test_columns_have_the_types_that_the_transforms_take() -> None:
    assert column_of([1, None], "Int64").dtype == np.float64
    assert column_of(["x", None], "String").tolist() == ["x", None]
    lists = column_of([[1, 2], None, []], "Array(Int64)")
    assert isinstance(lists, Ragged)
    assert (lists.values.dtype, lists.offsets.tolist()) == (np.int64, [0, 2, 2, 2])
    assert len(column_of([None], "Array(String)")) == 1


def test_only_views_of_the_customer_are_looked_up() -> None:
    assert [schema.name for schema in read_view_schemas(FEATURES)] == ["user_profile", "user_history", "user_baskets"]


def test_a_type_that_is_not_known_is_refused() -> None:
    view = {"join_keys": ["user_id"], "ttl_seconds": 0, "fields": {"x": "Image"}}
    with pytest.raises(BundleError, match="Image"):
        read_view_schemas({"views": {"v": view}})
    with pytest.raises(BundleError, match="no view of the customer"):
        read_view_schemas({"views": {}})
