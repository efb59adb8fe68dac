"""One customer crossed with many items: what is the customer's is computed once, what is the pair's for all at once.

The same bits as the service's function in `feature_sets` gives for the pairs one by one, for a fraction of the work: a
customer's 256 events are looked at once, not once an item.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.affinity import crossed_affinity, matches_of_one
from feature_repo.transforms.calendar import Calendar
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.event_lists import event_lists
from feature_repo.transforms.event_sequence import candidate_codes
from feature_repo.transforms.feature_sets import (
    EVENT_FIELDS,
    WITHOUT_STEPS,
    CustomerPart,
    features_of_lists,
    item_numbers,
)
from feature_repo.transforms.item_counts import item_counts

__all__ = ["crossed_item_codes", "crossed_item_features", "paired"]


def crossed_item_features(
    customer: Mapping[str, Any],
    items: Mapping[str, Any],
    at_us: int,
    calendar: Calendar | None = None,
    steps: bool = True,
    of_customer: CustomerPart = features_of_lists,
) -> tuple[CustomerFeatures, dict[str, NDArray[np.float64]]]:
    """Return the features of one customer (n = 1), and those of the pairs with m items, float64 of shape (m,).

    Args:
        customer: as the service's function takes them, one row each.
        items: `item_id` and the columns of `item_catalogue` and `item_demand`, m rows each.
        at_us: t, int64 microseconds since 1970.
        calendar: of the shop.
        steps: whether the customer's sequences are wanted.
        of_customer: what of a pair is the customer's alone: the service's of `feature_sets.OF_CUSTOMER`.

    Raises:
        FeatureError: the lists are missing, of different lengths, or not ordered by time.
    """
    moment = np.array([at_us], np.int64)
    wanted = np.asarray(items["item_id"], object)
    beside = {"event_item": wanted, "event_category": _categories(items)}
    lists, codes = event_lists(customer, moment, EVENT_FIELDS if steps else WITHOUT_STEPS, beside)
    base = of_customer(customer, lists, moment, calendar, steps)
    both = matches_of_one(*[(lists[field], codes[field]) for field in ("event_category", "event_item")])
    counts = item_counts(lists, moment, both.after(len(wanted)))
    return base, item_numbers(items) | crossed_affinity(lists, at_us, both) | counts


def crossed_item_codes(items: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
    """Return what models that embed the item look it up by: the codes of m items, int64 of shape (m,)."""
    return candidate_codes(np.asarray(items["item_id"], object), _categories(items))


def paired(
    base: CustomerFeatures,
    pairs: Mapping[str, NDArray[np.float64]],
    codes: Mapping[str, NDArray[np.int64]],
    row: int,
) -> CustomerFeatures:
    """Return the features of the customer and one of the items, as the service's function gives them."""
    one = slice(row, row + 1)
    return replace(
        base,
        numeric=base.numeric | {name: values[one] for name, values in pairs.items()},
        candidate={name: values[one] for name, values in codes.items()},
    )


def _categories(items: Mapping[str, Any]) -> NDArray[np.object_]:
    return np.asarray(items.get("item_category", np.full(len(items["item_id"]), None, object)), object)
