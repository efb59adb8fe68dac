"""One customer crossed with many items: what is the customer's is computed once, what is the pair's for all at once.

The same bits as `feature_sets.customer_item_features` gives for the pairs one by one, for a fraction of the work: a
customer's 256 events are looked at once, not once an item.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.affinity import affinity_measures, matches_of_one
from feature_repo.transforms.calendar import Calendar
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.event_lists import EventLists, event_lists
from feature_repo.transforms.feature_sets import EVENT_FIELDS, features_of_lists, item_numbers
from feature_repo.transforms.item_counts import item_counts
from feature_repo.transforms.words import shared_codes

__all__ = ["crossed_item_features", "paired"]


def crossed_item_features(
    customer: Mapping[str, Any],
    items: Mapping[str, Any],
    at_us: int,
    calendar: Calendar | None = None,
    steps: bool = True,
) -> tuple[CustomerFeatures, dict[str, NDArray[np.float64]]]:
    """Return the features of one customer (n = 1), and those of the pairs with m items, float64 of shape (m,).

    Args:
        customer: as `customer_event_features` takes them, one row each.
        items: `item_id` and the columns of `item_catalogue` and `item_demand`, m rows each.
        at_us: t, int64 microseconds since 1970.
        calendar: of the shop.
        steps: whether the customer's sequences are wanted.

    Raises:
        FeatureError: the lists are missing, of different lengths, or not ordered by time.
    """
    moment = np.array([at_us], np.int64)
    lists, _ = event_lists(customer, moment, EVENT_FIELDS, {})
    base = features_of_lists(customer, lists, moment, calendar, steps)
    wanted = np.asarray(items["item_id"], object)
    category = np.asarray(items.get("item_category", np.full(len(wanted), None, object)), object)
    item_code = _codes(lists, customer, "event_item", wanted)
    about_item = matches_of_one(*item_code)
    about_category = matches_of_one(*_codes(lists, customer, "event_category", category))
    pairs = np.full(len(wanted), at_us, np.int64)
    return base, (
        item_numbers(items)
        | affinity_measures(lists, pairs, about_category, about_item)
        | item_counts(lists, moment, about_item)
    )


def _codes(
    lists: EventLists, customer: Mapping[str, Any], field: str, wanted: NDArray[np.object_]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Code the list's words and the wanted ones together; of the list only what is up to t."""
    every, codes = shared_codes([customer[field].values, wanted])
    return every[: len(lists["event_at"])], codes


def paired(base: CustomerFeatures, pairs: Mapping[str, NDArray[np.float64]], row: int) -> CustomerFeatures:
    """Return the features of the customer and one of the items, as `customer_item_features` gives them."""
    return replace(base, numeric=base.numeric | {name: values[row : row + 1] for name, values in pairs.items()})
