"""Splits in time: contiguous, with no label window that reaches over a border."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import SplitError
from training.settings import Settings

__all__ = ["SPLITS", "SplitPlan", "microseconds", "moment", "plan_splits", "split_numbers"]

SPLITS = ("train", "validation", "test")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class SplitPlan:
    """The anchor dates of each split, and those that belong to none because a border cuts their label window."""

    dates: dict[str, tuple[datetime, ...]]
    dropped: tuple[datetime, ...]

    def pairs(self) -> list[tuple[str, datetime]]:
        """(split, anchor date), in order of time."""
        return [(name, at) for name in SPLITS for at in self.dates[name]]


def plan_splits(dates: Sequence[datetime], settings: Settings) -> SplitPlan:
    """Put each anchor date into the split that holds it and its whole label window (t, t + horizon].

    Raises:
        SplitError: a split is left without an anchor date.
    """
    found: dict[str, list[datetime]] = {name: [] for name in SPLITS}
    dropped: list[datetime] = []
    numbers = split_numbers(np.array([microseconds(at) for at in dates], np.int64), settings)
    for at, number in zip(dates, numbers, strict=True):
        (found[SPLITS[number]] if number >= 0 else dropped).append(at)
    for name, members in found.items():
        if not members:
            raise SplitError(
                f"The split {name!r} has no anchor date: got {len(dates)} dates from "
                f"{_day(dates[0]) if dates else '(none)'} to {_day(dates[-1]) if dates else '(none)'}; expected at "
                f"least one whose {settings.task.days:g}-day label window lies inside the split. Move "
                f"train_until, validation_until or log_end in {settings.data.file}."
            )
    return SplitPlan({name: tuple(members) for name, members in found.items()}, tuple(dropped))


def split_numbers(
    at_us: NDArray[np.int64], settings: Settings, label_until_us: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return for each anchor the place in `SPLITS` of the split that holds it and its whole label window, or -1.

    Args:
        at_us: t, int64 microseconds since 1970, shape (n,).
        settings: its splits and the label's horizon.
        label_until_us: the end of each anchor's label window, if it is not t + horizon; shape (n,).
    """
    ends = np.array([microseconds(end) for end in settings.borders], np.int64)
    number = np.searchsorted(ends, at_us, side="right")
    until = at_us + settings.task.horizon // _MICROSECOND if label_until_us is None else label_until_us
    whole = until <= np.append(ends, np.iinfo(np.int64).min)[number]
    return np.where(whole, number, -1)


def microseconds(at: datetime) -> int:
    """Return an aware moment as whole microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment(at_us: int) -> datetime:
    """Return microseconds since 1970 as a moment in UTC."""
    return _EPOCH + at_us * _MICROSECOND


def _day(at: datetime) -> str:
    return at.date().isoformat()
