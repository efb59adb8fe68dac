"""Feast's contract of an online store, over ours and over Feast's own; their gaps are strict expected failures.

Redis takes part where INTENT_TEST_REDIS_URL names a server; every test has a project of its own there and removes it.
"""

import asyncio
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
from feast.data_source import PushMode
from feast.repo_config import RepoConfig
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, Map, String, UnixTimestamp
from feast.value_type import ValueType

from intent_stores.errors import FeatureValueError, OnlineKeyError

OURS = ["packed_sqlite", "packed_redis"]
KINDS = [*OURS, "feast_sqlite", "feast_redis"]
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)

USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
ITEM = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64)
STATS = [
    Field(name="score", dtype=Float64),
    Field(name="visits", dtype=Int64),
    Field(name="recent", dtype=Array(Int64)),
]
EVERY = {
    "a_bool": (Bool, True),
    "an_int32": (Int32, -7),
    "an_int64": (Int64, 2**62 + 1),
    "a_float32": (Float32, 0.5),
    "a_float64": (Float64, 0.1),
    "a_string": (String, "Grüße\0 ✓"),
    "some_bytes": (Bytes, b"\0\xff"),
    "a_time": (UnixTimestamp, NOW),
    "bools": (Array(Bool), [True, False]),
    "int32s": (Array(Int32), [1, -2]),
    "int64s": (Array(Int64), [2**53 + 1]),
    "float32s": (Array(Float32), [0.5, 0.25]),
    "float64s": (Array(Float64), [0.1]),
    "strings": (Array(String), ["", "b✓"]),
    "byte_strings": (Array(Bytes), [b"\0", b""]),
    "times": (Array(UnixTimestamp), [NOW, NOW - HOUR]),
}


def stores(*kinds: str, **gaps: str) -> Any:
    """Run a test over these kinds of stores; `gaps` says of which it is known that they fail, by Feast's issue."""
    assert all(re.match(r"feast#\d+", why) for why in gaps.values()), gaps
    marked = {kind: pytest.mark.xfail(strict=True, reason=why) for kind, why in gaps.items()}
    names = kinds or KINDS
    return pytest.mark.parametrize("kind", [pytest.param(k, marks=marked[k]) if k in marked else k for k in names])


def online_settings(kind: str, folder: Path) -> dict[str, Any]:
    """Return what stands under `online_store:`; skips where Redis is wanted and there is none."""
    if kind == "packed_sqlite":
        store = "intent_stores.online_packed_sqlite.PackedSqliteOnlineStore"
        return {"type": store, "path": str(folder / "packed.db")}
    if kind == "feast_sqlite":
        return {"type": "sqlite", "path": str(folder / "feast.db")}
    pytest.importorskip("redis")
    url = os.environ.get("INTENT_TEST_REDIS_URL")
    if not url:
        pytest.skip("INTENT_TEST_REDIS_URL names no Redis")
    if kind == "packed_redis":
        # The budget is tested elsewhere; a machine that other work shares must not fail the contract.
        return {
            "type": "intent_stores.online_packed_redis.PackedRedisOnlineStore", "url": url, "read_budget_ms": 2000.0
        }  # fmt: skip
    parts = urlparse(url)
    return {"type": "redis", "connection_string": f"{parts.hostname}:{parts.port or 6379},db={parts.path[1:] or 0}"}


@dataclass
class Place:
    """A project with one kind of store."""

    kind: str
    folder: Path
    project: str
    online: dict[str, Any]

    def open(self, project: str | None = None) -> FeatureStore:
        name = project or self.project
        config = RepoConfig(
            project=name,
            provider="local",
            registry=str(self.folder / f"{name}.db"),
            online_store=self.online,
            offline_store={"type": "intent_stores.offline_asof.AsofOfflineStore"},
            entity_key_serialization_version=3,
            repo_path=self.folder,
        )
        return FeatureStore(config=config)

    def source(self, name: str, rows: pd.DataFrame | None = None) -> FileSource:
        path = self.folder / f"{name}.parquet"
        if rows is not None:
            pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), path, coerce_timestamps="us")
        return FileSource(
            name=name, path=str(path), timestamp_field="event_timestamp", created_timestamp_column="created"
        )

    def view(self, name: str, entities: list[Entity], schema: list[Field], **more: Any) -> FeatureView:
        more = {"source": self.source(name), "ttl": timedelta(days=1), **more}
        return FeatureView(name=name, entities=entities, schema=schema, **more)


