"""Splits in time: contiguous, with no label window that reaches over a border."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from feature_repo.errors import SplitError
from training.settings import Settings, midnight

__all__ = ["SPLITS", "SplitPlan", "plan_splits"]

SPLITS = ("train", "validation", "test")


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
    borders = settings.splits
    found: dict[str, list[datetime]] = {name: [] for name in SPLITS}
    dropped = []
    for at in dates:
        end = at + settings.task.horizon
        if end <= midnight(borders.train_until):
            found["train"].append(at)
        elif at >= midnight(borders.train_until) and end <= midnight(borders.validation_until):
            found["validation"].append(at)
        elif at >= midnight(borders.validation_until) and end <= midnight(borders.log_end):
            found["test"].append(at)
        else:
            dropped.append(at)
    for name, members in found.items():
        if not members:
            raise SplitError(
                f"The split {name!r} has no anchor date: got {len(dates)} dates from "
                f"{_day(dates[0]) if dates else '(none)'} to {_day(dates[-1]) if dates else '(none)'}; expected at "
                f"least one whose {settings.task.horizon_days}-day label window lies inside the split. Move "
                "train_until, validation_until or log_end in intent.toml."
            )
    return SplitPlan({name: tuple(members) for name, members in found.items()}, tuple(dropped))


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
