"""How often a customer had to do with an item, by type of event, and in the last day: among the last N events."""

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import EVENT_TYPES
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
_WIDTH = len(EVENT_TYPES) + 1  # the first place is for another word, whose code is -1


def item_counts(lists: EventLists, at_us: NDArray[np.int64], item: Matches) -> dict[str, NDArray[np.float64]]:
    """Return name → float64 of shape (m,), 0.0 where nothing happened or the item is not known.

    Args:
        lists: of `event_at` and `event_type`, holding nothing after t; m lists, or one that all pairs share.
        at_us: t for each list, int64 microseconds since 1970, shape (lists,).
        item: the events about each pair's item.
    """
    pairs, counts = len(item.known), item.counts
    pair = np.repeat(np.arange(pairs), counts)
    kinds = np.bincount(pair * _WIDTH + lists["event_type"][item.place] + 1, minlength=pairs * _WIDTH)
    of_kind = np.ascontiguousarray(kinds.reshape(pairs, _WIDTH).T, np.float64)
    lately = lists["event_at"] > np.repeat(at_us, lists.lengths) - DAY_US
    return {name: of_kind[kind_code(kind) + 1] for name, kind in _KINDS.items()} | {
        "item_events": counts.astype(np.float64),
        "item_events_1d": np.bincount(pair[lately[item.place]], minlength=pairs).astype(np.float64),
    }
