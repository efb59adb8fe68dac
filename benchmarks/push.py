"""Pushing events: how long until one is acknowledged and until it is online, and a sustained rate.

    python -m benchmarks.push                     # SQLite files, then Redis and PostgreSQL
    python -m benchmarks.push --profile files --seconds 10

Servers are started for the benchmark; PostgreSQL syncs every commit to the disk, as SQLite does. The floor is a bare
INSERT and COMMIT of one row into the same database. Events come from one process, and another brings them online. At
the sustained rate several threads push single events, as the requests of a service do.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from feature_repo.streaming.online import OnlineViews
from feature_repo.streaming.outbox import Outbox
from feature_repo.streaming.stream import EventStream
from feature_repo.streaming.views import USER_COUNTERS, USER_EVENTS
from intent_stores.packed_reader import PackedReader, PackedStore

USERS, ONE_BY_ONE, PAUSE = 5_000, 400, 0.02
RATE, PUSHERS = 1_000, 64
MILLISECONDS = 1e3


@dataclass(frozen=True)
class Profile:
    """What the stream stands on, by addresses that another process can open too."""

    name: str
    outbox: str
    online: str

    def store(self) -> PackedStore:
        """Open the online store."""
        if self.online.startswith("redis:"):
            from intent_stores.packed_redis import PackedRedisServer

            return PackedRedisServer(self.online, "bench", read_budget_seconds=2)
        from intent_stores.packed_sqlite import PackedSqliteFile

        return PackedSqliteFile(self.online, "bench")


def apply_for_ever(profile: Profile) -> None:
    """Bring online what is pushed, as `intent events consume` does."""
    stream = EventStream(Outbox(profile.outbox), profile.store())
    while True:
        if not stream.catch_up(most=10_000):
            time.sleep(0.02)


def event(number: int) -> dict[str, Any]:
    """Return one event that happens now, of one of the customers."""
    customer = f"u{number * 7919 % USERS}"
    kind = {"event_type": "add_to_cart", "item_id": f"i{number % 997}", "quantity": 1.0, "category": "bread"}
    return {"event_id": f"e{number}", "user_id": customer, "event_timestamp": datetime.now(UTC), **kind}


def one_by_one(profile: Profile, stream: EventStream) -> tuple[list[float], list[float]]:
    """Return, for single events with pauses in between, seconds to acknowledged and seconds to visible."""
    reader, acknowledged, visible = PackedReader(profile.store()), [], []
    for number in range(ONE_BY_ONE):
        one = event(number)
        begun = time.perf_counter()
        stream.push([one])
        acknowledged.append(time.perf_counter() - begun)
        while not is_online(reader, one["user_id"], number):
            time.sleep(0.001)
        visible.append(time.perf_counter() - begun)
        time.sleep(PAUSE)
    return acknowledged, visible


def is_online(reader: PackedReader, user: str, number: int) -> bool:
    """Return whether the customer's list and counters hold the event."""
    views = reader.read_columns([USER_COUNTERS, USER_EVENTS], {"user_id": [user]})
    items = views["user_events"].values["event_item"]
    counted = views["user_counters"].values["add_to_cart_count"]
    return len(items[0]) > 0 and items[0][-1] == f"i{number % 997}" and bool(counted[0])


def sustained(profile: Profile, stream: EventStream, seconds: float) -> dict[str, float]:
    """Push single events from several threads at the rate for so long, and return what came of it."""
    position, took, behind = OnlineViews(profile.store()).position, [], []
    numbers, total, begun = itertools.count(), round(RATE * seconds), time.perf_counter()

    def push() -> None:
        while (number := next(numbers)) < total:
            time.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
            called = time.perf_counter()
            (receipt,) = stream.push([event(10_000_000 + number)])
            took.append(time.perf_counter() - called)
            if number % RATE == 0:
                behind.append((receipt.seq or 0) - (position() or 0))

    threads = [threading.Thread(target=push) for _ in range(PUSHERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate, ended = total / (time.perf_counter() - begun), time.perf_counter()
    head = Outbox(profile.outbox).head()
    while (position() or 0) < head:
        time.sleep(0.005)
    return {
        "events/s": rate,
        "ack p50 ms": float(np.percentile(took, 50)) * MILLISECONDS,
        "ack p99 ms": float(np.percentile(took, 99)) * MILLISECONDS,
        "most events behind": float(max(behind)),
        "seconds to the head at the end": time.perf_counter() - ended,
    }


def bare_insert(url: str) -> list[float]:
    """Return seconds of an INSERT and COMMIT of one row, the floor of an acknowledgement."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA synchronous = FULL")
        connection.execute(sa.text("CREATE TABLE floor (n INTEGER PRIMARY KEY, body TEXT)"))
        connection.commit()
        took = [timed(lambda number=number: insert(connection, number)) for number in range(ONE_BY_ONE)]
    engine.dispose()
    return took


def insert(connection: sa.Connection, number: int) -> None:
    """Store one row of about an event's size."""
    connection.execute(sa.text("INSERT INTO floor VALUES (:n, :body)"), {"n": number, "body": "x" * 150})
    connection.commit()


def timed(call: Callable[[], object]) -> float:
    """Return the seconds of a call, after the pause that pushes have too."""
    time.sleep(PAUSE)
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


@contextlib.contextmanager
def profiles(wanted: str) -> Iterator[Profile]:
    """Give the files or the servers of a profile; they are removed afterwards."""
    from tests.servers import running_postgres, running_redis

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        if wanted == "files":
            yield Profile("SQLite files", f"sqlite:///{name}/outbox.db", f"{name}/online.db")
            return
        redis, postgres = stack.enter_context(running_redis(Path(name))), stack.enter_context(running_postgres())
        postgres.kill()
        postgres.start("-c", "fsync=on")  # the tests' servers do without
        yield Profile("PostgreSQL and Redis", postgres.url, redis.url)


def report(name: str, took: list[float]) -> None:
    """Print percentiles of seconds, in milliseconds."""
    p50, p99 = np.percentile(took, [50, 99]) * MILLISECONDS
    print(f"| {name} | {p50:.2f} | {p99:.2f} | {len(took)} |")


def run(profile: Profile, seconds: float) -> None:
    """Measure one profile and print its tables."""
    OnlineViews(profile.store()).begin(0)
    stream = EventStream(Outbox(profile.outbox))
    stream.push([event(9_999_999)])
    consumer = multiprocessing.get_context("spawn").Process(target=apply_for_ever, args=(profile,), daemon=True)
    consumer.start()
    try:
        while not OnlineViews(profile.store()).position():
            time.sleep(0.05)
        acknowledged, visible = one_by_one(profile, stream)
        print(f"\n| {profile.name}: one event | p50 ms | p99 ms | events |\n| --- | --- | --- | --- |")
        report("floor: bare INSERT and COMMIT", bare_insert(profile.outbox))
        report("acknowledged", acknowledged)
        report("online", visible)
        found = sustained(profile, stream, seconds)
    finally:
        consumer.kill()
        consumer.join()
    print(f"\n| {profile.name}: {RATE:,} events/s for {seconds:.0f} s, {PUSHERS} threads | |\n| --- | --- |")
    for what, value in found.items():
        print(f"| {what} | {value:,.1f} |")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=["files", "servers"], action="append")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the sustained rate")
    options = parser.parse_args()
    for wanted in options.profile or ["files", "servers"]:
        with profiles(wanted) as profile:
            run(profile, options.seconds)


if __name__ == "__main__":
    main()