@pytest.fixture
def place(kind: str, tmp_path: Path) -> Iterator[Place]:
    place = Place(kind, tmp_path, f"t{uuid.uuid4().hex[:12]}", online_settings(kind, tmp_path))
    yield place
    if kind.endswith("redis"):
        remove_from_redis(place.project)


def remove_from_redis(project: str) -> None:
    import redis

    with redis.Redis.from_url(os.environ["INTENT_TEST_REDIS_URL"]) as client:
        for key in client.scan_iter(match=f"*{project}*", count=5000):
            client.unlink(key)


def frame(event: datetime = NOW - HOUR, created: datetime | None = None, **columns: Any) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    times = {"event_timestamp": [event] * count, "created": [created or event] * count}
    return pd.DataFrame({**columns, **times})


def stats_row(user: str, score: float, event: datetime = NOW - HOUR, created: datetime | None = None) -> pd.DataFrame:
    return frame(event, created, user_id=[user], score=[score], visits=[int(score)], recent=[[1, 2, 3]])


def applied(place: Place, **more: Any) -> FeatureStore:
    store = place.open()
    store.apply([USER, place.view("stats", [USER], STATS, **more)])
    return store


def score_of(store: FeatureStore, *users: str) -> list[Any]:
    return ask(store, ["stats:score"], [{"user_id": user} for user in users])["score"]


