"""A shop on Ta Feng's log that serves while events come in: nightly batches, pushes between them, late rows.

The source knows days only, so each basket is given a second of its day, and one in twenty becomes known hours or days
late. What a profile says becomes known at the end of its day. The last of the days served is a year later, when the
totals of many customers have expired.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.derived_tables import DERIVED_TABLES, derive_table
from feature_repo.events import EVENT_SCHEMA, USER_SCHEMA
from feature_repo.streaming.online import OnlineViews
from feature_repo.streaming.outbox import Outbox
from feature_repo.streaming.stream import EventStream
from feature_repo.transforms.activity import ACTIVITY_NAMES, activity_features
from feature_repo.transforms.customer import customer_features
from intent_cli.online_address import packed_store, profile_address
from intent_stores.packed_reader import PackedReader
from services.feature_lookup import read_views
from services.packed_lookup import PackedLookup
from services.served_lines import ServedBatch, model_input_columns, model_inputs
from services.served_log import ServedLog
from training.atomic import write_parquet
from training.dataset.log_manifest import hash_log, write_log_manifest
from training.pipelines import feature_store
from training.pipelines.stream_log import add_streamed_events, outbox_url
from training.progress import Silent

DAY = timedelta(days=1)
WEEK_US = 7 * 86_400_000_000
DAYS = [datetime(2001, 2, day, tzinfo=UTC) for day in (5, 6, 7)]
YEAR_LATER = datetime(2002, 1, 10, tzinfo=UTC)  # what the source has on 2001-02-08
VIEWS = ("user_profile", "user_history", "user_baskets", "user_events", "user_counters")
_AS_IF_LIVE = f"""
    WITH spread AS (
        SELECT *, date_trunc('day', event_timestamp) AS day, user_id || strftime(event_timestamp, '%j') AS visit
        FROM log
    ), moved AS (
        SELECT * REPLACE (
            day + to_seconds((8 * 3600 + hash(visit) % (14 * 3600))::BIGINT)
                + CASE WHEN day > '2001-02-07' THEN INTERVAL {(YEAR_LATER - DAYS[-1] - DAY).days} DAYS
                    ELSE INTERVAL 0 DAYS END AS event_timestamp
        ) FROM spread WHERE day < '2001-02-09'
    )
    SELECT * EXCLUDE (day, visit) REPLACE (
        event_timestamp + CASE WHEN hash(visit || 'late') % 20 = 0
            THEN to_seconds((3600 + hash(visit || 'by') % (40 * 3600))::BIGINT) ELSE INTERVAL 2 SECONDS END
        AS created_timestamp
    ) FROM moved ORDER BY created_timestamp, event_id
