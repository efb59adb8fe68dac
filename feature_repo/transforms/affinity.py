"""How close is a customer to an item at t: by the last events with it, and with its category.

A function's name is its feature's, after `item_` or `category_`. An item or category that is not known gives NaN.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.event_lists import EventLists, by_block, event_lists, kind_code, running_count
from feature_repo.transforms.recency import DAY_US
from feature_repo.transforms.words import UNKNOWN

__all__ = [
    "AFFINITY_FIELDS",
    "AFFINITY_NAMES",
    "HALF_LIFE_DAYS",
    "Matches",
    "Runs",
    "affinity",
    "affinity_features",
    "affinity_of",
    "category_runs",
    "crossed_affinity",
    "days_since_event",
    "days_since_purchase",
    "event_share",
    "matches",
    "matches_of_one",
    "purchase_share",
    "recency_weights",
    "recent_categories",
    "top_category_share",
]

HALF_LIFE_DAYS = 14.0
AFFINITY_FIELDS = ("event_at", "event_type", "event_item", "event_category")
_MEASURES = ("event_share", "purchase_share", "affinity", "days_since_event", "days_since_purchase")
AFFINITY_NAMES = tuple(f"{what}_{measure}" for what in ("category", "item") for measure in _MEASURES)
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Matches:
    """The events of each list that are about one thing.

    `place` (int64, rising) are their places among all events; those of list i are `place[edges[i]:edges[i + 1]]`.
    `known` says for each list whether the thing is known at all; shape (n,).
    """

    place: Whole
    edges: Whole
    known: NDArray[np.bool_]

    def after(self, things: int) -> "Matches":
        """Return the matches of all things but so many of the first."""
        begin = self.edges[things]
        return Matches(self.place[begin:], self.edges[things:] - begin, self.known[things:])

    @property
    def counts(self) -> Whole:
        """How many matches each list has; shape (n,)."""
        return self.edges[1:] - self.edges[:-1]

    def sum(self, values: Floats) -> Floats:
        """Sum of `values` (one an event) over each list's matches; 0.0 without any. Shape (n,)."""
        sums = np.zeros(len(self.known))
        filled = self.edges[1:] > self.edges[:-1]
        if filled.any():
            sums[filled] = np.add.reduceat(values[self.place], self.edges[:-1][filled])
        return sums

    def where(self, chosen: NDArray[np.bool_]) -> "Matches":
        """Return only the matches that are `chosen` (one an event)."""
        keep = chosen[self.place]
        edges = running_count(keep)[self.edges]
        return Matches(self.place[keep], edges, self.known)


def affinity_features(columns: Mapping[str, Any], at_us: Whole) -> dict[str, Floats]:
    """Compute `AFFINITY_NAMES` for n pairs of a customer and an item.

    Args:
        columns: `AFFINITY_FIELDS` as `event_lists` takes them, and `item_id` and `item_category`, one word a row
            (shape (n,), None or '' for unknown).
        at_us: t for each row, int64 microseconds since 1970, shape (n,); events after it are left out.

    Returns:
        name → float64 of shape (n,), NaN where there is nothing to measure.

    Raises:
        FeatureError: the columns are not lists of the same events, oldest first.
    """
    beside = {"event_item": "item_id", "event_category": "item_category"}
    lists, wanted = event_lists(columns, at_us, AFFINITY_FIELDS, beside)
    return affinity_of(lists, at_us, wanted["event_item"], wanted["event_category"])


def affinity_of(
    lists: EventLists, at_us: Whole, item: NDArray[np.int32], category: NDArray[np.int32]
) -> dict[str, Floats]:
    """Compute `AFFINITY_NAMES` from lists that hold nothing after t, and from the items' and categories' codes."""
    return by_block(lists, lambda block, rows: _affinity(block, at_us[rows], item[rows], category[rows]))


def crossed_affinity(lists: EventLists, at_us: int, both: Matches) -> dict[str, Floats]:
    """Compute `AFFINITY_NAMES` of one list crossed with m items: what `affinity_of` gives, in half the time.

    Args:
        lists: one list that holds nothing after t.
        at_us: t, int64 microseconds since 1970.
        both: of 2 m things, the m items' categories and then the items.
    """
    pairs = len(both.known) // 2
    measured = _measures(lists, np.array([at_us]), both)
    halves = [values[half] for half in (slice(pairs), slice(pairs, None)) for values in measured]
    return dict(zip(AFFINITY_NAMES, halves, strict=True))


def matches_of_one(*sought: tuple[NDArray[np.int32], NDArray[np.int32]]) -> Matches:
    """Return the events of one list that are about each of some things; none where the thing is unknown.

    Args:
        sought: pairs of the events' codes, shape (total,), and the things' (shape (m,)), whose matches follow each
            other.
    """
    wanted = np.concatenate([things for _, things in sought])
    known = wanted != UNKNOWN
    same = np.concatenate([codes == things[:, None] for codes, things in sought])
    row, place = (same & known[:, None]).nonzero()
    return Matches(place, row.searchsorted(np.arange(len(wanted) + 1)), known)


def matches(codes: NDArray[np.int32], offsets: Whole, wanted: NDArray[np.int32]) -> Matches:
    """Return the events of list i whose code is `wanted[i]`; none where that is unknown."""
    known = wanted != UNKNOWN
    sought = np.where(known, wanted, np.int32(UNKNOWN - 1))
    place = np.flatnonzero(codes == np.repeat(sought, np.diff(offsets)))
    return Matches(place, np.searchsorted(place, offsets), known)


