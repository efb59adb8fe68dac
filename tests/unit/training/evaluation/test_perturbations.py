from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from feature_repo.events import EVENT_SCHEMA
from training.evaluation.perturbations import PERTURBATIONS

ROWS = 3000
START = datetime(2001, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def events():
    at = [START + timedelta(minutes=number) for number in range(ROWS)]
    return pa.table(
        {
            "event_id": [f"e{number}" for number in range(ROWS)],
            "user_id": [f"u{number % 50}" for number in range(ROWS)],
            "item_id": [f"i{number % 7}" for number in range(ROWS)],
            "session_id": pa.nulls(ROWS, pa.string()),
            "event_type": ["purchase"] * ROWS,
            "event_timestamp": at,
            "created_timestamp": [moment + timedelta(seconds=5) for moment in at],
            **{name: np.ones(ROWS) for name in ("quantity", "revenue", "cost", "list_price")},
            "currency": ["EUR"] * ROWS,
            "category": [("bread" if number % 3 else None) if number % 5 else "milk" for number in range(ROWS)],
        },
        schema=EVENT_SCHEMA,
    )


def damage(name, events):
    return PERTURBATIONS[name](events, np.random.default_rng(3))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_what_is_left_is_a_log_in_order(name, events):
    found, changed = damage(name, events)
    assert found.schema.equals(EVENT_SCHEMA)
    assert pc.all(pc.equal(found.sort_by("event_timestamp")["event_timestamp"], found["event_timestamp"])).as_py()
    assert (changed == 0) == (name == "as it is")
    again, _ = damage(name, events)
    assert again.equals(found)


def test_missing_events_are_missing(events):
    found, changed = damage("10 % of events missing", events)
    assert found.num_rows == round(ROWS * (1 - changed))
    assert 0.08 < changed < 0.12
    assert set(found["event_id"].to_pylist()) < set(events["event_id"].to_pylist())


def test_duplicates_differ_in_their_id_alone(events):
    found, changed = damage("10 % of events duplicated", events)
    again = [row for row in found.to_pylist() if row["event_id"].endswith("-again")]
    assert len(again) == round(ROWS * changed) == found.num_rows - ROWS
    before = {row["event_id"]: row for row in events.to_pylist()}
    for row in again:
        name = row["event_id"].removesuffix("-again")
        assert row == before[name] | {"event_id": row["event_id"]}


def test_shuffled_events_keep_their_customer_and_their_delay(events):
    found, changed = damage("10 % of events shuffled in time", events)
    before = {row["event_id"]: row for row in events.to_pylist()}
    moved = 0
    for row in found.to_pylist():
        was = before[row["event_id"]]
        moved += row["event_timestamp"] != was["event_timestamp"]
        assert row["user_id"] == was["user_id"]
        assert row["created_timestamp"] - row["event_timestamp"] == timedelta(seconds=5)
    assert moved == round(ROWS * changed)
    times = {user: [] for user in set(events["user_id"].to_pylist())}
    for row in events.to_pylist():
        times[row["user_id"]].append(row["event_timestamp"])
    for user, expected in times.items():
        mine = found.filter(pc.equal(found["user_id"], user))["event_timestamp"].to_pylist()
        assert sorted(mine) == expected


def test_the_largest_category_changes_its_name_half_way(events):
    found, _ = damage("largest category renamed", events)
    names = found["category"].to_pylist()
    assert "bread (renamed)" not in names[: ROWS // 2]
    assert "bread" not in names[ROWS // 2 :]
    assert names.count("milk") == events["category"].to_pylist().count("milk")


def test_a_log_without_categories_has_none_to_rename(events):
    place = events.column_names.index("category")
    without = events.set_column(place, EVENT_SCHEMA.field("category"), pa.nulls(ROWS, pa.string()))
    found, changed = damage("largest category renamed", without)
    assert found.equals(without)
    assert changed == 0
