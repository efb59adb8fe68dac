"""The season is a point on the circle of the year, on the local calendar, and only where the calendar has seasons."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from feature_repo.transforms.calendar import Calendar, calendar_features

NAMES = ("season_sin", "season_cos")
A_YEAR = timedelta(days=365.2425)


def season(*moments: datetime, zone: str = "UTC") -> np.ndarray:
    at_us = np.array([round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) for at in moments])
    found = calendar_features(at_us, Calendar(zone, seasons=True))
    return np.stack([found[name] for name in NAMES], axis=1)


def test_the_quarters_of_a_year_are_the_quarters_of_the_circle():
    new_year = datetime(1970, 1, 1, tzinfo=UTC)
    found = season(*(new_year + A_YEAR * quarter / 4 for quarter in range(4)))
    np.testing.assert_allclose(found, [(0, 1), (1, 0), (0, -1), (-1, 0)], atol=1e-9)


def test_a_year_later_it_is_the_same_season_and_half_a_year_later_the_opposite():
    day = datetime(2024, 5, 17, 13, 5, tzinfo=UTC)
    now, next_year, in_between = season(day, day + A_YEAR, day + A_YEAR / 2)
    np.testing.assert_allclose(next_year, now, atol=1e-9)
    np.testing.assert_allclose(in_between, -now, atol=1e-9)


def test_the_season_is_that_of_the_local_clock():
    day = datetime(2024, 7, 1, tzinfo=UTC)
    there, here = season(day, zone="Asia/Shanghai"), season(day + timedelta(hours=8))
    np.testing.assert_allclose(there, here, atol=1e-12)


@pytest.mark.parametrize("calendar", [Calendar(), Calendar("Europe/Berlin", ("2024-12-25",))])
def test_without_a_year_of_data_there_is_no_season(calendar):
    assert not {*NAMES} & {*calendar_features(np.array([1_714_568_700_000_000]), calendar)}
