"""What a customer's last events say at t: the running session against the time before it, item by item.

Everything is over the last N events that are known at t, and counts or divides whole numbers, so that a row has the
same bits in every batch. NaN means that there is nothing to measure.
"""

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.event_lists import EventLists, kind_code
from feature_repo.transforms.places import KINDS, Places, among, divided, places_of
from feature_repo.transforms.session import SECOND_US
from feature_repo.transforms.words import UNKNOWN

__all__ = ["HISTORY_FIELDS", "earlier_features", "history_features"]

HISTORY_FIELDS = ("event_at", "event_type", "event_item", "event_category")
_RECENT = {"purchase": "purchase", "add_to_cart": "cart", "favourite": "favourite"}
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def history_features(lists: EventLists, at_us: Whole) -> dict[str, Floats]:
    """Return name → float64 of shape (n,).

    Args:
        lists: of `HISTORY_FIELDS`, holding nothing after t.
        at_us: t for each row, int64 microseconds since 1970, shape (n,).
    """
    places = places_of(lists, at_us)
    return _session(lists, places) | _before(lists, places, at_us) | _last_event(lists, places) | _carts(lists, places)


def earlier_features(lists: EventLists, at_us: Whole) -> dict[str, Floats]:
    """Return of `history_features` what there was before the running session, and how long ago: a third of the work."""
    return _before(lists, places_of(lists, at_us), at_us)


def _session(lists: EventLists, places: Places) -> dict[str, Floats]:
    now, items, categories = places.current, lists["event_item"], lists["event_category"]
    counts = places.kinds(lists["event_type"], now)
    events = counts["events"]
    found = {f"session_{name}": counts[name] for name in KINDS.values()}
    seen, _ = places.pairs(items, ~now)
    these, _ = places.pairs(items, now)
    again = among(these, seen)
    shares = {
        "session_cart_share": counts["carts"],
        "session_favourite_share": counts["favourites"],
        "session_purchase_share": counts["purchases"],
        "session_top_item_share": places.most(items, now),
        "session_top_category_share": places.most(categories, now),
    }
    return found | {
        "session_items": places.of_pairs(these),
        "session_categories": places.distinct(categories, now),
        **divided({name: (part, events) for name, part in shares.items()}),
        "session_items_seen_before": places.of_pairs(these[again]),
        "session_last_pause": _last_pause(lists, events),
    }


def _before(lists: EventLists, places: Places, at_us: Whole) -> dict[str, Floats]:
    earlier, kinds, at = ~places.current, lists["event_type"], lists["event_at"]
    sessions = places.count(earlier & places.begins)
    counts = places.kinds(kinds, earlier)
    events = counts["events"]
    shares = {
        "earlier_events_per_session": (events, sessions),
        "earlier_purchase_share": (counts["purchases"], events),
        "earlier_cart_share": (counts["carts"], events),
        "earlier_purchases_per_cart": (counts["purchases"], counts["carts"]),
        "earlier_items_per_event": (places.distinct(lists["event_item"], earlier), events),
    }
    features = {f"earlier_{name}": counts[name] for name in KINDS.values()} | {
        "earlier_sessions": sessions,
        **divided(shares),
        "seconds_since_session": (at_us - places.newest(at, earlier)) / SECOND_US,
    }
    for kind, name in _RECENT.items():
        features[f"seconds_since_last_{name}"] = (at_us - places.newest(at, kinds == kind_code(kind))) / SECOND_US
    return features


def _last_event(lists: EventLists, places: Places) -> dict[str, Floats]:
    """What the newest event is, and how often its item and category came before."""
    kinds, filled = lists["event_type"], lists.lengths > 0
    newest = lists.offsets[1:][filled] - 1
    kind = np.full(len(lists), UNKNOWN)
    kind[filled] = kinds[newest]
    features = {f"last_is_{name}": (kind == kind_code(name)).astype(np.float64) for name in KINDS}
    done = {"carts": kinds == kind_code("add_to_cart"), "purchases": kinds == kind_code("purchase")}
    for field, name in (("event_item", "last_item"), ("event_category", "last_category")):
        codes = lists[field]
        wanted = np.full(len(lists), UNKNOWN, np.int32)
        wanted[filled] = codes[newest]
        same = (codes == wanted[places.row]) & (codes != UNKNOWN)
        features[f"{name}_events"] = places.count(same)
        features |= {f"{name}_{what}": places.count(same & chosen) for what, chosen in done.items()}
    return features


def _carts(lists: EventLists, places: Places) -> dict[str, Floats]:
    """How many items lie in the cart: carted after they were last bought or taken out."""
    items, kinds = lists["event_item"], lists["event_type"]
    carted, carted_at = places.pairs(items, kinds == kind_code("add_to_cart"))
    gone = (kinds == kind_code("purchase")) | (kinds == kind_code("remove_from_cart"))
    left, left_at = places.pairs(items, gone)
    same = among(carted, left)
    still = ~same
    still[same] = carted_at[same] > left_at[left.searchsorted(carted[same])]
    kept = carted[still]
    fresh = places.current[carted_at[still]]
    return {"items_in_cart": places.of_pairs(kept), "session_items_in_cart": places.of_pairs(kept[fresh])}


def _last_pause(lists: EventLists, events: Floats) -> Floats:
    """Seconds between the session's last two events."""
    pause = np.full(len(lists), np.nan)
    two = events >= 2
    last = lists.offsets[1:][two] - 1
    pause[two] = (lists["event_at"][last] - lists["event_at"][last - 1]) / SECOND_US
    return pause
