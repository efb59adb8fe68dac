"""What a customer did lately: counts and sums in windows that end at t, the running session, the breadth of interest.

All windows are (t - w, t], over the last N events: beyond N they saturate, offline and online alike. Counts are
differences of whole numbers and sums add up a list's own values, so that a row has the same bits in every batch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import EVENT_TYPES
from feature_repo.transforms import session as ses
from feature_repo.transforms.affinity import category_runs, recent_categories, top_category_share
from feature_repo.transforms.event_lists import EventLists, by_block, event_lists, kind_code, running_count

__all__ = [
    "ACTIVITY_FIELDS",
    "ACTIVITY_NAMES",
    "WINDOWS",
    "activity_features",
    "activity_of",
    "counts_in_windows",
    "sums_in_windows",
    "window_edges",
    "window_features",
]

_FEW = 1024
HOUR_US = 3_600_000_000
WINDOWS = {"1h": HOUR_US, "1d": 24 * HOUR_US, "7d": 7 * 24 * HOUR_US, "30d": 30 * 24 * HOUR_US}
ACTIVITY_FIELDS = ("event_at", "event_type", "event_category", "event_revenue")
ACTIVITY_NAMES = (
    *(f"{kind}_count_{window}" for kind in ("event", *EVENT_TYPES) for window in WINDOWS),
    *(f"purchase_revenue_{window}" for window in WINDOWS),
    "session_events",
    "session_seconds",
    "session_pace_seconds",
    "seconds_since_event",
    "recent_events",
    "recent_categories",
    "top_category_share",
)
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def activity_features(columns: Mapping[str, Any], at_us: Whole) -> dict[str, Floats]:
    """Compute `ACTIVITY_NAMES` for n customers from the lists of `user_events`.

    Args:
        columns: `ACTIVITY_FIELDS`, as `event_lists` takes them.
        at_us: t for each row, int64 microseconds since 1970, shape (n,); events after it are left out.

    Returns:
        name → float64 of shape (n,). Counts and sums are 0.0 where nothing happened, the rest is NaN there.

    Raises:
        FeatureError: the columns are not lists of the same events, oldest first.
    """
    lists, _ = event_lists(columns, at_us, ACTIVITY_FIELDS, {})
    return activity_of(lists, at_us)


def activity_of(lists: EventLists, at_us: Whole) -> dict[str, Floats]:
    """Compute `ACTIVITY_NAMES` from lists of `ACTIVITY_FIELDS` (and others) that hold nothing after t."""
    return by_block(lists, lambda block, rows: _activity(block, at_us[rows]))


def window_features(
    lists: EventLists, at_us: Whole, windows: Mapping[str, int], kinds: tuple[str, ...]
) -> dict[str, Floats]:
    """Counts of all events and of each of `kinds`, and purchases' revenue, in each of `windows`.

    Args:
        lists: of `event_at`, `event_type` and `event_revenue`, holding nothing after t.
        at_us: t for each row, int64 microseconds since 1970, shape (n,).
        windows: name → length in microseconds.
        kinds: words of `EVENT_TYPES`.

    Returns:
        `<kind>_count_<window>` and `purchase_revenue_<window>`, float64 of shape (n,).
    """
    return by_block(lists, lambda block, rows: _windows(block, at_us[rows], windows, kinds))


def window_edges(lists: EventLists, at_us: Whole, lengths_us: list[int]) -> Whole:
    """Return where each window begins among all events, the longest first, and where all of them end.

    Shape (n, len(lengths_us) + 1), int64, never falling along a row; `lengths_us` falls. A binary search in all rows
    at once, because the lists are ordered by time.
    """
    at, begin, end = lists["event_at"], lists.offsets[:-1, None], lists.offsets[1:, None]
    before = at_us[:, None] - np.array(lengths_us, np.int64)
    if len(lists) == 1:
        return np.append(at.searchsorted(before[0], side="right"), len(at))[None]
    found = np.repeat(begin, len(lengths_us), axis=1)
    step = 1 << int(lists.lengths.max(initial=0)).bit_length() >> 1
    while step:
        probe = found + step
        outside = at[np.minimum(probe, end) - 1] <= before
        np.copyto(found, probe, where=outside & (probe <= end))
        step >>= 1
    return np.concatenate([found, end], axis=1)


def counts_in_windows(chosen: NDArray[np.bool_], edges: Whole) -> Whole:
    """How many of the events that are `chosen` (shape (total,)) lie in each window; shape (n, windows)."""
    if not chosen.any():
        return np.zeros((len(edges), edges.shape[1] - 1), np.int64)
    until = running_count(chosen)[edges]
    return until[:, -1:] - until[:, :-1]


def sums_in_windows(values: Floats, edges: Whole) -> Floats:
    """Sum of `values` (shape (total,), nothing after the last window) in each window; shape (n, windows).

    Windows that end together lie inside each other: the values are added up between neighbouring edges, and these
    sums from the shortest window to the longest.
    """
    begin = edges.ravel()
    filled = np.append(begin[1:], len(values)) > begin
    sums = np.zeros(begin.shape)
    if filled.any():
        sums[filled] = np.add.reduceat(values, begin[filled])
    between = sums.reshape(edges.shape)[:, :-1]
    return np.cumsum(between[:, ::-1], axis=1)[:, ::-1]


def _activity(lists: EventLists, at_us: Whole) -> dict[str, Floats]:
    session = ses.running_session(lists, at_us)
    runs = category_runs(lists)
    return _windows(lists, at_us, WINDOWS, EVENT_TYPES) | {
        "session_events": ses.session_events(session),
        "session_seconds": ses.session_seconds(session, at_us),
        "session_pace_seconds": ses.session_pace_seconds(session),
        "seconds_since_event": ses.seconds_since_event(lists, at_us),
        "recent_events": lists.lengths.astype(np.float64),
        "recent_categories": recent_categories(runs),
        "top_category_share": top_category_share(runs, lists),
    }


def _windows(lists: EventLists, at_us: Whole, windows: Mapping[str, int], kinds: tuple[str, ...]) -> dict[str, Floats]:
    longest_first = sorted(windows, key=lambda name: -windows[name])
    edges = window_edges(lists, at_us, [windows[name] for name in longest_first])
    found: dict[str, NDArray[Any]] = {"event_count": edges[:, -1:] - edges[:, :-1]}
    found |= _kind_counts(lists["event_type"], kinds, edges)
    found["purchase_revenue"] = _revenue(lists, edges)
    place = {window: longest_first.index(window) for window in windows}
    features: dict[str, Floats] = {}
    for name, table in found.items():
        columns = np.ascontiguousarray(table.T, np.float64)
        features |= {f"{name}_{window}": columns[place[window]] for window in windows}
    return features


def _kind_counts(types: NDArray[np.int8], kinds: tuple[str, ...], edges: Whole) -> dict[str, Whole]:
    """How many events of each kind lie in each window; of few events, as a request has, for all kinds at once."""
    if len(types) > _FEW or not kinds:
        return {f"{kind}_count": counts_in_windows(types == kind_code(kind), edges) for kind in kinds}
    until = np.zeros((len(kinds), len(types) + 1), np.int64)
    np.cumsum(types == np.array([[kind_code(kind)] for kind in kinds]), axis=1, out=until[:, 1:])
    until = until[:, edges]
    return dict(zip([f"{kind}_count" for kind in kinds], until[:, :, -1:] - until[:, :, :-1], strict=True))


def _revenue(lists: EventLists, edges: Whole) -> Floats:
    bought = lists["event_type"] == kind_code("purchase")
    revenue = lists["event_revenue"][np.flatnonzero(bought)]
    revenue[np.isnan(revenue)] = 0.0
    return sums_in_windows(revenue, running_count(bought)[edges])
