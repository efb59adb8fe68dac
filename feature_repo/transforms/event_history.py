"""What a customer's last events say at t: the running session against the time before it, item by item.

Everything is over the last N events that are known at t, and counts or divides whole numbers, so that a row has the
same bits in every batch. NaN means that there is nothing to measure.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.event_lists import EventLists, kind_code
from feature_repo.transforms.session import PAUSE_US, SECOND_US, running_session
from feature_repo.transforms.words import UNKNOWN

__all__ = ["HISTORY_FIELDS", "history_features"]

HISTORY_FIELDS = ("event_at", "event_type", "event_item", "event_category")
_KINDS = {"view": "views", "favourite": "favourites", "add_to_cart": "carts", "purchase": "purchases"}
_RECENT = {"purchase": "purchase", "add_to_cart": "cart", "favourite": "favourite"}
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Places:
    """For each event: `row`, the list it is in; `current`, whether it belongs to the session that runs at t."""

    row: Whole
    current: Mask
    n: int

    def count(self, chosen: Mask) -> Floats:
        """How many `chosen` events each list holds."""
        return np.bincount(self.row[chosen], minlength=self.n).astype(np.float64)

    def distinct(self, codes: NDArray[np.int32], chosen: Mask) -> Floats:
        """How many different known `codes` the `chosen` events of each list have."""
        keys = np.sort(self._keys(codes, chosen))
        return np.bincount(keys[_run_ends(keys)] >> 32, minlength=self.n).astype(np.float64)

    def most(self, codes: NDArray[np.int32], chosen: Mask) -> Floats:
        """How many of the `chosen` events of each list have its most frequent known code."""
        keys = np.sort(self._keys(codes, chosen))
        ends = _run_ends(keys)
        result = np.zeros(self.n)
        np.maximum.at(result, keys[ends] >> 32, np.diff(ends, prepend=-1))
        return result

    def pairs(self, codes: NDArray[np.int32], chosen: Mask) -> tuple[Whole, Whole]:
        """The different pairs (list, code) of `chosen` events as one number each, and where the last of each is."""
        keys = self._keys(codes, chosen)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        ends = _run_ends(ordered)
        place = np.flatnonzero(chosen & (codes != UNKNOWN))
        return ordered[ends], place[order[ends]]

    def _keys(self, codes: NDArray[np.int32], chosen: Mask) -> Whole:
        known = chosen & (codes != UNKNOWN)
        return (self.row[known] << 32) | codes[known].astype(np.int64)


def _run_ends(ordered: Whole) -> Whole:
    """Return the last place of each run of equal numbers."""
    last = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=last[:-1])
    return np.flatnonzero(last)


def history_features(lists: EventLists, at_us: Whole) -> dict[str, Floats]:
    """Return name → float64 of shape (n,).

    Args:
        lists: of `HISTORY_FIELDS`, holding nothing after t.
        at_us: t for each row, int64 microseconds since 1970, shape (n,).
    """
    lengths = lists.lengths
    row = np.repeat(np.arange(len(lists)), lengths)
    in_session = running_session(lists, at_us).events
    current = np.arange(len(row)) >= np.repeat(lists.offsets[1:] - in_session, lengths)
    places = _Places(row, current, len(lists))
    return _session(lists, places) | _before(lists, places, at_us) | _last_event(lists, places) | _carts(lists, places)


def _session(lists: EventLists, places: _Places) -> dict[str, Floats]:
    now, items, categories = places.current, lists["event_item"], lists["event_category"]
    events = places.count(now)
    counts = {name: places.count(now & (lists["event_type"] == kind_code(kind))) for kind, name in _KINDS.items()}
    found = {f"session_{name}": count for name, count in counts.items()}
    seen, _ = places.pairs(items, ~now)
    these, last = places.pairs(items, now)
    again = np.isin(these, seen, assume_unique=True)
    return found | {
        "session_items": places.distinct(items, now),
        "session_categories": places.distinct(categories, now),
        "session_cart_share": _share(counts["carts"], events),
        "session_favourite_share": _share(counts["favourites"], events),
        "session_purchase_share": _share(counts["purchases"], events),
        "session_top_item_share": _share(places.most(items, now), events),
        "session_top_category_share": _share(places.most(categories, now), events),
        "session_items_seen_before": np.bincount(places.row[last[again]], minlength=places.n).astype(np.float64),
        "session_last_pause": _last_pause(lists, events),
    }


def _before(lists: EventLists, places: _Places, at_us: Whole) -> dict[str, Floats]:
    earlier, kinds, at = ~places.current, lists["event_type"], lists["event_at"]
    events = places.count(earlier)
    follows = np.diff(at, prepend=0) < PAUSE_US
    follows[lists.offsets[:-1][lists.lengths > 0]] = False
    sessions = places.count(earlier & ~follows)
    counts = {name: places.count(earlier & (kinds == kind_code(kind))) for kind, name in _KINDS.items()}
    features = {f"earlier_{name}": count for name, count in counts.items()} | {
        "earlier_sessions": sessions,
        "earlier_events_per_session": _share(events, sessions),
        "earlier_purchase_share": _share(counts["purchases"], events),
        "earlier_cart_share": _share(counts["carts"], events),
        "earlier_purchases_per_cart": _share(counts["purchases"], counts["carts"]),
        "earlier_items_per_event": _share(places.distinct(lists["event_item"], earlier), events),
        "seconds_since_session": _since(at, places, earlier, at_us),
    }
    for kind, name in _RECENT.items():
        features[f"seconds_since_last_{name}"] = _since(at, places, kinds == kind_code(kind), at_us)
    return features


def _last_event(lists: EventLists, places: _Places) -> dict[str, Floats]:
    """What the newest event is, and how often its item and category came before."""
    filled = lists.lengths > 0
    newest = lists.offsets[1:][filled] - 1
    features = {f"last_is_{name}": np.zeros(len(lists)) for name in _KINDS}
    for name, column in features.items():
        column[filled] = lists["event_type"][newest] == kind_code(name.removeprefix("last_is_"))
    for field, name in (("event_item", "last_item"), ("event_category", "last_category")):
        codes = lists[field]
        wanted = np.full(len(lists), UNKNOWN, np.int32)
        wanted[filled] = codes[newest]
        same = (codes == wanted[places.row]) & (codes != UNKNOWN)
        features[f"{name}_events"] = places.count(same)
        features[f"{name}_carts"] = places.count(same & (lists["event_type"] == kind_code("add_to_cart")))
        features[f"{name}_purchases"] = places.count(same & (lists["event_type"] == kind_code("purchase")))
    return features


def _carts(lists: EventLists, places: _Places) -> dict[str, Floats]:
    """How many items lie in the cart: carted after they were last bought or taken out."""
    items, kinds = lists["event_item"], lists["event_type"]
    carted, carted_at = places.pairs(items, kinds == kind_code("add_to_cart"))
    gone = (kinds == kind_code("purchase")) | (kinds == kind_code("remove_from_cart"))
    left, left_at = places.pairs(items, gone)
    found = np.searchsorted(left, carted)
    same = found < len(left)
    same[same] = left[found[same]] == carted[same]
    still = ~same
    still[same] = carted_at[same] > left_at[found[same]]
    rows = carted[still] >> 32
    fresh = places.current[carted_at[still]]
    return {
        "items_in_cart": np.bincount(rows, minlength=places.n).astype(np.float64),
        "session_items_in_cart": np.bincount(rows[fresh], minlength=places.n).astype(np.float64),
    }


def _last_pause(lists: EventLists, events: Floats) -> Floats:
    """Seconds between the session's last two events."""
    pause = np.full(len(lists), np.nan)
    two = events >= 2
    last = lists.offsets[1:][two] - 1
    pause[two] = (lists["event_at"][last] - lists["event_at"][last - 1]) / SECOND_US
    return pause


def _since(at: Whole, places: _Places, chosen: Mask, at_us: Whole) -> Floats:
    """Seconds from the newest `chosen` event of each list to t."""
    newest = np.full(places.n, np.nan)
    newest[places.row[chosen]] = at[chosen]  # the last one of a row is written last
    return (at_us - newest) / SECOND_US


def _share(part: Floats, whole: Floats) -> Floats:
    share = np.full(len(part), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
