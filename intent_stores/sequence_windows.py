"""Which events belong to each anchor's sequence: the last N that had happened, were known and are not too old."""

from dataclasses import dataclass

import numpy as np

from intent_stores.ragged import Ints, bisect_runs, count_true, offsets_of, run_indices


@dataclass(frozen=True)
class SortedEvents:
    """Events in the order (key, event time, creation time, place in the file).

    Attributes:
        key: int64, a number for each key, ascending.
        event: int64, microseconds.
        known: int64, microseconds: `max(event, created)`; equal to `event` where creation times do not filter.
    """

    key: Ints
    event: Ints
    known: Ints


@dataclass(frozen=True)
class Windows:
    """The chosen events of each anchor: `index[offsets[i]:offsets[i + 1]]`, oldest first."""

    index: Ints
    offsets: Ints

    @property
    def last(self) -> Ints:
        """Each anchor's newest event; -1 where there is none."""
        newest = np.full(len(self.offsets) - 1, -1, dtype=np.int64)
        filled = self.offsets[1:] > self.offsets[:-1]
        newest[filled] = self.index[self.offsets[1:][filled] - 1]
        return newest


def last_events(events: SortedEvents, key: Ints, t: Ints, length: int, ttl_us: int | None) -> Windows:
    """Choose for each anchor its last `length` events.

    Arguments:
        events: all events of the keys at hand.
        key: int64, each anchor's key number; negative for an anchor without a key.
        t: int64, each anchor's moment in microseconds.
        length: the most events wanted.
        ttl_us: events before `t - ttl_us` do not count; None is forever.
    """
    begin, end = _runs_of(events.key, key)
    high = bisect_runs(events.event, begin, end, t, after_equal=True)
    low = begin if ttl_us is None else bisect_runs(events.event, begin, high, t - ttl_us, after_equal=False)
    first = np.maximum(low, high - length)
    return _known_at(events, low, first, high, t, length)


def _runs_of(sorted_keys: Ints, key: Ints) -> tuple[Ints, Ints]:
    """Return where each key's events begin and end; an empty run for a key without events."""
    changes = np.flatnonzero(np.diff(sorted_keys)) + 1
    begins = np.concatenate([np.zeros(min(1, len(sorted_keys)), dtype=np.int64), changes])
    ends = np.concatenate([changes, np.full(len(begins) - len(changes), len(sorted_keys), dtype=np.int64)])
    present = sorted_keys[begins]
    place = np.searchsorted(present, key)
    found = place < len(present)
    found[found] = present[place[found]] == key[found]
    begin, end = np.zeros(len(key), dtype=np.int64), np.zeros(len(key), dtype=np.int64)
    begin[found], end[found] = begins[place[found]], ends[place[found]]
    return begin, end


def _known_at(events: SortedEvents, low: Ints, first: Ints, high: Ints, t: Ints, length: int) -> Windows:
    """Leave out events that were not known at t, and go further back for others in their place."""
    slow = np.flatnonzero(_has_unknown(events, first, high, t))
    count = high - first
    if len(slow) == 0:
        return Windows(run_indices(first, count), offsets_of(count))
    chosen, chosen_count = _search_back(events, low[slow], high[slow], t[slow], length)
    count[slow] = chosen_count
    offsets = offsets_of(count)
    index = np.empty(int(offsets[-1]), dtype=np.int64)
    fast = np.ones(len(count), dtype=bool)
    fast[slow] = False
    index[run_indices(offsets[:-1][fast], count[fast])] = run_indices(first[fast], count[fast])
    index[run_indices(offsets[:-1][slow], chosen_count)] = chosen
    return Windows(index, offsets)


def _has_unknown(
    events: SortedEvents, first: Ints, high: Ints, t: Ints
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Tell anchors with an event in `first … high` that became known only after t; looks at late events only."""
    late = np.flatnonzero(events.known > events.event)
    begin, end = np.searchsorted(late, first), np.searchsorted(late, high)
    count = (end - begin).astype(np.int64)
    unknown = events.known[late[run_indices(begin.astype(np.int64), count)]] > np.repeat(t, count)
    return count_true(unknown, count) > 0


def _search_back(events: SortedEvents, low: Ints, high: Ints, t: Ints, length: int) -> tuple[Ints, Ints]:
    """Return the last `length` known events of `low … high` for each anchor, widening until there are enough."""
    width = np.full(len(low), 2 * length, dtype=np.int64)
    while True:
        first = np.maximum(low, high - width)
        known = events.known[run_indices(first, high - first)] <= np.repeat(t, high - first)
        count = count_true(known, high - first)
        short = (count < length) & (first > low)
        if not short.any():
            break
        width = np.where(short, width * 2, width)
    index = run_indices(first, high - first)[known]
    surplus = np.maximum(count - length, 0)
    keep = run_indices(offsets_of(count)[:-1] + surplus, count - surplus)
    return index[keep], count - surplus
