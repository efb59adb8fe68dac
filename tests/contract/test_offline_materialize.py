"""What is materialised at a moment equals what the join returns for that moment, lists included."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Array, Bool, Float64, Int64, String
from feast.value_type import ValueType

T0 = datetime(2024, 3, 1, 12, tzinfo=UTC)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
USERS = [f"u{i}" for i in range(30)]
KINDS = {"count": Int64, "name": String, "ratio": Float64, "flag": Bool}


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def events(rows: int = 600) -> pa.Table:
    """Events with ties, late arrivals and nulls."""
    random = np.random.default_rng(11)
    minute = random.integers(0, 120, rows)
    created = minute + np.where(random.random(rows) < 0.2, random.integers(1, 60, rows), 0)
    null = random.random(rows) < 0.1
    micros = int(T0.timestamp()) * 1_000_000
    stamps = [pa.array(micros + m * 60_000_000).cast(pa.timestamp("us", tz="UTC")) for m in (minute, created)]
    return pa.table(
        {
            "user_id": random.choice(USERS, rows),
            "event_timestamp": stamps[0],
            "created": stamps[1],
            "count": pa.array(random.integers(0, 9, rows), mask=null),
            "name": pa.array(random.choice(["x", "y", "ü"], rows), pa.string(), mask=null),
            "ratio": pa.array(random.random(rows), mask=null),
            "flag": pa.array(random.random(rows) < 0.5, mask=null),
        }
    )


def build(folder: Path, pull_latest: bool, created: bool) -> FeatureStore:
    (folder / "events").mkdir()
    table = events()
    pq.write_table(table.slice(0, 200), folder / "events" / "0.parquet")
    pq.write_table(table.slice(200), folder / "events" / "1.parquet")
    (folder / "feature_store.yaml").write_text(
        "project: contract\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
        "online_store: {type: sqlite, path: online.db}\n"
        "offline_store: {type: intent_stores.offline_asof.AsofOfflineStore}\n"
        f"materialization: {{pull_latest_features: {str(pull_latest).lower()}}}\n"
    )
    store = FeatureStore(repo_path=str(folder))
    store.apply([USER, *_views(created)])
    return store


def _views(created: bool) -> list[FeatureView]:
    options: dict[str, Any] = {"created_timestamp_column": "created"} if created else {}
    plain = FileSource(name="plain", path="events", timestamp_field="event_timestamp", **options)
    tags = {"sequence.length": "5"}
    ragged = FileSource(name="ragged", path="events", timestamp_field="event_timestamp", tags=tags, **options)
    scalars = [Field(name=name, dtype=kind) for name, kind in KINDS.items()]
    lists = [Field(name=name, dtype=Array(kind)) for name, kind in KINDS.items()]
    return [
        FeatureView(name="latest", entities=[USER], ttl=timedelta(0), schema=scalars, source=plain),
        FeatureView(name="history", entities=[USER], ttl=timedelta(0), schema=lists, source=ragged),
    ]


def same(left: Any, right: Any) -> bool:
    if isinstance(left, list | np.ndarray):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if left is None or right is None or (isinstance(left, float) and math.isnan(left)):
        return pd.isna(left) and pd.isna(right)
    return left == right


def assert_online_equals_the_join(store: FeatureStore, views: list[str], moment: datetime) -> None:
    features = [f"{view}:{name}" for view in views for name in KINDS]
    rows = pd.DataFrame({"user_id": USERS, "event_timestamp": pd.to_datetime([moment] * len(USERS))})
    offline = store.get_historical_features(rows, features, full_feature_names=True).to_arrow().to_pydict()
    online = store.get_online_features(features, [{"user_id": u} for u in USERS], full_feature_names=True).to_dict()
    for feature in (f.replace(":", "__") for f in features):
        for user, off, on in zip(USERS, offline[feature], online[feature], strict=True):
            # A key that was never written has no list online; offline its list is empty.
            assert same(off, on) or (off == [] and on is None), (feature, user, off, on)


@pytest.mark.parametrize("pull_latest", [True, False])
def test_sequences_online_equal_the_join_at_the_end_of_the_materialisation(tmp_path: Path, pull_latest: bool) -> None:
    store = build(tmp_path, pull_latest, created=True)
    store.materialize(at(0), at(60))
    assert_online_equals_the_join(store, ["history"], at(60))
    # History before the start belongs to the lists, and so do events that became known only now.
    store.materialize(at(60), at(90))
    assert_online_equals_the_join(store, ["history"], at(90))


def test_latest_rows_online_equal_the_join_at_the_end_of_the_materialisation(tmp_path: Path) -> None:
    store = build(tmp_path, pull_latest=True, created=True)
    store.materialize(at(-1), at(60))
    assert_online_equals_the_join(store, ["latest", "history"], at(60))


def test_rows_without_creation_times_and_with_ties(tmp_path: Path) -> None:
    store = build(tmp_path, pull_latest=True, created=False)
    store.materialize(at(-1), at(60))
    assert_online_equals_the_join(store, ["latest", "history"], at(60))


def test_all_rows_in_range_are_pulled_except_those_not_known_at_the_end(tmp_path: Path) -> None:
    store = build(tmp_path, pull_latest=False, created=True)
    job = store._get_provider().offline_store.pull_all_from_table_or_query(
        store.config, _views(True)[0].batch_source, ["user_id"], ["count"], "event_timestamp", "created", at(10), at(60)
    )
    table, source = job.to_arrow(), events().to_pandas()
    expected = source[source.event_timestamp.between(at(10), at(60)) & (source.created <= at(60))]
    assert table.column_names == ["user_id", "count", "event_timestamp", "created"]
    assert table.column("user_id").to_pylist() == expected["user_id"].tolist()
    assert table.column("event_timestamp").num_chunks == 1


@pytest.mark.parametrize("pull_latest", [True, False])
def test_a_row_without_a_creation_time_comes_online_no_more_than_into_a_join(tmp_path: Path, pull_latest: bool) -> None:
    store, path = build(tmp_path, pull_latest, created=True), tmp_path / "events" / "0.parquet"
    table = pq.read_table(path)
    created = pa.array(table["created"].to_pylist(), pa.timestamp("us", tz="UTC"), mask=np.arange(len(table)) % 3 == 0)
    pq.write_table(table.set_column(2, "created", created), path)
    store.materialize(at(-1), at(60))
    assert_online_equals_the_join(store, ["latest", "history"], at(60))


def test_incremental_materialisation_brings_late_events_into_sequences(tmp_path: Path) -> None:
    store = build(tmp_path, pull_latest=True, created=True)
    store.materialize(at(-1), at(100))
    store.materialize_incremental(at(200))
    assert_online_equals_the_join(store, ["history"], at(200))
