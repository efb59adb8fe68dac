"""What a customer's last events say at t: the running session against the time before it, item by item.

Everything is over the last N events that are known at t, and counts or divides whole numbers, so that a row has the
same bits in every batch. NaN means that there is nothing to measure.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import EVENT_TYPES
from feature_repo.transforms.event_lists import EventLists, kind_code
from feature_repo.transforms.session import PAUSE_US, SECOND_US, running_session
from feature_repo.transforms.words import UNKNOWN

__all__ = ["HISTORY_FIELDS", "Places", "among", "divided", "history_features", "places_of"]

HISTORY_FIELDS = ("event_at", "event_type", "event_item", "event_category")
_KINDS = {"view": "views", "favourite": "favourites", "add_to_cart": "carts", "purchase": "purchases"}
_RECENT = {"purchase": "purchase", "add_to_cart": "cart", "favourite": "favourite"}
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Places:
    """For each event: `row`, the list it is in; `current`, whether it belongs to the session that runs at t."""

    row: Whole
    current: Mask
    n: int

    def count(self, chosen: Mask) -> Floats:
        """How many `chosen` events each list holds."""
        return np.bincount(self.row[chosen], minlength=self.n).astype(np.float64)

    def kinds(self, kinds: NDArray[np.int8], chosen: Mask) -> dict[str, Floats]:
        """How many `chosen` events of each of `_KINDS` each list holds, and `events` of any kind."""
        width = len(EVENT_TYPES) + 1  # the first place is for another word, whose code is -1
        place = self.row[chosen] * width + (kinds[chosen] + 1)
        table = np.bincount(place, minlength=self.n * width).reshape(self.n, width)
        counts = {name: table[:, kind_code(kind) + 1].astype(np.float64) for kind, name in _KINDS.items()}
        return counts | {"events": table.sum(axis=1).astype(np.float64)}

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
    places = places_of(lists, at_us)
    return _session(lists, places) | _before(lists, places, at_us) | _last_event(lists, places) | _carts(lists, places)


def places_of(lists: EventLists, at_us: Whole) -> Places:
    """Return where each event is: in which list, and whether in the session that runs at t (shape (n,))."""
    lengths = lists.lengths
    row = np.repeat(np.arange(len(lists)), lengths)
    in_session = running_session(lists, at_us).events
    current = np.arange(len(row)) >= np.repeat(lists.offsets[1:] - in_session, lengths)
    return Places(row, current, len(lists))


def _session(lists: EventLists, places: Places) -> dict[str, Floats]:
    now, items, categories = places.current, lists["event_item"], lists["event_category"]
    counts = places.kinds(lists["event_type"], now)
    events = counts["events"]
    found = {f"session_{name}": counts[name] for name in _KINDS.values()}
    seen, _ = places.pairs(items, ~now)
    these, last = places.pairs(items, now)
    again = among(these, seen)
    shares = {
        "session_cart_share": counts["carts"],
        "session_favourite_share": counts["favourites"],
        "session_purchase_share": counts["purchases"],
        "session_top_item_share": places.most(items, now),
        "session_top_category_share": places.most(categories, now),
    }
    return found | {
        "session_items": np.bincount(these >> 32, minlength=places.n).astype(np.float64),
        "session_categories": places.distinct(categories, now),
        **divided({name: (part, events) for name, part in shares.items()}),
        "session_items_seen_before": np.bincount(places.row[last[again]], minlength=places.n).astype(np.float64),
        "session_last_pause": _last_pause(lists, events),
    }


def _before(lists: EventLists, places: Places, at_us: Whole) -> dict[str, Floats]:
    earlier, kinds, at = ~places.current, lists["event_type"], lists["event_at"]
    follows = np.diff(at, prepend=0) < PAUSE_US
    follows[lists.offsets[:-1][lists.lengths > 0]] = False
    sessions = places.count(earlier & ~follows)
    counts = places.kinds(kinds, earlier)
    events = counts["events"]
    shares = {
        "earlier_events_per_session": (events, sessions),
        "earlier_purchase_share": (counts["purchases"], events),
        "earlier_cart_share": (counts["carts"], events),
        "earlier_purchases_per_cart": (counts["purchases"], counts["carts"]),
        "earlier_items_per_event": (places.distinct(lists["event_item"], earlier), events),
    }
    features = {f"earlier_{name}": counts[name] for name in _KINDS.values()} | {
        "earlier_sessions": sessions,
        **divided(shares),
        "seconds_since_session": _since(at, places, earlier, at_us),
    }
    for kind, name in _RECENT.items():
        features[f"seconds_since_last_{name}"] = _since(at, places, kinds == kind_code(kind), at_us)
    return features


def _last_event(lists: EventLists, places: Places) -> dict[str, Floats]:
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


def _carts(lists: EventLists, places: Places) -> dict[str, Floats]:
    """How many items lie in the cart: carted after they were last bought or taken out."""
    items, kinds = lists["event_item"], lists["event_type"]
    carted, carted_at = places.pairs(items, kinds == kind_code("add_to_cart"))
    gone = (kinds == kind_code("purchase")) | (kinds == kind_code("remove_from_cart"))
    left, left_at = places.pairs(items, gone)
    same = among(carted, left)
    still = ~same
    still[same] = carted_at[same] > left_at[np.searchsorted(left, carted[same])]
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


def _since(at: Whole, places: Places, chosen: Mask, at_us: Whole) -> Floats:
    """Seconds from the newest `chosen` event of each list to t."""
    newest = np.full(places.n, np.nan)
    newest[places.row[chosen]] = at[chosen]  # the last one of a row is written last
    return (at_us - newest) / SECOND_US


def among(numbers: Whole, others: Whole) -> Mask:
    """Say which of the different rising `numbers` are among `others`, which are different and rise too."""
    place = np.searchsorted(others, numbers)
    found = place < len(others)
    found[found] = others[place[found]] == numbers[found]
    return found


def divided(parts: dict[str, tuple[Floats, Floats]]) -> dict[str, Floats]:
    """Divide each (part, whole), all at once; NaN where the whole is 0."""
    part, whole = (np.array(side) for side in zip(*parts.values(), strict=True))
    share = np.full(part.shape, np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return dict(zip(parts, share, strict=True))
