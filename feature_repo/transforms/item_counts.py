"""How often a customer had to do with an item, by type of event, and in the last day: among the last N events."""

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.affinity import Matches
from feature_repo.transforms.event_lists import EventLists, kind_code
from feature_repo.transforms.recency import DAY_US

__all__ = ["item_counts"]

_KINDS = {
    "item_views": "view",
    "item_favourites": "favourite",
    "item_carts": "add_to_cart",
    "item_purchases": "purchase",
}


def item_counts(lists: EventLists, at_us: NDArray[np.int64], item: Matches) -> dict[str, NDArray[np.float64]]:
    """Return name → float64 of shape (m,), 0.0 where nothing happened or the item is not known.

    Args:
        lists: of `event_at` and `event_type`, holding nothing after t; m lists, or one that all pairs share.
        at_us: t for each list, int64 microseconds since 1970, shape (lists,).
        item: the events about each pair's item.
    """
    lately = lists["event_at"] > np.repeat(at_us, lists.lengths) - DAY_US

    def count(found: Matches) -> NDArray[np.float64]:
        return found.counts.astype(np.float64)

    counts = {name: count(item.where(lists["event_type"] == kind_code(kind))) for name, kind in _KINDS.items()}
    return counts | {"item_events": count(item), "item_events_1d": count(item.where(lately))}
