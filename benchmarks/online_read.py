"""Reading and writing online features beside the floor and beside Feast's own stores, in one run, as ratios.

    python -m benchmarks.online_read               # both stores
    python -m benchmarks.online_read --store sqlite

Redis is a server that the benchmark starts for itself. Contenders take turns, call by call, so that what else the
machine does meets all of them; times are milliseconds a call, p50 and p99 of the calls. `raw` holds the same numbers
without schema, times, null bitmap or checksum: what nobody can undercut.
"""

import argparse
import contextlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.repo_config import RepoConfig
from feast.types import Array, Float64, Int64
from feast.utils import _convert_arrow_fv_to_proto
from feast.value_type import ValueType

ITEMS, USERS, SLATE, LIST = 2_000, 200, 200, 50
FEATURES = [f"f{i}" for i in range(20)]
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
ITEM = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
PACKED = {
    "sqlite": "intent_stores.online_packed_sqlite.PackedSqliteOnlineStore",
    "redis": "intent_stores.online_packed_redis.PackedRedisOnlineStore",
}
NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Place:
    """Where one kind of store is: a folder, and a port if it is a server."""

    kind: str
    folder: Path
    port: int = 0

    def feast(self, name: str, online: dict[str, Any]) -> FeatureStore:
        """Return an applied Feast project with the three views and this online store."""
        config = RepoConfig(
            project=name,
            provider="local",
            registry=str(self.folder / f"{name}-registry.db"),
            online_store=online,
            entity_key_serialization_version=3,
            repo_path=self.folder,
        )
        store = FeatureStore(config=config)
        store.apply([USER, ITEM, *views()])
        return store

    def ours(self) -> FeatureStore:
        """Return a project on the packed store."""
        where = {"path": str(self.folder / "packed.db")} if self.kind == "sqlite" else {"url": self.url}
        budget = {} if self.kind == "sqlite" else {"read_budget_ms": 1000.0}
        return self.feast("ours", {"type": PACKED[self.kind], **where, **budget})

    def theirs(self) -> FeatureStore:
        """Return a project on Feast's own store."""
        where = {"path": str(self.folder / "feast.db")} if self.kind == "sqlite" else {}
        address = {} if self.kind == "sqlite" else {"connection_string": f"127.0.0.1:{self.port}"}
        return self.feast("theirs", {"type": self.kind, **where, **address})

    @property
    def url(self) -> str:
        """The server's address."""
        return f"redis://127.0.0.1:{self.port}/0"


def views() -> list[FeatureView]:
    """A user's view with a list, a user's small view, an item's view."""
    numbers = [Field(name=name, dtype=Float64) for name in FEATURES]
    source = FileSource(name="rows", path="none.parquet", timestamp_field="event_timestamp")
    more: dict[str, Any] = {"ttl": timedelta(days=30), "source": source}
    return [
        FeatureView(name="users", entities=[USER], schema=[*numbers, Field(name="seen", dtype=Array(Int64))], **more),
        FeatureView(name="visits", entities=[USER], schema=numbers, **more),
        FeatureView(name="items", entities=[ITEM], schema=numbers, **more),
    ]


def rows(key: str, count: int, listed: bool) -> pa.Table:
    """Return `count` rows with a key each."""
    random = np.random.default_rng(5)
    columns: dict[str, Any] = {key: [f"{key[0]}{place}" for place in range(count)]}
    columns |= {name: random.normal(size=count) for name in FEATURES}
    if listed:
        columns["seen"] = list(random.integers(0, ITEMS, (count, LIST)))
    columns["event_timestamp"] = pa.array([NOW - timedelta(hours=1)] * count, pa.timestamp("us", tz="UTC"))
    return pa.table(columns)


TABLES = {
    "users": rows("user_id", USERS, True),
    "visits": rows("user_id", USERS, False),
    "items": rows("item_id", ITEMS, False),
}


