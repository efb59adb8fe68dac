"""What [task], [anchors] and [splits] may say together, and what the dates mean in a time zone."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.errors import SettingsError
from training.dataset.anchors import anchor_dates
from training.dataset.time_splits import microseconds
from training.settings import Anchors, Settings, midnight
from training.tasks import task_named, task_names

EXAMPLES = Path(__file__).parents[4] / "examples"
BASE = """
[data]
adapter = "table"
[task]
{task}
[anchors]
{anchors}
[splits]
train_until = 2021-03-08
validation_until = 2021-03-10
log_end = 2021-03-13
"""
WEEKLY = 'every = "monday"\nfirst = 2021-01-04'


def load(folder: Path, task: str, anchors: str = WEEKLY) -> Settings:
    path = folder / "intent.toml"
    path.write_text(BASE.format(task=task, anchors=anchors))
    return Settings.load(path)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_can_be_used(example: Path) -> None:
    settings = Settings.load(example)
    assert task_named(settings.task.name).question(settings).endswith("?")


def test_every_task_has_an_example() -> None:
    assert {Settings.load(path).task.name for path in EXAMPLES.glob("*.toml")} == set(task_names())


@pytest.mark.parametrize(
    ("task", "anchors", "message"),
    [
        ('name = "clairvoyance"', WEEKLY, "got 'clairvoyance'; expected one of add_to_cart, churn,"),
        ("", WEEKLY, "needs a horizon; got none"),
        ("horizon_days = 7\nhorizon_hours = 3", WEEKLY, "got horizon_days and horizon_hours"),
        ("horizon_days = 7\nprefixes = [2]", WEEKLY, "takes no prefixes"),
        ("horizon_days = 7\nlookback_days = 2", WEEKLY, "takes no lookback_days"),
        ("horizon_days = 7", 'every = "day"', "no `every` or no `first`"),
        ("horizon_days = 7", WEEKLY + '\ntimezone = "Mars/Olympus"', "expected the name of a time zone"),
        ('name = "purchase_in_session"', WEEKLY, "asks inside sessions, not at dates"),
        ('name = "purchase_in_session"\nhorizon_days = 7', "", "takes no horizon_days"),
        ('name = "purchase_in_session"\nprefixes = [3, 3]', "", "expected different numbers"),
        ('name = "purchase_in_session"\nprefixes = [0]', "", "greater than or equal to 1"),
        ('name = "churn"\nhorizon_days = 7\npaid_only = true', WEEKLY, "takes no paid_only"),
    ],
)
def test_settings_that_a_task_cannot_work_with_are_refused(tmp_path, task, anchors, message) -> None:
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, task, anchors)


ZONES = ("UTC", "Europe/Berlin", "Asia/Shanghai", "America/New_York", "Asia/Kathmandu")


@given(st.sampled_from(ZONES), st.dates(date(2005, 1, 1), date(2030, 1, 1)), st.integers(0, 400))
def test_anchors_of_every_day_are_local_midnights(zone: str, first: date, hours: int) -> None:
    until = midnight(first, zone) + timedelta(hours=hours)
    found = anchor_dates(Anchors(every="day", first=first, timezone=zone), until)
    local = [at.astimezone(ZoneInfo(zone)) for at in found]
    assert [at.date() for at in local] == [first + timedelta(days=number) for number in range(len(found))]
    assert all((at.hour, at.minute, at.second) == (0, 0, 0) for at in local)
    assert found[-1] <= until < midnight(local[-1].date() + timedelta(days=1), zone)


@given(st.sampled_from(ZONES), st.lists(st.datetimes(datetime(2005, 1, 1), datetime(2030, 1, 1)), min_size=1))
def test_a_moment_in_a_session_belongs_to_its_local_day(zone: str, moments: list[datetime]) -> None:
    settings = Settings.model_validate(
        {
            "data": {"adapter": "table"},
            "task": {"name": "purchase_in_session"},
            "anchors": {"timezone": zone},
            "splits": {"train_until": "2021-03-08", "validation_until": "2021-03-10", "log_end": "2021-03-13"},
        }
    )
    aware = [moment.replace(tzinfo=UTC) for moment in moments]
    days = task_named("purchase_in_session").dates(np.array([microseconds(at) for at in aware]), settings)
    expected = [microseconds(midnight(at.astimezone(ZoneInfo(zone)).date(), zone)) for at in aware]
    assert days.tolist() == expected


def test_borders_are_midnights_of_the_zone_and_moments_stay(tmp_path) -> None:
    settings = load(tmp_path, "horizon_days = 1", WEEKLY + '\ntimezone = "Asia/Shanghai"')
    assert settings.log_end == datetime(2021, 3, 12, 16, tzinfo=UTC)
    assert midnight(datetime(2021, 3, 12, 5), "Asia/Shanghai") == datetime(2021, 3, 11, 21, tzinfo=UTC)
    assert midnight(datetime(2021, 3, 12, 5, tzinfo=UTC), "Asia/Shanghai") == datetime(2021, 3, 12, 5, tzinfo=UTC)
