"""Which row was the latest known one at each anchor's moment: sorted whole numbers and binary search.

A key's number and a time become one number whose order is (key, time), because NumPy sorts and searches those many
times faster than pairs.
"""

from dataclasses import dataclass

import numpy as np

from intent_stores.ragged import Ints

# Key and time share 63 bits. Where they do not fit, times are replaced by their rank among the distinct ones.
_LARGEST = 1 << 62


@dataclass(frozen=True)
class NarrowRows:
    """Rows of a source without their features, in any order.

    Attributes:
        key: int64, each row's key as a number from 0 on.
        event, created: int64, microseconds; `created` is None where there are no creation times.
        place: int64, increasing in the order of the file; the last tie-breaker.
        known_only: whether a row counts only from its creation on (else creation times only order ties).
    """

    key: Ints
    event: Ints
    created: Ints | None
    place: Ints
    known_only: bool


def latest_known(rows: NarrowRows, key: Ints, t: Ints, ttl_us: int | None) -> Ints:
    """Return for each anchor the index of its row, or -1 where none counts.

    Of the rows with the anchor's key and `event <= t` (and `created <= t`), the latest event wins, then the latest
    creation, then the last place; a winner with `event < t - ttl_us` does not count, nor then does any other row.

    Arguments:
        key: int64, each anchor's key number; negative for an anchor without a key.
        t: int64, each anchor's moment in microseconds.
    """
    if len(rows.key) == 0:
        return np.full(len(key), -1, dtype=np.int64)
    moments, asked = _one_number(rows.key, rows.event, key, t)
    order = _least_to_most_preferred(moments, rows)
    if rows.created is None or not rows.known_only:
        last = _last_not_above(moments[order], asked)
    else:
        last = _last_known(rows, rows.created, order, key, t)
    found = np.where(last < 0, -1, order[last])
    counts = (found >= 0) & (rows.key[found] == key)
    if ttl_us is not None:
        counts &= rows.event[found] >= t - ttl_us
    return np.where(counts, found, -1)


def _least_to_most_preferred(moments: Ints, rows: NarrowRows) -> Ints:
    """Return the order of the rows by key, event time, creation time and place."""
    order = np.argsort(moments)
    ordered = moments[order]
    same = ordered[1:] == ordered[:-1]
    if same.any():
        tied = np.zeros(len(order), dtype=np.bool_)
        tied[1:] |= same
        tied[:-1] |= same
        among = order[tied]
        ties = [rows.place[among], moments[among]]
        if rows.created is not None:
            ties.insert(1, rows.created[among])
        order[tied] = among[np.lexsort(ties)]
    return order


def _last_known(rows: NarrowRows, created: Ints, order: Ints, key: Ints, t: Ints) -> Ints:
    """Return, as places in `order`, the most preferred row of each anchor's key among those known at t."""
    preference = np.empty(len(order), dtype=np.int64)
    preference[order] = np.arange(len(order))
    known, asked = _one_number(rows.key, np.maximum(rows.event, created), key, t)
    by_known = np.argsort(known)
    # Preferences rise from key to key, so that the best of all rows before is one of the same key.
    best = np.maximum.accumulate(preference[by_known])
    last = _last_not_above(known[by_known], asked)
    return np.where(last < 0, -1, best[last])


def _one_number(key: Ints, time: Ints, anchor_key: Ints, t: Ints) -> tuple[Ints, Ints]:
    """Return (key, time) of rows and anchors as single numbers in the same order; times before all rows' may be -1."""
    low, high = int(time.min()), int(time.max())
    size = high - low + 1
    if size * (max(int(key.max()), int(anchor_key.max(initial=0))) + 2) < _LARGEST:
        return key * size + (time - low), anchor_key * size + np.clip(t, low - 1, high) - low
    distinct, rank = np.unique(time, return_inverse=True)
    asked = np.searchsorted(distinct, t, side="right") - 1
    return key * len(distinct) + rank, anchor_key * len(distinct) + asked


def _last_not_above(ordered: Ints, sought: Ints) -> Ints:
    """Return the last place in `ordered` (ascending) that is not above each number sought; -1 where there is none."""
    # Searched in order, neighbours find what they need in the processor's cache.
    order = np.argsort(sought)
    found = np.empty(len(sought), dtype=np.int64)
    found[order] = np.searchsorted(ordered, sought[order], side="right") - 1
    return found
