"""The running session against those before it: how they ended, and to which of their items and categories it returns.

Everything is over the last N events that are known at t, and counts or divides whole numbers, so that a row has the
same bits in every batch. Shares and averages are NaN where there is nothing to measure.
"""

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.event_lists import EventLists, kind_code
from feature_repo.transforms.places import Places, among, divided, places_of
from feature_repo.transforms.recency import DAY_US
from feature_repo.transforms.session import SECOND_US

__all__ = ["PAST_SESSION_NAMES", "past_session_features"]

_RETURNED_TO = {"carted": "add_to_cart", "bought": "purchase", "favoured": "favourite"}
_THINGS = {"items": "event_item", "categories": "event_category"}
PAST_SESSION_NAMES = (
    "earlier_buying_sessions",
    "earlier_buying_session_share",
    "earlier_cart_session_share",
    "last_session_bought",
    "last_session_carted",
    "last_session_events",
    "active_days",
    "events_per_active_day",
    "sessions_per_active_day",
    *(f"session_{things}_{done}_before" for things in _THINGS for done in _RETURNED_TO),
    "session_categories_seen_before",
    "session_top_item_events",
    "session_top_category_events",
    "session_item_switches",
    "session_category_switches",
    "session_item_repeats",
    "session_longest_pause",
)
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def past_session_features(lists: EventLists, at_us: NDArray[np.int64]) -> dict[str, Floats]:
    """Return `PAST_SESSION_NAMES` → float64 of shape (n,).

    Args:
        lists: of `HISTORY_FIELDS`, holding nothing after t.
        at_us: t for each row, int64 microseconds since 1970, shape (n,).
    """
    places = places_of(lists, at_us)
    return _earlier_sessions(lists, places) | _returns(lists, places) | _steps(lists, places)


def _earlier_sessions(lists: EventLists, places: Places) -> dict[str, Floats]:
    """How often earlier sessions ended with a purchase or had a cart, how the last one did, how busy a day is."""
    kinds, n, begins = lists["event_type"], places.n, places.begins
    session = np.cumsum(begins) - 1
    count = int(begins.sum())
    row = places.row[begins]
    earlier = ~places.current[begins]

    def with_any(kind: str) -> Mask:
        return np.bincount(session[kinds == kind_code(kind)], minlength=count) > 0

    bought, carted, events = with_any("purchase"), with_any("add_to_cart"), np.bincount(session, minlength=count)

    def per_row(chosen: Mask) -> Floats:
        return np.bincount(row[chosen & earlier], minlength=n).astype(np.float64)

    last = np.full(n, -1)
    last[row[earlier]] = np.flatnonzero(earlier)  # the newest one of a row is written last
    has_one = last >= 0
    found = {"earlier_buying_sessions": per_row(bought)}
    for name, values in (("bought", bought), ("carted", carted), ("events", events)):
        column = np.full(n, np.nan)
        column[has_one] = values[last[has_one]]
        found[f"last_session_{name}"] = column
    sessions = per_row(np.ones(count, np.bool_))
    day = lists["event_at"] // DAY_US
    days = (day - day.min(initial=0)).astype(np.int32)  # none is below 0, as `UNKNOWN` is
    found["active_days"] = places.distinct(days, np.ones(len(days), np.bool_))
    return found | divided(
        {
            "earlier_buying_session_share": (found["earlier_buying_sessions"], sessions),
            "earlier_cart_session_share": (per_row(carted), sessions),
            "events_per_active_day": (lists.lengths.astype(np.float64), found["active_days"]),
            "sessions_per_active_day": (np.bincount(row, minlength=n).astype(np.float64), found["active_days"]),
        }
    )


def _returns(lists: EventLists, places: Places) -> dict[str, Floats]:
    """How many of the session's different items and categories were carted, bought, favoured or seen before it."""
    found: dict[str, Floats] = {}
    for things, field in _THINGS.items():
        codes = lists[field]
        these, _ = places.pairs(codes, places.current)

        def back(chosen: Mask, codes: NDArray[np.int32] = codes, these: NDArray[np.int64] = these) -> Floats:
            past, _ = places.pairs(codes, chosen & ~places.current)
            return places.of_pairs(these[among(these, past)])

        for done, kind in _RETURNED_TO.items():
            found[f"session_{things}_{done}_before"] = back(lists["event_type"] == kind_code(kind))
        if things == "categories":  # items seen before are counted in `event_history`
            found["session_categories_seen_before"] = back(np.ones(len(codes), np.bool_))
    return found


def _steps(lists: EventLists, places: Places) -> dict[str, Floats]:
    """How the session went from event to event: staying, switching, coming back, pausing."""
    items, categories, now = lists["event_item"], lists["event_category"], places.current
    step = now & ~places.begins  # an event of the session that is not its first
    pause = np.full(places.n, -np.inf)
    gaps = np.diff(lists["event_at"], prepend=0) / SECOND_US
    np.maximum.at(pause, places.row[step], gaps[step])
    return {
        "session_top_item_events": places.most(items, now),
        "session_top_category_events": places.most(categories, now),
        "session_item_switches": places.count(step & (np.diff(items, prepend=0) != 0)),
        "session_category_switches": places.count(step & (np.diff(categories, prepend=0) != 0)),
        "session_item_repeats": places.count(now) - places.distinct(items, now),
        "session_longest_pause": np.where(np.isfinite(pause), pause, np.nan),
    }
