"""The replay of served features shares the transforms with serving: a bug in one of them is for its oracle to find.

Each bug is planted where both sides would have it, and the oracle must fail.
"""

from functools import partial
from types import ModuleType

import numpy as np
import pytest
from hypothesis import Phase, given, settings

from feature_repo.transforms import activity, affinity, customer, recency, session, windows
from feature_repo.transforms.ragged import Ragged
from tests.oracle import test_activity_oracle as of_activity
from tests.oracle import test_transforms_oracle as of_baskets


def with_its_begin(moments, at_us, days):
    end = np.repeat(at_us, moments.lengths)
    return (moments.values >= end - np.array(days)[:, None] * recency.DAY_US) & (moments.values <= end)


def without_its_end(moments, at_us, days):
    end = np.repeat(at_us, moments.lengths)
    return (moments.values > end - np.array(days)[:, None] * recency.DAY_US) & (moments.values < end)


def in_another_zone(earlier_us, at_us):
    return (at_us.astype(np.float64) - earlier_us + 8 * 3_600_000_000) / recency.DAY_US


def of_a_sample(lists, mean):
    deviation = lists.values - np.repeat(mean, lists.lengths)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(lists.with_values(deviation * deviation).sum() / (lists.lengths - 1))


BUGS = {
    "baskets: a window holds its begin": (of_baskets, windows, "in_windows", with_its_begin),
    "baskets: a window lacks its end": (of_baskets, windows, "in_windows", without_its_end),
    "baskets: another time zone": (of_baskets, recency, "days_between", in_another_zone),
    "baskets: another deviation": (of_baskets, Ragged, "std", of_a_sample),
    "baskets: a window too few": (of_baskets, customer, "WINDOW_DAYS", (7, 14, 28)),
    "activity: a window holds its begin": (
        of_activity, activity, "WINDOWS", {name: length + 1 for name, length in activity.WINDOWS.items()}
    ),
    "activity: a session goes on a microsecond longer": (of_activity, session, "PAUSE_US", session.PAUSE_US + 1),
    "affinity: another half-life": (
        of_activity, affinity, "recency_weights", partial(affinity.recency_weights, half_life_days=7.0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_by_the_oracle(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle, place, name, planted = BUGS[bug]
    assert isinstance(oracle, ModuleType)
    loop = oracle.test_features_equal_a_plain_loop.hypothesis.inner_test

    # As the oracle's own, but what is found need not be made small.
    @settings(max_examples=300, deadline=None, database=None, phases=[Phase.generate])
    @given(oracle.customers)
    def check(cases):
        loop(cases)

    monkeypatch.setattr(place, name, planted)
    with pytest.raises((AssertionError, KeyError)):
        check()