def write_feasts_way(store: FeatureStore, name: str, table: pa.Table) -> None:
    """Do what `feast materialize` does once it has read the rows: to protobuf, then to the store."""
    view = store.get_feature_view(name)
    keys = {entity.name: entity.dtype.to_value_type() for entity in view.entity_columns}
    data = _convert_arrow_fv_to_proto(table, view, keys)
    store._get_provider().online_write_batch(store.config, view, data, None)


def write_ours(store: FeatureStore, name: str, table: pa.Table) -> None:
    """Write through the bulk path."""
    online = store._get_provider().online_store
    online.write_arrow(store.config, store.get_feature_view(name), table)


class RawSqlite:
    """One table a view, the bare numbers as a blob, one `SELECT … IN`."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        for name in TABLES:
            self.connection.execute(f"CREATE TABLE {name} (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
            self.connection.executemany(f"INSERT INTO {name} VALUES (?, ?)", raw_values(name))

    def read(self, asked: list[tuple[str, list[bytes]]]) -> list[np.ndarray]:
        """Return each view's numbers."""
        found = []
        for name, keys in asked:
            query = f"SELECT key, value FROM {name} WHERE key IN ({','.join('?' * len(keys))})"
            values = dict(self.connection.execute(query, keys).fetchall())
            found.append(np.frombuffer(b"".join([values[key] for key in keys])))
        return found


class RawRedis:
    """The bare numbers as strings, read by one MGET, or by one pipeline of GETs."""

    def __init__(self, url: str, pipelined: bool) -> None:
        import redis

        self.client, self.pipelined = redis.Redis.from_url(url), pipelined
        for name in TABLES:
            self.client.mset({name.encode() + key: value for key, value in raw_values(name)})

    def read(self, asked: list[tuple[str, list[bytes]]]) -> list[np.ndarray]:
        """Return each view's numbers."""
        names = [name.encode() + key for name, keys in asked for key in keys]
        if self.pipelined:
            with self.client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.get(name)
                values = pipe.execute()
        else:
            values = self.client.mget(names)
        found, start = [], 0
        for _, keys in asked:
            found.append(np.frombuffer(b"".join(values[start : start + len(keys)])))
            start += len(keys)
        return found


def raw_values(name: str) -> list[tuple[bytes, bytes]]:
    """Return a view's (key, numbers) without anything else."""
    table = TABLES[name]
    block = np.column_stack([table.column(feature).to_numpy() for feature in FEATURES])
    lists = table.column("seen").to_pylist() if "seen" in table.column_names else [[]] * table.num_rows
    cells = [row.tobytes() + np.array(seen, "<i8").tobytes() for row, seen in zip(block, lists, strict=True)]
    return list(zip([key.encode() for key in table.column(0).to_pylist()], cells, strict=True))


Call = Callable[[list[str], list[str]], Any]


def contenders(place: Place, ours: FeatureStore, theirs: FeatureStore, names: list[str]) -> dict[str, Call]:
    """Return name → a function that reads these views of users and items."""
    online = ours._get_provider().online_store
    wanted = [online.view(ours.config, ours.get_feature_view(name)) for name in names]
    reader = online.reader(ours.config)
    references = [f"{name}:{f}" for name in names for f in FEATURES]
    references += ["users:seen"] if "users" in names else []

    def raw(store: Any) -> Call:
        def call(users: list[str], items: list[str]) -> Any:
            keys = {"item": [item.encode() for item in items], "user": [user.encode() for user in users]}
            return store.read([(name, keys["item" if name == "items" else "user"]) for name in names])

        return call

    def feast(store: FeatureStore) -> Call:
        def call(users: list[str], items: list[str]) -> Any:
            rows = [{"user_id": users[0], "item_id": item} for item in items]
            return store.get_online_features(references, rows, full_feature_names=True)

        return call

    found: dict[str, Call] = {}
    if place.kind == "sqlite":
        found["raw SELECT … IN"] = raw(RawSqlite(place.folder / names[-1]))
    else:
        found["raw MGET"] = raw(RawRedis(place.url, False))
        found["raw pipeline"] = raw(RawRedis(place.url, True))
    found["ours"] = lambda users, items: reader.read_columns(wanted, {"user_id": users, "item_id": items})
    found["ours through Feast"] = feast(ours)
    found["Feast"] = feast(theirs)
    return found


