"""A sequence view online: materialised lists and pushed ones merge, and end as the offline join has them."""

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
from feast.data_source import PushMode
from feast.repo_config import RepoConfig
from feast.types import Array, Int64, String
from feast.value_type import ValueType

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
TAGS = {
    "sequence.length": "3", "sequence.event_id": "click", "sequence.event_time": "at", "sequence.created_time": "known"
}  # fmt: skip


def clicks(user: str, *numbers: int) -> pd.DataFrame:
    """Click `n` happened n hours before now; a click's number is its id."""
    moments = [NOW - number * HOUR for number in numbers]
    micros = [int(moment.timestamp()) * 1_000_000 for moment in moments]
    return pd.DataFrame(
        {"user_id": user, "click": numbers, "page": [f"p{n}" for n in numbers], "at": micros, "known": micros}
        | {"event_timestamp": moments, "created": moments}
    )


def as_lists(rows: pd.DataFrame) -> pd.DataFrame:
    """One row an event, as a push to both sides takes it: lists of one, and the event's own times."""
    return rows.assign(**{name: rows[name].map(lambda cell: [cell]) for name in ("click", "page", "at", "known")})


@pytest.fixture(params=["packed_sqlite", "packed_redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeatureStore]:
    online = {"type": "intent_stores.online_packed_sqlite.PackedSqliteOnlineStore", "path": str(tmp_path / "online.db")}
    if request.param == "packed_redis":
        url = os.environ.get("INTENT_TEST_REDIS_URL") or pytest.skip("INTENT_TEST_REDIS_URL names no Redis")
        kind = "intent_stores.online_packed_redis.PackedRedisOnlineStore"
        online = {"type": kind, "url": url, "read_budget_ms": 2000.0}
    config = RepoConfig(
        project=f"t{uuid.uuid4().hex[:12]}",
        provider="local",
        registry=str(tmp_path / "registry.db"),
        online_store=online,
        offline_store={"type": "intent_stores.offline_asof.AsofOfflineStore"},
        entity_key_serialization_version=3,
        repo_path=tmp_path,
    )
    store = FeatureStore(config=config)
    log = pd.concat([clicks("a", 9, 8, 7, 6), clicks("b", 5)])
    (tmp_path / "clicks").mkdir()
    pq.write_table(pa.Table.from_pandas(log, preserve_index=False), tmp_path / "clicks" / "part-0.parquet",
                   coerce_timestamps="us")  # fmt: skip
    source = FileSource(
        name="clicks", path=str(tmp_path / "clicks"), timestamp_field="event_timestamp",
        created_timestamp_column="created", tags=TAGS,
    )  # fmt: skip
    view = FeatureView(
        name="recent", entities=[USER], ttl=timedelta(0), source=PushSource(name="pushed", batch_source=source),
        schema=[Field(name=n, dtype=Array(Int64)) for n in ("click", "at", "known")]
        + [Field(name="page", dtype=Array(String))],
    )  # fmt: skip
    store.apply([USER, view])
    yield store
    store.teardown()


def online(store: FeatureStore, user: str) -> list[int]:
    features = ["recent:click", "recent:page"]
    found = store.get_online_features(features=features, entity_rows=[{"user_id": user}]).to_dict()
    clicks, pages = found["click"][0], found["page"][0]
    assert pages == (clicks and [f"p{number}" for number in clicks])
    return clicks


def offline(store: FeatureStore, user: str) -> list[int]:
    anchors = pd.DataFrame({"user_id": [user], "event_timestamp": [NOW + HOUR]})
    return list(store.get_historical_features(anchors, ["recent:click"]).to_df()["click"][0])


def test_a_push_joins_what_was_materialised_and_keeps_the_last(store: FeatureStore) -> None:
    store.materialize(NOW - 30 * HOUR, NOW)
    assert online(store, "a") == [8, 7, 6]
    store.push("pushed", as_lists(clicks("a", 2)), to=PushMode.ONLINE)
    assert online(store, "a") == [7, 6, 2]
    store.push("pushed", as_lists(clicks("a", 2, 4)), to=PushMode.ONLINE)  # one is known, one comes late
    assert online(store, "a") == [6, 4, 2]
    store.push("pushed", as_lists(clicks("a", 20)), to=PushMode.ONLINE)  # too old to be among the last three
    assert online(store, "a") == [6, 4, 2]


def test_materialising_after_a_push_takes_nothing_back(store: FeatureStore) -> None:
    store.push("pushed", as_lists(clicks("a", 1)), to=PushMode.ONLINE)
    store.push("pushed", as_lists(clicks("new", 3)), to=PushMode.ONLINE)
    store.materialize(NOW - 30 * HOUR, NOW)
    assert [online(store, user) for user in ("a", "b", "new")] == [[7, 6, 1], [5], [3]]


def test_pushed_to_both_sides_they_agree(store: FeatureStore) -> None:
    store.materialize(NOW - 30 * HOUR, NOW)
    for rows in (clicks("a", 3, 2), clicks("b", 12, 1), clicks("new", 6, 5, 4, 3)):
        store.push("pushed", as_lists(rows), to=PushMode.ONLINE_AND_OFFLINE)
    for user in ("a", "b", "new"):
        assert online(store, user) == offline(store, user)
    store.materialize(NOW - 30 * HOUR, NOW)
    for user in ("a", "b", "new"):
        assert online(store, user) == offline(store, user)