"""


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@dataclass
class Shop:
    """The run's folder, the events to come, the stream that brings them, and the service's end of the online store."""

    out: Path
    coming: list[dict[str, Any]]
    known: np.ndarray
    happened: np.ndarray
    visitors: np.ndarray
    users: np.ndarray
    random: np.random.Generator
    now_us: int = 0
    pushed: int = 0
    lately: list[str] = field(default_factory=list)
    outbox: Any = None
    online: Any = None
    stream: Any = None
    store: Any = None
    lookup: Any = None
    schemas: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, out: Path, source: Path, seed: int = 7) -> "Shop":
        """Make a run's folder of what is known before the first day; `source` has the canonical log of Ta Feng."""
        events = _as_if_live(source)
        known = events["created_timestamp"].cast(pa.int64()).to_numpy()
        before = int(np.searchsorted(known, micros(DAYS[0]), side="right"))
        write_parquet(out / "events" / "part-0.parquet", events.slice(0, before))
        write_parquet(out / "users" / "part-0.parquet", _told_at_night(pq.read_table(source / "users")))
        for name in ("items", "quarantine"):
            shutil.copytree(source / name, out / name)
        write_log_manifest(out, hash_log(out), {"adapter": "ta_feng"})
        happened = events["event_timestamp"].cast(pa.int64()).to_numpy()
        visitors = events["user_id"].to_numpy(zero_copy_only=False).astype(str)
        coming, random = events.slice(before).to_pylist(), np.random.default_rng(seed)
        shop = cls(out, coming, known[before:], happened, visitors, np.unique(visitors), random)
        shop.outbox = Outbox(os.environ.get("INTENT_OUTBOX_URL") or outbox_url(out))
        shop.online = packed_store(profile_address(out))
        shop.stream = EventStream(shop.outbox, shop.online, clock=lambda: shop.now_us)
        shop.nightly_batch(DAYS[0])
        shop.store = feature_store.open_store(out)
        shop.schemas = {name: _described(shop.store.get_feature_view(name)) for name in VIEWS}
        shop.lookup = shop.lookup_over()
        return shop

    @property
    def late(self) -> int:
        """How many of the pushed events happened an hour or more before they became known."""
        done = self.known <= self.now_us
        return int((self.known - self.happened[-len(self.known) :] > 3_600_000_000)[done].sum())

    def lookup_over(self, online: Path | None = None, project: str | None = None) -> PackedLookup:
        """The service's own lookup over a store that this shop materialised; with the patience of a replay."""
        store = packed_store(profile_address(self.out, online, project))
        return PackedLookup(PackedReader(store), read_views({"views": self.schemas}))

    def learn(self) -> None:
        """Add what was pushed to the offline log, and derive the customers' tables of it."""
        add_streamed_events(self.out, self.outbox, Silent())
        for name in DERIVED_TABLES:
            file = self.out / "features" / f"{name}.parquet"
            if name in VIEWS or not file.exists():
                write_parquet(file, derive_table(name, self.out))

    def nightly_batch(self, at: datetime) -> None:
        """Midnight: the log, the tables, and the online store as a whole."""
        self.push(micros(at))
        self.learn()
        feature_store.materialise(self.out, at, Silent(), views=list(VIEWS))
        OnlineViews(self.online).begin(self.outbox.head())

    def push(self, until_us: int) -> None:
        """Push the events that became known since the last push."""
        begin, end = np.searchsorted(self.known, [self.now_us, until_us], side="right")
        rows, self.now_us = self.coming[begin:end], until_us
        if rows:
            receipts = self.stream.push(rows)
            assert all(receipt.is_new for receipt in receipts)
            assert self.stream.catch_up() == len(rows)
            self.pushed += len(rows)
            self.lately = (self.lately + [row["user_id"] for row in rows])[-200:]

    def customers(self, count: int) -> list[str]:
        """Whom to ask about: those who just bought, anybody, and a few that nobody knows."""
        lately = self.random.choice(self.lately or self.users, count // 3)
        anybody = self.random.choice(self.users, count - 2 * (count // 3))
        nobody = [f"nobody-{number}" for number in self.random.integers(0, 1000, max(1, count // 20))]
        drawn = [*map(str, lately), *map(str, anybody), *nobody]
        rest = self.random.choice(self.users, count)
        return [*drawn, *map(str, rest)][:count]

    def serve(self, at_us: int, users: list[str], log: ServedLog) -> None:
        """Answer for some customers at one moment, and log what the model could see."""
        views = self.lookup.lookup({"user_id": users}, at_us)
        at = np.full(len(users), at_us, np.int64)
        flat = {name: column for rows in views.values() for name, column in rows.columns.items()}
        computed = {
            "user_activity": activity_features(flat, at),
            "customer_features": model_input_columns(customer_features(flat, at)),
        }
        log.offer(
            ServedBatch(
                request_id=str(at_us),
                at_us=at_us,
                keys={"user_id": users},
                model="purchase_intent:test",
                columns={name: rows.columns for name, rows in views.items()} | computed,
                status={name: rows.status for name, rows in views.items()},
                age_seconds={name: rows.age_seconds for name, rows in views.items()},
            )
        )

    def moments(self, day: datetime, count: int) -> Iterator[int]:
        """Moments of a day in order: any, the day's first, and those at which a window lets an event go."""
        begin, end = micros(day), micros(day + DAY)
        edges = np.concatenate([self.happened, self.happened + WEEK_US])
        there = edges[(edges >= begin) & (edges < end)]
        borders = self.random.choice(there, max(1, count // 5)).tolist()
        yield from sorted([begin, *borders, *self.random.integers(begin, end, count - len(borders) - 1).tolist()])

    def serve_a_day(self, day: datetime, log: ServedLog, vectors: int, at_once: int = 50) -> None:
        """Serve through a day, pushing what becomes known in between."""
        for at_us in self.moments(day, vectors // at_once):
            self.push(at_us)
            self.serve(at_us, self.customers(at_once), log)
            assert log.flush()
        self.push(micros(day + DAY))

    def served_log(self, folder: Path) -> ServedLog:
        described = {name: {"join_keys": ["user_id"], "fields": view["fields"]} for name, view in self.schemas.items()}
        described["user_activity"] = {"join_keys": ["user_id"], "fields": dict.fromkeys(ACTIVITY_NAMES, "Float64")}
        return ServedLog(folder, "everything", described | {"customer_features": model_inputs()})


def _as_if_live(source: Path) -> pa.Table:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("log", pq.read_table(source / "events"))
        return connection.sql(_AS_IF_LIVE).to_arrow_table().select(EVENT_SCHEMA.names).cast(EVENT_SCHEMA)


def _told_at_night(users: pa.Table) -> pa.Table:
    place = users.column_names.index("created_timestamp")
    nights = pc.add(pc.floor_temporal(users["event_timestamp"], unit="day"), pa.scalar(DAY, pa.duration("us")))
    return users.set_column(place, "created_timestamp", nights).cast(USER_SCHEMA)


def _described(view: Any) -> dict[str, Any]:
    return {
        "join_keys": list(view.join_keys),
        "ttl_seconds": int(view.ttl.total_seconds()) if view.ttl else 0,
        "fields": {feature.name: str(feature.dtype) for feature in view.features},
    }