def event_share(found: Matches, lists: EventLists) -> Floats:
    """Share of the customer's events that are about it; NaN without events."""
    return _share(found.counts, lists.lengths, found.known)


def purchase_share(bought: Matches, purchases: Whole) -> Floats:
    """Share of the customer's `purchases` (shape (n,)) that are `bought` ones of it; NaN without purchases."""
    return _share(bought.counts, purchases, bought.known)


def recency_weights(lists: EventLists, half_life_days: float = HALF_LIFE_DAYS) -> Floats:
    """For each event, 2 ** -(its age in half-lives, against the customer's newest event); shape (total,)."""
    age = np.repeat(lists.newest_at, lists.lengths) - lists["event_at"]
    return np.exp2(age / (-half_life_days * DAY_US))


def affinity(found: Matches, lists: EventLists, weights: Floats) -> Floats:
    """Share of the events that are about it, each weighted by recency; NaN without events.

    Ages count from the newest event: counted from t, the same factor would stand above and below the line.
    """
    total = np.zeros(len(lists))
    filled = lists.lengths > 0
    if filled.any():
        total[filled] = np.add.reduceat(weights, lists.offsets[:-1][filled])
    return _share(found.sum(weights), total, found.known)


def days_since_event(found: Matches, lists: EventLists, at_us: Whole) -> Floats:
    """Days since the newest event about it; NaN where there is none among the last N."""
    some = found.edges[1:] > found.edges[:-1]
    days = np.full(len(found.known), np.nan)
    newest = lists["event_at"][found.place[found.edges[1:][some] - 1]]
    days[some] = ((at_us if len(at_us) == 1 else at_us[some]) - newest) / DAY_US
    return days


def days_since_purchase(bought: Matches, lists: EventLists, at_us: Whole) -> Floats:
    """Days since it was last bought; NaN where it was not among the last N events."""
    return days_since_event(bought, lists, at_us)


@dataclass(frozen=True, slots=True)
class Runs:
    """How often each list names each category: `counts[edges[i]:edges[i + 1]]` are those of list i, 0 for unknown."""

    counts: Whole
    edges: Whole


def category_runs(lists: EventLists) -> Runs:
    """Count the categories of each list, by ordering the codes of all lists at once."""
    if len(lists) == 1:
        named = Counter(lists["event_category"].tolist())
        del named[UNKNOWN]
        return Runs(np.array([0, *named.values()]), np.array([0, 1 + len(named)]))
    n, width = len(lists), int(lists.lengths.max(initial=1))
    ordered = np.sort(_rectangle(lists, width), axis=1)
    fresh = np.ones(ordered.shape, np.bool_)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=fresh[:, 1:])
    begin = np.flatnonzero(fresh)
    counts = np.diff(begin, append=ordered.size)
    counts[ordered.ravel()[begin] == UNKNOWN] = 0
    return Runs(counts, np.searchsorted(begin, np.arange(n + 1) * width))


def recent_categories(runs: Runs) -> Floats:
    """Number of categories among the last N events; 0.0 where none is named."""
    until = running_count(runs.counts > 0)[runs.edges]
    return (until[1:] - until[:-1]).astype(np.float64)


def top_category_share(runs: Runs, lists: EventLists) -> Floats:
    """Share of the customer's events that are in the most frequent category; NaN without events."""
    some = lists.lengths > 0
    top = np.zeros(len(lists), np.int64)
    if len(lists):
        top = np.maximum.reduceat(runs.counts, runs.edges[:-1])
    return _share(top, lists.lengths, some)


def _measures(lists: EventLists, at_us: Whole, *things: Matches) -> list[Floats]:
    """Return `_MEASURES` of the first thing, then of the next: one for each list, or for each of the one list's."""
    weights = recency_weights(lists)
    bought = lists["event_type"] == kind_code("purchase")
    until = running_count(bought)[lists.offsets]
    measured: list[Floats] = []
    for found in things:
        found_bought = found.where(bought)
        measured += [
            event_share(found, lists),
            purchase_share(found_bought, until[1:] - until[:-1]),
            affinity(found, lists, weights),
            days_since_event(found, lists, at_us),
            days_since_purchase(found_bought, lists, at_us),
        ]
    return measured


def _affinity(
    lists: EventLists, at_us: Whole, item: NDArray[np.int32], category: NDArray[np.int32]
) -> dict[str, Floats]:
    sought = (("event_category", category), ("event_item", item))
    about = [matches(lists[field], lists.offsets, wanted) for field, wanted in sought]
    return dict(zip(AFFINITY_NAMES, _measures(lists, at_us, *about), strict=True))


def _rectangle(lists: EventLists, width: int) -> NDArray[np.int32]:
    """The categories' codes, one row a list, filled up with `UNKNOWN`; shape (n, width)."""
    codes: NDArray[np.int32] = lists["event_category"]
    if len(codes) == len(lists) * width:
        return codes.reshape(len(lists), width)
    table = np.full((len(lists), width), UNKNOWN, np.int32)
    table[np.arange(width) < lists.lengths[:, None]] = codes
    return table


def _share(part: NDArray[Any], whole: NDArray[Any], known: NDArray[np.bool_]) -> Floats:
    share = np.full(len(known), np.nan)
    np.divide(part, whole, out=share, where=known & (whole > 0))
    return share
