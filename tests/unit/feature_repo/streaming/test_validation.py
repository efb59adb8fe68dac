"""Which events are taken, and the reason given for the others."""

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from feature_repo.events import EVENT_SCHEMA
from feature_repo.streaming.validation import REASONS, Event, Refusal, judge

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
MINUTE_US = 60_000_000
GOOD = {"event_id": "e1", "user_id": "u1", "event_type": "view", "event_timestamp": "2024-05-01T11:59:00Z"}


def told(**changes) -> Event | Refusal:
    return judge({**GOOD, **changes}, NOW_US, MINUTE_US)


def test_a_whole_event_is_taken_as_it_is() -> None:
    amounts = {"quantity": 2, "revenue": 9.5, "cost": None, "list_price": 5}
    texts = {"item_id": "i", "session_id": "s", "currency": "EUR", "category": "Käse & Brot"}
    found = told(created_timestamp="2024-05-01T13:59:30+02:00", **amounts, **texts)
    assert found == Event(
        "e1", "u1", "view", NOW_US - MINUTE_US, NOW_US - MINUTE_US // 2,
        item_id="i", session_id="s", quantity=2.0, revenue=9.5, currency="EUR", category="Käse & Brot", list_price=5.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    "moment",
    ["2024-05-01", "2024-05-01T00:00:00", "2024-05-01T02:00:00+02:00", datetime(2024, 5, 1, tzinfo=UTC),
     datetime(2024, 5, 1), datetime(2024, 5, 1, 2, tzinfo=timezone(timedelta(hours=2)))],
)  # fmt: skip
def test_times_are_utc_unless_they_name_a_zone(moment) -> None:
    found = told(event_timestamp=moment)
    assert isinstance(found, Event)
    assert found.event_us == NOW_US - 12 * 60 * MINUTE_US


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": 3}, "unknown_field"),
        ({"event_id": None}, "missing_event_id"),
        ({"event_id": "x" * 129}, "id_not_servable"),
        ({"user_id": ""}, "missing_user_id"),
        ({"user_id": 17}, "id_not_servable"),
        ({"user_id": "a\0b"}, "id_not_servable"),
        ({"user_id": "\ud800"}, "id_not_servable"),
        ({"item_id": 17}, "not_a_text"),
        ({"category": "x" * 1025}, "not_a_text"),
        ({"event_timestamp": None}, "missing_timestamp"),
        ({"event_timestamp": 1_714_564_800}, "unreadable_timestamp"),
        ({"event_timestamp": "20240501"}, "unreadable_timestamp"),
        ({"event_timestamp": "2024-13-01"}, "unreadable_timestamp"),
        ({"event_timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp_out_of_range"),
        ({"event_timestamp": "1989-12-31"}, "timestamp_out_of_range"),
        ({"event_timestamp": "2024-05-01T12:01:00.000001Z"}, "from_the_future"),
        ({"created_timestamp": "2024-05-01T12:01:00.000001Z"}, "from_the_future"),
        ({"created_timestamp": "2024-04-30"}, "from_the_future"),
        ({"event_type": None}, "missing_event_type"),
        ({"event_type": "Purchase"}, "unknown_event_type"),
        ({"event_type": ["view"]}, "unknown_event_type"),
        ({"revenue": math.nan}, "not_a_number"),
        ({"cost": math.inf}, "not_a_number"),
        ({"quantity": "2"}, "not_a_number"),
        ({"quantity": True}, "not_a_number"),
        ({"quantity": 10**400}, "not_a_number"),
        ({"quantity": -1}, "negative_quantity"),
        ({"currency": "euro"}, "unknown_currency"),
    ],
)
def test_what_cannot_be_taken_has_its_reason(changes, reason) -> None:
    found = told(**changes)
    assert isinstance(found, Refusal)
    assert found.reason == reason


@pytest.mark.parametrize("cell", [pd.NA, np.array(["a", "b"]), float("nan"), pd.NaT], ids=str)
def test_what_data_frames_hold_where_a_cell_is_missing_is_refused(cell) -> None:
    for name in EVENT_SCHEMA.names:
        assert isinstance(told(**{name: cell}), Refusal)


@pytest.mark.parametrize("given", [None, 7, "{}", [1], b"x"])
def test_what_is_no_object_is_refused(given) -> None:
    assert judge(given, NOW_US, 0) == Refusal("not_an_object", "")


def test_a_return_may_have_any_sign() -> None:
    assert isinstance(told(event_type="return", quantity=-1), Event)


def test_the_reason_never_quotes_a_value() -> None:
    found = told(user_id="secret\0")
    assert isinstance(found, Refusal)
    assert "secret" not in found.detail


def test_every_reason_is_explained_and_every_column_can_be_given() -> None:
    assert all(REASONS.values())
    whole = dict.fromkeys(EVENT_SCHEMA.names) | GOOD
    assert isinstance(judge(whole, NOW_US, 0), Event)
