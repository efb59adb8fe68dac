"""A small repository of Feast to materialise, its events, and what its views must hold at a moment: counted by hand."""

import os
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

T0 = datetime(2024, 3, 1, 12, tzinfo=UTC)
T0_US = int(T0.timestamp()) * 1_000_000
MINUTE_US = 60_000_000
LENGTH = 4
ENGINE = "intent_stores.batch_engine.ChunkedBatchEngine"

Event = tuple[int, float, float, float | None]
"""(user, minute it happened, minute it became known, value); minutes since `T0`"""


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def random_events(count: int, users: int, minutes: int, seed: int = 11) -> list[Event]:
    """Events with ties, late ones and nulls."""
    random = np.random.default_rng(seed)
    minute = random.integers(0, minutes, count)
    known = minute + np.where(random.random(count) < 0.3, random.integers(1, minutes, count), 0)
    values = [
        None if null else round(value, 6)
        for null, value in zip(random.random(count) < 0.1, random.random(count), strict=True)
    ]
    return list(zip(random.integers(0, users, count).tolist(), minute.tolist(), known.tolist(), values, strict=True))


@dataclass
class Repository:
    """`stats` holds each user's newest event, `history` the last four; Redis is the running one unless one is named."""

    folder: Path
    kind: str = "sqlite"
    ledger: str = "sqlite:///ledger.db"
    engine: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    creation: bool = True
    redis_url: str | None = None
    project: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:12]}")

    def write(self, events: list[Event], part: int = 0) -> None:
        """Put events into part file `part` of the source."""
        (self.folder / "events").mkdir(parents=True, exist_ok=True)
        users, happened, known, values = (list(column) for column in zip(*events, strict=True))
        moments = [pa.array([T0_US + int(m * MINUTE_US) for m in minutes]) for minutes in (happened, known)]
        stamps = [column.cast(pa.timestamp("us", tz="UTC")) for column in moments]
        table = {"user_id": [f"u{user}" for user in users], "value": pa.array(values, pa.float64())}
        table |= {"place": pa.array(range(len(users))), "event_timestamp": stamps[0], "created": stamps[1]}
        temporary = self.folder / f".{part}.tmp"
        pq.write_table(pa.table(table), temporary)
        temporary.replace(self.folder / "events" / f"{part:04}.parquet")

    def open_applied(self) -> Any:
        """Return the `FeatureStore` whose definitions were applied before, by whomever."""
        from feast import FeatureStore

        return FeatureStore(config=self.config())

    def config(self) -> Any:
        """Return what stands in `feature_store.yaml`."""
        from feast.repo_config import RepoConfig

        settings: dict[str, Any] = {
            "registry": str(self.folder / "registry.db"),
            "offline_store": {"type": "intent_stores.offline_asof.AsofOfflineStore"},
            "batch_engine": {"type": ENGINE, "ledger": self.ledger, **self.engine},
        } | self.settings
        if "online_store" not in settings:
            settings["online_store"] = self.online()
        names: dict[str, Any] = {"project": self.project, "provider": "local", "repo_path": self.folder}
        return RepoConfig(**names, entity_key_serialization_version=3, **settings)

    def open(self) -> Any:
        """Return the applied `FeatureStore`."""
        from feast import Entity, FeatureStore, FeatureView, Field, FileSource
        from feast.types import Array, Float64, Int64
        from feast.value_type import ValueType

        self.folder.mkdir(parents=True, exist_ok=True)
        store = FeatureStore(config=self.config())
        user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
        known = {"created_timestamp_column": "created"} if self.creation else {}
        rows = FileSource(name="rows", path="events", timestamp_field="event_timestamp", **known)
        tags = {"sequence.length": str(LENGTH)}
        events = FileSource(name="events", path="events", timestamp_field="event_timestamp", tags=tags, **known)
        plain = [Field(name="value", dtype=Float64), Field(name="place", dtype=Int64)]
        lists = [Field(name="value", dtype=Array(Float64)), Field(name="place", dtype=Array(Int64))]
        more: dict[str, Any] = {"entities": [user], "ttl": timedelta(0)}
        stats = FeatureView(name="stats", schema=plain, source=rows, **more)
        store.apply([user, stats, FeatureView(name="history", schema=lists, source=events, **more)])
        return store

    def online(self) -> dict[str, Any]:
        """Return what stands under `online_store:`."""
        if self.kind == "sqlite":
            store = "intent_stores.online_packed_sqlite.PackedSqliteOnlineStore"
            return {"type": store, "path": str(self.folder / "online.db"), "busy_timeout_seconds": 60.0}
        pytest.importorskip("redis")
        url = self.redis_url or os.environ.get("INTENT_TEST_REDIS_URL")
        url = url or pytest.skip("INTENT_TEST_REDIS_URL names no Redis")
        store = "intent_stores.online_packed_redis.PackedRedisOnlineStore"
        return {"type": store, "url": url, "read_budget_ms": 2000.0}


def engine_of(store: Any) -> Any:
    """Return the repository's batch engine."""
    return store._get_provider().batch_engine


def online_rows(store: Any, view: str, users: int) -> dict[int, Any]:
    """Return user → (value, place), or lists of them, of every user who is there; whatever its age."""
    online, table = store._get_provider().online_store, store.get_feature_view(view)
    packed = online.view(store.config, table)
    names = [f"u{user}" for user in range(users)]
    found = online.reader(store.config).read_columns([packed], {"user_id": names}, at=2**62)[view]
    there = {user for user, status in enumerate(found.status) if status == "fresh"}
    value, place = found.values["value"], found.values["place"]
    if view == "history":
        return {user: list(zip(_plain(value[user]), _plain(place[user]), strict=True)) for user in there}
    valid = found.valid["value"]
    return {user: (float(value[user]) if valid[user] else None, int(place[user])) for user in there}


def _plain(values: Any) -> list[Any]:
    return [None if value != value else value for value in values.tolist()]  # a null in a list is NaN


def offline_rows(parts: list[list[Event]], view: str, minute: float, creation: bool = True) -> dict[int, Any]:
    """Return what `online_rows` must give at a minute: the newest events known by then, in the order of the rule."""
    known: dict[int, list[tuple[Any, ...]]] = {}
    for number, part in enumerate(parts):
        for place, (user, happened, created, value) in enumerate(part):
            if happened <= minute and (created <= minute or not creation):
                order = (happened, created if creation else 0, number, place)
                known.setdefault(user, []).append((order, (value, place)))
    newest = {user: [row for _, row in sorted(rows, key=lambda row: row[0])][-LENGTH:] for user, rows in known.items()}
    return newest if view == "history" else {user: rows[-1] for user, rows in newest.items()}