def measure(calls: dict[str, Call], items: int, seconds: float) -> dict[str, np.ndarray]:
    """Call all in turns for `seconds`, each with the same keys; return milliseconds."""
    random, took = np.random.default_rng(3), {name: [] for name in calls}
    for warm in calls.values():
        warm(["u0"], [f"i{place}" for place in range(items)])
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        users = [f"u{random.integers(USERS)}"]
        slate = [f"i{place}" for place in random.choice(ITEMS, items, replace=False)]
        for name, call in calls.items():
            for _ in range(1 if "Feast" in name else 10):
                begun = time.perf_counter()
                call(users, slate)
                took[name].append((time.perf_counter() - begun) * 1e3)
    return {name: np.array(times) for name, times in took.items()}


def report(case: str, took: dict[str, np.ndarray]) -> None:
    """Print a row for each contender, with how much of our time it takes."""
    ours = float(np.median(took["ours"]))
    print(f"\n| {case} | p50 ms | p99 ms | calls | ours / it | it / ours |\n| --- | --- | --- | --- | --- | --- |")
    for name, times in took.items():
        middle, high = np.percentile(times, [50, 99])
        print(f"| {name} | {middle:.3f} | {high:.3f} | {len(times)} | {ours / middle:.2f} | {middle / ours:.1f} |")


def report_writes(place: Place, ours: FeatureStore, theirs: FeatureStore) -> None:
    """Print rows a second of the bulk path and of what `feast materialize` does with the same rows."""
    print(f"\n| {place.kind}: writing 20 features | rows | rows/s | ours / it |\n| --- | --- | --- | --- |")
    rates = {}
    for name, write, store, count in [
        ("ours, write_arrow", write_ours, ours, 100_000),
        ("ours through Feast", write_feasts_way, ours, 5_000),
        ("Feast", write_feasts_way, theirs, 5_000),
    ]:
        table = rows("item_id", count, False)
        begun = time.perf_counter()
        write(store, "items", table)
        rates[name] = (count, count / (time.perf_counter() - begun))
    fastest = rates["ours, write_arrow"][1]
    for name, (count, rate) in rates.items():
        print(f"| {name} | {count} | {rate:,.0f} | {fastest / rate:.1f} |")


@contextlib.contextmanager
def place_for(kind: str) -> Iterator[Place]:
    """Give a folder, and a Redis server in it if wanted; both are removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for view in TABLES:
            (folder / view).mkdir()
        if kind == "sqlite":
            yield Place(kind, folder)
            return
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = ["redis-server", "--port", str(port), "--dir", name, "--save", "", "--bind", "127.0.0.1"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_for(port)
            yield Place(kind, folder, port)
        finally:
            process.kill()
            process.wait()


def wait_for(port: int) -> None:
    """Wait until a server takes connections.

    Raises:
        TimeoutError: it did not within 20 seconds.
    """
    for _ in range(400):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"no redis-server on port {port}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=list(PACKED), action="append")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each case")
    options = parser.parse_args()
    for kind in options.store or list(PACKED):
        if kind == "redis" and shutil.which("redis-server") is None:
            print("\nno redis-server here: its cases are left out")
            continue
        with place_for(kind) as place:
            ours, theirs = place.ours(), place.theirs()
            for name, table in TABLES.items():
                write_ours(ours, name, table)
                write_feasts_way(theirs, name, table)
            calls = contenders(place, ours, theirs, ["users", "items"])
            report(f"{kind}: 1 user + {SLATE} items", measure(calls, SLATE, options.seconds))
            calls = contenders(place, ours, theirs, ["items", "visits", "users"])
            report(f"{kind}: 1 row, 3 views", measure(calls, 1, options.seconds))
            report_writes(place, ours, theirs)


if __name__ == "__main__":
    main()
