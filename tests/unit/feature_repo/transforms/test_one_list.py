"""A request has one list, for which much is counted another way: it gets the bits that it has among other lists."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.transforms.activity import activity_of
from feature_repo.transforms.event_history import history_features
from feature_repo.transforms.event_lists import EventLists
from feature_repo.transforms.past_sessions import past_session_features
from feature_repo.transforms.session import PAUSE_US

STEPS = st.sampled_from([0, 1, 1_000_000, PAUSE_US - 1, PAUSE_US, 90_000_000_000])
EVENT = st.tuples(
    STEPS, st.integers(-1, 5), st.integers(-1, 4), st.integers(-1, 2), st.sampled_from([np.nan, 0.1, 3.7])
)
LISTS = st.lists(st.tuples(st.integers(-(10**12), 10**12), st.lists(EVENT, max_size=25), STEPS), min_size=2, max_size=5)
FIELDS = {"event_type": np.int8, "event_item": np.int32, "event_category": np.int32, "event_revenue": np.float64}


def one_of(start: int, events: list[tuple[int, int, int, int, float]]) -> EventLists:
    """A single list that begins at `start`."""
    parts = list(zip(*events, strict=True)) or [()] * 5
    at = start + np.cumsum(np.array(parts[0], np.int64))
    fields = {name: np.array(part, dtype) for (name, dtype), part in zip(FIELDS.items(), parts[1:], strict=True)}
    return EventLists(np.array([0, len(at)], np.int64), {"event_at": at.astype(np.int64), **fields})


@given(LISTS)
def test_a_list_by_itself_has_the_bits_that_it_has_among_others(
    drawn: list[tuple[int, list[tuple[int, int, int, int, float]], int]],
) -> None:
    singles = [one_of(start, events) for start, events, _ in drawn]
    newest = [
        int(one["event_at"][-1]) if len(one["event_at"]) else start
        for one, (start, _, _) in zip(singles, drawn, strict=True)
    ]
    at_us = np.array([at + later for at, (_, _, later) in zip(newest, drawn, strict=True)], np.int64)
    offsets = np.cumsum([0, *(int(one.offsets[1]) for one in singles)]).astype(np.int64)
    together = EventLists(
        offsets, {name: np.concatenate([one[name] for one in singles]) for name in singles[0].columns}
    )
    for features in (activity_of, history_features, past_session_features):
        expected = features(together, at_us)
        for row, one in enumerate(singles):
            found = features(one, at_us[row : row + 1])
            assert list(found) == list(expected)
            for name, column in expected.items():
                assert np.array_equal(found[name], column[row : row + 1], equal_nan=True), name
                assert found[name].dtype == column.dtype