def ask(store: FeatureStore, features: list[str], rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return store.get_online_features(features, rows).to_dict()


@stores()
def test_every_type_comes_back_as_it_was_written(place: Place) -> None:
    store = place.open()
    store.apply([USER, place.view("every", [USER], [Field(name=n, dtype=t) for n, (t, _) in EVERY.items()])])
    rows = frame(user_id=["a"], **{name: [value] for name, (_, value) in EVERY.items()})
    store.write_to_online_store("every", rows)
    found = ask(store, [f"every:{name}" for name in EVERY], [{"user_id": "a"}])
    assert {name: found[name][0] for name in EVERY} == {name: value for name, (_, value) in EVERY.items()}


@stores()
def test_a_type_without_a_kind_of_its_own(place: Place) -> None:
    store = place.open()
    store.apply([USER, place.view("maps", [USER], [Field(name="m", dtype=Map)])])
    store.write_to_online_store("maps", frame(user_id=["a"], m=[{"x": 1}]))
    assert ask(store, ["maps:m"], [{"user_id": "a"}])["m"] == [{"x": 1}]


@stores()
def test_nulls_and_empty_lists_differ(place: Place) -> None:
    store = applied(place)
    rows = frame(user_id=["a"], score=[None], visits=[3], recent=[[]])
    store.write_to_online_store("stats", rows)
    found = ask(store, ["stats:score", "stats:visits", "stats:recent"], [{"user_id": "a"}])
    assert (found["score"], found["visits"], found["recent"]) == ([None], [3], [[]])


@stores()
def test_rows_are_in_the_order_asked_with_unknown_keys_and_repeats(place: Place) -> None:
    store = applied(place)
    store.write_to_online_store("stats", pd.concat([stats_row("a", 1), stats_row("b", 2)]))
    assert score_of(store, "b", "nobody", "a", "b") == [2.0, None, 1.0, 2.0]


@stores()
def test_composite_and_whole_number_keys(place: Place) -> None:
    store = place.open()
    number = [Field(name="n", dtype=Int64)]
    pair = place.view("affinity", [USER, ITEM], number)
    item = place.view("items", [ITEM], [Field(name="price", dtype=Float64)])
    store.apply([USER, ITEM, pair, item])
    store.write_to_online_store("affinity", frame(item_id=[7, 8], user_id=["a", "a"], n=[70, 80]))
    store.write_to_online_store("items", frame(item_id=[7, -1], price=[0.5, 2.5]))
    rows = [{"user_id": "a", "item_id": 8}, {"user_id": "b", "item_id": 7}, {"user_id": "a", "item_id": -1}]
    found = ask(store, ["affinity:n", "items:price"], rows)
    assert found["n"] == [80, None, None]
    assert found["price"] == [None, 0.5, 2.5]


@stores()
def test_a_view_without_entities(place: Place) -> None:
    store = place.open()
    source = place.source("shop", frame(open=[True]))
    store.apply(
        [
            USER,
            place.view("stats", [USER], STATS),
            place.view("shop", [], [Field(name="open", dtype=Bool)], source=source),
        ]
    )
    store.materialize(NOW - 2 * HOUR, NOW, feature_views=["shop"])
    found = ask(store, ["shop:open", "stats:score"], [{"user_id": "a"}, {"user_id": "b"}])
    assert found["open"] == [True, True]


@stores(
    feast_sqlite="feast#1737: the row is written under another key than is read", feast_redis="feast#1737: the same"
)
def test_a_view_without_entities_takes_pushed_rows(place: Place) -> None:
    store = place.open()
    store.apply([USER, place.view("stats", [USER], STATS), place.view("shop", [], [Field(name="open", dtype=Bool)])])
    store.write_to_online_store("shop", frame(open=[True], __dummy_id=[""]))
    assert ask(store, ["shop:open", "stats:score"], [{"user_id": "a"}])["open"] == [True]


@stores(feast_sqlite="feast#6821", feast_redis="feast#6821")
def test_a_row_older_than_the_time_to_live_is_not_returned(place: Place) -> None:
    store = applied(place, ttl=timedelta(hours=2))
    store.write_to_online_store("stats", pd.concat([stats_row("old", 1, NOW - 3 * HOUR), stats_row("new", 2)]))
    assert score_of(store, "old", "new") == [None, 2.0]


@stores(feast_sqlite="feast#6821: not checked at all", feast_redis="feast#6821: not checked at all")
def test_a_row_from_the_future_is_not_returned(place: Place) -> None:
    store = applied(place)
    store.write_to_online_store("stats", stats_row("a", 1, NOW + HOUR))
    assert score_of(store, "a") == [None]


@stores(feast_sqlite="feast#5160: sqlite.py upserts without a condition")
def test_an_older_event_never_overwrites_a_newer_one(place: Place) -> None:
    store = applied(place)
    store.write_to_online_store("stats", stats_row("a", 2, NOW - HOUR))
    store.write_to_online_store("stats", stats_row("a", 1, NOW - 2 * HOUR))
    assert score_of(store, "a") == [2.0]


@stores(feast_redis="feast#2795: a row of the same event time is dropped")
def test_a_correction_of_the_same_event_wins(place: Place) -> None:
    store = applied(place)
    event = NOW - 2 * HOUR
    store.write_to_online_store("stats", stats_row("a", 1, event, event))
    store.write_to_online_store("stats", stats_row("a", 2, event, event + HOUR))
    assert score_of(store, "a") == [2.0]


@stores(feast_sqlite="feast#5160: sqlite.py does not compare creation times")
def test_a_correction_that_arrives_before_what_it_corrects_stays(place: Place) -> None:
    store = applied(place)
    event = NOW - 2 * HOUR
    store.write_to_online_store("stats", stats_row("a", 2, event, event + HOUR))
    store.write_to_online_store("stats", stats_row("a", 1, event, event))
    assert score_of(store, "a") == [2.0]


@stores(*OURS)
def test_a_row_without_a_creation_time_loses_against_one_that_has_one(place: Place) -> None:
    store = applied(place)
    rows = pd.concat([stats_row("a", 1), stats_row("a", 2), stats_row("b", 3)], ignore_index=True)
    rows.loc[[1, 2], "created"] = pd.NaT
    store.write_to_online_store("stats", rows)
    assert score_of(store, "a", "b") == [1.0, 3.0]
    no_moment = stats_row("b", 4).assign(event_timestamp=pd.Series([pd.NaT], dtype="datetime64[us, UTC]"))
    with pytest.raises(FeatureValueError, match="no event time"):
        store.write_to_online_store("stats", no_moment)
    assert score_of(store, "b") == [3.0]


@stores(feast_sqlite="feast#5160: sqlite.py keeps the last row of a batch")
def test_several_rows_of_one_key_in_a_batch(place: Place) -> None:
    store = applied(place)
    rows = [stats_row("a", hours, NOW - hours * HOUR) for hours in (3, 1, 2)]
    store.write_to_online_store("stats", pd.concat(rows))
    assert score_of(store, "a") == [1.0]


@stores()
def test_materialize_incremental_and_push(place: Place) -> None:
    store, events = place.open(), [NOW - 5 * HOUR, NOW - 3 * HOUR, NOW - HOUR]
    rows = pd.concat([stats_row("a", 1, events[0]), stats_row("b", 2, events[1]), stats_row("a", 3, events[2])])
    pushed = PushSource(name="clicks", batch_source=place.source("stats", rows))
    store.apply([USER, place.view("stats", [USER], STATS, source=pushed)])
    store.materialize(NOW - 6 * HOUR, NOW - 2 * HOUR)
    assert score_of(store, "a", "b") == [1.0, 2.0]
    store.materialize_incremental(NOW)
    assert score_of(store, "a", "b") == [3.0, 2.0]
    store.push("clicks", stats_row("b", 9, NOW), to=PushMode.ONLINE)
    assert score_of(store, "a", "b") == [3.0, 9.0]
    assert ask(store, ["stats:recent"], [{"user_id": "b"}])["recent"] == [[1, 2, 3]]


@stores()
def test_a_deleted_view_loses_its_rows_and_the_others_stay(place: Place) -> None:
    store = applied(place)
    extra = place.view("extra", [USER], [Field(name="n", dtype=Int64)])
    store.apply([extra])
    store.write_to_online_store("stats", stats_row("a", 1))
    store.write_to_online_store("extra", frame(user_id=["a"], n=[5]))
    store.apply([], objects_to_delete=[extra], partial=False)
    store.apply([extra])
    assert ask(store, ["extra:n"], [{"user_id": "a"}])["n"] == [None]
    assert score_of(store, "a") == [1.0]


@stores()
def test_projects_in_one_place_do_not_see_each_other(place: Place) -> None:
    first, second = applied(place), place.open(f"{place.project}_b")
    second.apply([USER, place.view("stats", [USER], STATS)])
    first.write_to_online_store("stats", stats_row("a", 1))
    assert score_of(second, "a") == [None]
    second.write_to_online_store("stats", stats_row("a", 2))
    assert (score_of(first, "a"), score_of(second, "a")) == ([1.0], [2.0])
    second.teardown()
    assert score_of(first, "a") == [1.0]


@stores(feast_sqlite="feast#3927: declares no asynchronous reads or writes")
def test_the_asynchronous_contract(place: Place) -> None:
    store = applied(place)
    supported = store._get_provider().online_store.async_supported
    assert (supported.read, supported.write) == (True, True)

    async def both() -> Any:
        await store.write_to_online_store_async("stats", stats_row("a", 1))
        return await store.get_online_features_async(["stats:score"], [{"user_id": "a"}, {"user_id": "b"}])

    assert asyncio.run(both()).to_dict()["score"] == [1.0, None]


@stores(feast_sqlite="feast#2728: old values are returned under the new type", feast_redis="feast#2728: the same")
@pytest.mark.parametrize("change", ["retyped", "added", "removed"])
def test_rows_of_another_schema_are_missing_until_they_are_written_again(place: Place, change: str) -> None:
    store = applied(place)
    store.write_to_online_store("stats", stats_row("a", 1))
    fields = {
        "retyped": [Field(name="score", dtype=String), *STATS[1:]],
        "added": [*STATS, Field(name="extra", dtype=Int64)],
        "removed": [STATS[0]],
    }[change]
    store.apply([place.view("stats", [USER], fields)])
    reference = "stats:score" if change != "added" else "stats:visits"
    name = reference.split(":")[1]
    assert ask(store, [reference], [{"user_id": "a"}])[name] == [None]
    new = stats_row("a", 1).assign(extra=[4])
    new["score"] = ["x"] if change == "retyped" else new["score"]
    store.write_to_online_store("stats", new)
    assert ask(store, [reference], [{"user_id": "a"}])[name] == [new[name].iloc[0]]


@stores(*OURS)
def test_a_newer_row_of_another_schema_is_not_overwritten_by_an_older_one(place: Place) -> None:
    store = applied(place)
    store.write_to_online_store("stats", stats_row("a", 1, NOW - HOUR))
    store.apply([place.view("stats", [USER], STATS[:1])])
    store.write_to_online_store(
        "stats", stats_row("a", 2, NOW - 2 * HOUR)[["user_id", "score", "event_timestamp", "created"]]
    )
    assert score_of(store, "a") == [None]
    store.write_to_online_store("stats", stats_row("a", 3, NOW)[["user_id", "score", "event_timestamp", "created"]])
    assert score_of(store, "a") == [3.0]


@stores(*OURS)
def test_versioned_reads_are_supported(place: Place) -> None:
    assert applied(place)._get_provider().online_store._is_versioned_read_supported()


@stores(*OURS)
def test_the_columnar_read_equals_feasts(place: Place) -> None:
    store = applied(place, ttl=timedelta(hours=2))
    rows = [stats_row("old", 1, NOW - 3 * HOUR), stats_row("new", 2), stats_row("future", 3, NOW + HOUR)]
    store.write_to_online_store("stats", pd.concat(rows))
    online, table = store._get_provider().online_store, store.get_feature_view("stats")
    reader = online.reader(store.config)
    users = ["old", "nobody", "new", "future", "new"]
    found = reader.read_columns([online.view(store.config, table)], {"user_id": users})["stats"]
    assert found.status.tolist() == ["stale", "missing", "fresh", "missing", "fresh"]
    assert found.reason.tolist() == ["expired", "absent", None, "newer than at", None]
    assert found.valid["score"].tolist() == [False, False, True, False, True]
    expected = ask(store, ["stats:score", "stats:visits"], [{"user_id": user} for user in users])
    for name in ("score", "visits"):
        cells = [v if ok else None for v, ok in zip(found.values[name].tolist(), found.valid[name], strict=True)]
        assert cells == expected[name]
    assert [found.values["recent"][row].tolist() for row in range(5)] == [[], [], [1, 2, 3], [], [1, 2, 3]]
    assert reader.counts == {("stats", "expired"): 1, ("stats", "absent"): 1, ("stats", "newer than at"): 1}


@stores(*OURS)
def test_arrow_tables_are_written_as_feast_writes_rows(place: Place) -> None:
    store = place.open()
    fields = [Field(name=n, dtype=t) for n, (t, _) in EVERY.items()]
    pair = [place.view(name, [USER, ITEM], fields) for name in ("one", "two")]
    store.apply([USER, ITEM, *pair])
    rows = frame(user_id=["a", "b"], item_id=[1, 2], **{name: [value] * 2 for name, (_, value) in EVERY.items()})
    types = pa.schema(
        [("user_id", pa.string()), ("item_id", pa.int32())]
        + [(name, arrow_type(dtype)) for name, (dtype, _) in EVERY.items()]
        + [("event_timestamp", pa.timestamp("ns", tz="Europe/Berlin")), ("created", pa.timestamp("us"))]
    )
    naive = rows.assign(created=rows["created"].dt.tz_localize(None))
    table = pa.Table.from_pandas(naive, schema=types, preserve_index=False)
    moments = types.field("event_timestamp")
    no_time = table.slice(0, 1).set_column(types.names.index(moments.name), moments, pa.nulls(1, moments.type))
    store.write_to_online_store("one", rows)
    online = store._get_provider().online_store
    report = online.write_arrow(store.config, store.get_feature_view("two"), pa.concat_tables([no_time, table]))
    assert (report.written, report.without_time) == (2, 1)
    backend = online._store(store.config)
    keys = [b"item_id:i1=1;user_id:s=a", b"item_id:i1=2;user_id:s=b"]
    one, two = backend.fetch([("one", keys), ("two", keys)]).values
    assert None not in one
    assert one == two


@stores("packed_sqlite")
def test_whole_number_keys_that_pandas_turned_into_floats(place: Place) -> None:
    store = place.open()
    store.apply([ITEM, place.view("items", [ITEM], [Field(name="price", dtype=Float64)])])
    online, view = store._get_provider().online_store, store.get_feature_view("items")
    rows = pa.Table.from_pandas(frame(item_id=[7.0, -1.0], price=[0.5, 2.5]), preserve_index=False)
    online.write_arrow(store.config, view, rows)
    assert ask(store, ["items:price"], [{"item_id": -1}, {"item_id": 7}])["price"] == [2.5, 0.5]
    for key in (0.5, 2.0**63, float("nan")):
        with pytest.raises(OnlineKeyError, match="'item_id'"):
            online.write_arrow(store.config, view, rows.set_column(0, "item_id", pa.array([1.0, key])))


@stores("packed_sqlite")
def test_keys_have_the_type_that_their_entity_declares(place: Place) -> None:
    store = place.open()
    store.apply([USER, ITEM, place.view("affinity", [USER, ITEM], [Field(name="n", dtype=Int64)])])
    online, view = store._get_provider().online_store, store.get_feature_view("affinity")
    rows = pa.Table.from_pandas(frame(user_id=[7, 8], item_id=["1", "-2"], n=[70, 80]), preserve_index=False)
    online.write_arrow(store.config, view, rows)
    asked = [{"user_id": "8", "item_id": -2}, {"user_id": "7", "item_id": 1}]
    assert ask(store, ["affinity:n"], asked)["n"] == [80, 70]
    with pytest.raises(OnlineKeyError, match="'item_id'"):
        online.write_arrow(store.config, view, rows.set_column(1, "item_id", pa.array(["1", "one"])))


def arrow_type(dtype: Any) -> pa.DataType:
    plain = {
        Bool: pa.bool_(), Int32: pa.int32(), Int64: pa.int64(), Float32: pa.float32(), Float64: pa.float64(),
        String: pa.dictionary(pa.int32(), pa.string()), Bytes: pa.binary(), UnixTimestamp: pa.timestamp("ms", tz="UTC"),
    }  # fmt: skip
    if isinstance(dtype, Array):
        inner = dtype.base_type
        return pa.list_(pa.string() if inner == String else plain[inner])
    return plain[dtype]


@stores(*OURS)
def test_nulls_of_an_arrow_table(place: Place) -> None:
    store = applied(place, ttl=timedelta(0))
    online, view = store._get_provider().online_store, store.get_feature_view("stats")
    table = pa.table(
        {
            "user_id": ["a", "b", "c"],
            "score": pa.array([None, float("nan"), 1.5]),
            "visits": pa.array([None, 2, 3], pa.int64()),
            "recent": pa.array([None, [], [1, None, 3]], pa.list_(pa.int64())),
            "event_timestamp": pa.array([NOW] * 3, pa.timestamp("us", tz="UTC")),
            "created": pa.nulls(3),
        }
    )
    online.write_arrow(store.config, view, table)
    found = online.reader(store.config).read_columns([online.view(store.config, view)], {"user_id": ["a", "b", "c"]})
    columns = found["stats"]
    assert columns.valid["score"].tolist() == [False, True, True]
    assert columns.valid["visits"].tolist() == [False, True, True]
    assert columns.valid["recent"].tolist() == [False, True, True]
    assert columns.values["recent"].values.tolist() == [1, 0, 3]
    assert np.isnan(columns.values["score"][:2]).all()
