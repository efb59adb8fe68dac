"""The moment of an anchor as people there live it: hour, weekday, season, and how far the next holiday is."""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.recency import DAY_US

__all__ = ["Calendar", "calendar_features"]

_QUARTER_US = 900_000_000
_FAR = 60.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calendar:
    """A time zone, and the days there that are holidays (ISO dates); without any, nothing is said of holidays.

    `seasons` is for data that cover a year: in less, the season is just another name for the date.
    """

    zone: str = "UTC"
    holidays: tuple[str, ...] = ()
    seasons: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the calendar as JSON-able data."""
        return asdict(self)


def calendar_features(at_us: NDArray[np.int64], calendar: Calendar) -> dict[str, Floats]:
    """Return hour, weekday and season at t, each where it is known; float64 of shape (n,).

    Hours and seasons are points on a circle, for 23:00 is close to 01:00. `days_to_holiday` and `days_since_holiday`
    are at most 60, and only there if the calendar has holidays.
    """
    local = _local(at_us, calendar.zone)
    hour = local % DAY_US / (DAY_US / 24)
    weekday = (local // DAY_US + 3) % 7
    year = 2 * np.pi * (local / DAY_US % 365.2425) / 365.2425
    features = {
        "local_hour": np.floor(hour),
        "local_hour_sin": np.sin(2 * np.pi * hour / 24),
        "local_hour_cos": np.cos(2 * np.pi * hour / 24),
        "local_weekday": weekday.astype(np.float64),
        "local_is_weekend": (weekday >= 5).astype(np.float64),
    }
    if calendar.seasons:
        features |= {"season_sin": np.sin(year), "season_cos": np.cos(year)}
    if calendar.holidays:
        days = np.sort([date.fromisoformat(day).toordinal() for day in calendar.holidays]) - _EPOCH_DAY
        features |= _distances(local // DAY_US, days)
    return features


def _distances(today: NDArray[np.int64], holidays: NDArray[np.int64]) -> dict[str, Floats]:
    following = np.searchsorted(holidays, today)
    padded = np.concatenate([[-(10**6)], holidays, [10**6]])
    is_one = padded[following + 1] == today
    since = np.where(is_one, 0, today - padded[following])
    return {
        "days_to_holiday": np.minimum(padded[following + 1] - today, _FAR).astype(np.float64),
        "days_since_holiday": np.minimum(since, _FAR).astype(np.float64),
    }


_EPOCH_DAY = date(1970, 1, 1).toordinal()


def _local(at_us: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """Shift moments so that they read as the zone's clock; offsets change at whole quarters of an hour only."""
    if zone == "UTC":
        return at_us
    quarters, place = np.unique(at_us // _QUARTER_US, return_inverse=True)
    shifts: NDArray[np.int64] = np.array([_offset_us(int(quarter), zone) for quarter in quarters], np.int64)
    return at_us + shifts[place]


@lru_cache(maxsize=65_536)
def _offset_us(quarter: int, zone: str) -> int:
    offset = datetime.fromtimestamp(quarter * 900, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1_000_000)
