"""One customer crossed with many items gives, bit by bit, what the pairs give one by one."""

import numpy as np
import pytest

from feature_repo.events import EVENT_TYPES
from feature_repo.transforms.calendar import Calendar
from feature_repo.transforms.crossed_items import crossed_item_codes, crossed_item_features, paired
from feature_repo.transforms.feature_sets import OF_CUSTOMER, feature_function
from feature_repo.transforms.ragged import Ragged

SECOND = 1_000_000
AT = 1_600_000_000 * SECOND
ITEMS = np.array(["a", "b", "nobody's", "c", None, ""], object)


def events(count: int, seed: int, ahead: int = 0) -> dict[str, Ragged]:
    """The lists of `user_events` of one customer; the last `ahead` events are after AT."""
    rng = np.random.default_rng(seed)
    before = np.sort(rng.integers(0, 40 * 86_400, count))[::-1] * SECOND
    at = AT - before
    at[count - ahead :] = AT + SECOND * np.arange(1, ahead + 1)
    ends = np.array([0, count])

    def words(values: list[str | None]) -> Ragged:
        return Ragged(rng.choice(np.array(values, object), count), ends)

    return {
        "event_at": Ragged(at.astype(np.int64), ends),
        "event_type": words(list(EVENT_TYPES)),
        "event_item": words(["a", "b", "c", "", None]),
        "event_category": words(["x", "y", "", None]),
        "event_revenue": Ragged(np.where(rng.random(count) < 0.3, np.nan, rng.random(count)), ends),
        "event_price": Ragged(np.where(rng.random(count) < 0.5, np.nan, rng.random(count)), ends),
    }


def item_columns() -> dict[str, np.ndarray]:
    return {
        "item_id": ITEMS,
        "item_category": np.array(["x", "y", "z", None, "x", ""], object),
        "list_price": np.array([1.5, np.nan, 3.0, 4.0, 5.0, 6.0]),
        "item_purchases_total": np.arange(6.0),
    }


@pytest.mark.parametrize("service", OF_CUSTOMER)
@pytest.mark.parametrize(("count", "ahead"), [(0, 0), (1, 0), (7, 2), (60, 0), (256, 5)])
def test_pairs_are_the_same_bits(count: int, ahead: int, service: str) -> None:
    calendar = Calendar("Asia/Taipei", ("2020-09-20",), True)
    customer = events(count, seed=count, ahead=ahead) | {
        "lifetime_baskets": np.array([3.0]),
        "age_group": np.array(["B"], object),
    }
    base, pairs = crossed_item_features(customer, item_columns(), AT, calendar, True, OF_CUSTOMER[service])
    for row in range(len(ITEMS)):
        one = {name: column[row : row + 1] for name, column in item_columns().items()}
        expected = feature_function(service, calendar)({**customer, **one}, np.array([AT], np.int64))
        got = paired(base, pairs, crossed_item_codes(item_columns()), row)
        assert got.numeric.keys() == expected.numeric.keys()
        for name, values in expected.numeric.items():
            np.testing.assert_array_equal(got.numeric[name], values, err_msg=name)
        assert got.categorical.keys() == expected.categorical.keys()
        for name, lists in expected.sequences.items():
            np.testing.assert_array_equal(got.sequences[name].values, lists.values)
        for name, lists in expected.codes.items():
            np.testing.assert_array_equal(got.codes[name].values, lists.values)
        assert {name: codes.tolist() for name, codes in got.candidate.items()} == {
            name: codes.tolist() for name, codes in expected.candidate.items()
        }
        assert set(got.candidate) == {"event_item", "event_category"}


@pytest.mark.parametrize("service", OF_CUSTOMER)
def test_without_steps_prices_are_not_read_and_the_rest_is_the_same(service: str) -> None:
    calendar, customer = Calendar("UTC"), events(60, seed=3)
    whole, pairs = crossed_item_features(customer, item_columns(), AT, calendar, True, OF_CUSTOMER[service])
    known = {name: lists for name, lists in customer.items() if name != "event_price"}
    base, same = crossed_item_features(known, item_columns(), AT, calendar, False, OF_CUSTOMER[service])
    assert whole.sequences
    assert not base.sequences
    for found, expected in ((base.numeric, whole.numeric), (same, pairs)):
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
