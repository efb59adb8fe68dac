"""Sequences as features: the last N events before each moment, as lists, for every field of the view."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Array, Bool, Float64, Int64, String, UnixTimestamp
from feast.value_type import ValueType

from intent_stores.errors import NotSupportedError
from intent_stores.retrieval_job import AsofRetrievalJob

T0 = datetime(2024, 3, 1, 12, tzinfo=UTC)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
SHOP = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.INT64)
KINDS = {"item": Int64, "name": String, "price": Float64, "sale": Bool, "time": UnixTimestamp}
FEATURES = [f"history:{name}" for name in KINDS]


def moments(*minutes: float) -> pa.Array:
    return pa.array([T0 + timedelta(minutes=m) for m in minutes], pa.timestamp("us", tz="UTC"))


def events() -> pa.Table:
    minutes = [0, 2, 1, 5, 5, 7]
    return pa.table(
        {
            "user_id": ["a", "a", "a", "a", "a", "b"],
            "event_timestamp": moments(*minutes),
            "created": moments(0, 2, 1, 6, 5, 7),
            "item": [1, 3, 2, 5, 4, 9],
            "name": ["x", None, "ü", "z", "", None],
            "price": [0.5, None, 1.5, 2.5, 3.5, None],
            "sale": [True, None, False, True, True, None],
            "time": moments(*minutes),
            "shop_id": [1, 1, 2, 1, 1, 1],
        }
    )


def build(folder: Path, table: pa.Table, length: int = 3, entities: Any = (USER,), **view: Any) -> FeatureStore:
    pq.write_table(table, folder / "events.parquet")
    (folder / "feature_store.yaml").write_text(
        "project: contract\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
        "online_store: {type: sqlite, path: online.db}\n"
        "offline_store: {type: intent_stores.offline_asof.AsofOfflineStore}\n"
    )
    created = {"created_timestamp_column": "created"} if view.pop("created", True) else {}
    tags = {"sequence.length": str(length)}
    source = FileSource(name="s", path="events.parquet", timestamp_field="event_timestamp", tags=tags, **created)
    fields = [Field(name=name, dtype=Array(kind)) for name, kind in KINDS.items()]
    options = {"ttl": timedelta(0)} | view
    store = FeatureStore(repo_path=str(folder))
    store.apply(
        [*entities, FeatureView(name="history", entities=list(entities), schema=fields, source=source, **options)]
    )
    return store


def join(store: FeatureStore, users: list[Any], minutes: list[float], **columns: Any) -> Any:
    stamps = pd.to_datetime([T0 + timedelta(minutes=m) for m in minutes], utc=True)
    rows = pd.DataFrame({"user_id": users, "event_timestamp": stamps} | columns)
    return store.get_historical_features(rows, FEATURES)


def ask(store: FeatureStore, users: list[Any], minutes: list[float], **columns: Any) -> dict[str, list[Any]]:
    return join(store, users, minutes, **columns).to_arrow().to_pydict()


def test_the_last_events_oldest_first_shorter_or_empty_where_there_are_fewer(tmp_path: Path) -> None:
    got = ask(build(tmp_path, events()), ["a", "a", "a", "b", "zz", None], [10, 1.5, -1, 10, 10, 10])
    assert got["item"] == [[3, 4, 5], [1, 2], [], [9], [], []]


def test_equal_event_times_are_ordered_by_creation_then_by_file(tmp_path: Path) -> None:
    assert ask(build(tmp_path, events()), ["a"], [10])["item"] == [[3, 4, 5]]
    assert ask(build(tmp_path, events(), created=False), ["a"], [10])["item"] == [[3, 5, 4]]


def test_an_event_that_became_known_later_is_left_out_and_replaced_by_an_older_one(tmp_path: Path) -> None:
    assert ask(build(tmp_path, events()), ["a", "a"], [5.5, 6])["item"] == [[2, 3, 4], [3, 4, 5]]


def test_lists_hold_no_nulls(tmp_path: Path) -> None:
    got = ask(build(tmp_path, events(), length=9), ["a", "b"], [10, 10])
    assert got["name"] == [["x", "ü", "", "", "z"], [""]]
    assert got["sale"] == [[True, False, False, True, True], [False]]
    np.testing.assert_array_equal(got["price"][0], [0.5, 1.5, np.nan, 3.5, 2.5])
    assert got["time"][1] == moments(7).to_pylist()


def test_the_ttl_bounds_each_event_to_the_microsecond(tmp_path: Path) -> None:
    store = build(tmp_path, events(), ttl=timedelta(minutes=3))
    micro = 1 / 60e6
    assert ask(store, ["a", "a"], [4, 4 + micro])["item"] == [[2, 3], [3]]


def test_columns_are_arrow_lists_in_one_chunk(tmp_path: Path) -> None:
    store = build(tmp_path, events())
    rows = pd.DataFrame({"user_id": ["a"], "event_timestamp": [T0]})
    table = store.get_historical_features(rows, FEATURES).to_arrow()
    assert table.schema.field("item").type == pa.list_(pa.int64())
    assert table.schema.field("name").type == pa.list_(pa.string())
    assert {column.num_chunks for column in table.columns} == {1}


def test_text_may_be_had_as_codes(tmp_path: Path) -> None:
    job = join(build(tmp_path, events()), ["a", "b", "zz"], [10, 10, 10])
    coded = job.to_coded_arrow()
    assert coded.schema.field("name").type == pa.list_(pa.dictionary(pa.int32(), pa.string()))
    plain = job.to_arrow()
    assert coded.column_names == plain.column_names
    assert coded["name"].to_pylist() == plain["name"].to_pylist() == [["", "", "z"], [""], []]
    assert coded.drop_columns(["name", "price"]).equals(plain.drop_columns(["name", "price"]))
    with pytest.raises(NotSupportedError, match=r"to_coded_arrow.* on a pull"):
        AsofRetrievalJob(job.to_arrow, tmp_path).to_coded_arrow()


def test_two_keys(tmp_path: Path) -> None:
    store = build(tmp_path, events(), entities=(USER, SHOP))
    assert ask(store, ["a", "a"], [10, 10], shop_id=[1, 2])["item"] == [[3, 4, 5], [2]]


def test_no_keys(tmp_path: Path) -> None:
    store = build(tmp_path, events(), entities=())
    assert ask(store, ["a", "q"], [6, 10])["item"] == [[3, 4, 5], [4, 5, 9]]


def test_a_source_without_events(tmp_path: Path) -> None:
    assert ask(build(tmp_path, events().slice(0, 0)), ["a", "b"], [1, 2])["item"] == [[], []]


def test_a_source_read_in_several_passes_gives_the_same_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from intent_stores import sequence_gather

    random = np.random.default_rng(2)
    count = 5_000
    minutes = random.integers(0, 300, count)
    late = np.where(random.random(count) < 0.3, random.integers(0, 200, count), 0)
    table = pa.table(
        {
            "user_id": random.choice(list("abcdefg"), count),
            "event_timestamp": moments(*minutes.tolist()),
            "created": moments(*(minutes + late).tolist()),
            "item": np.arange(count),
            "name": np.arange(count).astype(str),
            "price": random.random(count),
            "sale": random.random(count) < 0.5,
            "time": moments(*minutes.tolist()),
            "shop_id": np.ones(count, dtype="int64"),
        }
    )
    store = build(tmp_path, table, length=7)
    users, asked = random.choice([*"abcdefgh", None], 400).tolist(), random.integers(0, 500, 400).tolist()
    whole = ask(store, users, asked)
    monkeypatch.setattr(sequence_gather, "_PASS_BYTES", 100_000)
    monkeypatch.setattr(sequence_gather, "_CHUNK_ELEMENTS", 300)
    assert ask(store, users, asked) == whole
    assert join(store, users, asked).to_coded_arrow().to_pydict() == whole
    assert max(len(items) for items in whole["item"]) == 7
