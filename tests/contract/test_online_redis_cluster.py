"""A Redis Cluster of three: rows spread over all servers, read at once inside the budget, with one of them away too."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("redis")

import redis

from intent_stores.errors import OnlineStoreUnavailableError
from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_reader import PackedReader
from intent_stores.packed_redis import PackedRedisServer, redis_reader
from intent_stores.packed_view import PackedView
from tests.servers import PrivateRedis, running_redis_cluster

pytestmark = pytest.mark.faults

USERS = [f"u{place}" for place in range(300)]
STATS = PackedView("stats", {"score": "Float64"}, ("user",))
NAMES = PackedView("names", {"name": "String"}, ("user",))
BUDGET, STALL = 0.1, 1.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[PrivateRedis]]:
    with running_redis_cluster(tmp_path) as servers:
        yield servers


def write(store: PackedRedisServer, score: float, event_us: int, users: list[str] = USERS) -> None:
    times = RowTimes.of(np.full(len(users), event_us))
    keys = entity_keys(("user",), {"user": users})
    store.write("stats", keys, encode_rows(STATS.schema, {"score": np.full(len(users), score)}, times))
    store.write("names", keys, encode_rows(NAMES.schema, {"name": np.array(users, object)}, times))


def ask(reader: PackedReader, users: list[str] = USERS) -> tuple[Counter, set, float]:
    begun = time.perf_counter()
    found = reader.read_columns([STATS, NAMES], {"user": users}, at=1000)
    took = time.perf_counter() - begun
    if found["stats"].status[0] == "fresh":
        assert found["names"].values["name"].tolist() == users
    return Counter(found["stats"].status), set(found["stats"].values["score"].tolist()), took


def until_fresh(reader: PackedReader, seconds: float = 5.0) -> float:
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if ask(reader)[0] == {"fresh": len(USERS)}:
            return time.monotonic() - begun
        time.sleep(0.02)
    raise AssertionError(f"no full service within {seconds} s")


def test_rows_lie_on_all_servers_and_the_newest_stays(cluster: list[PrivateRedis]) -> None:
    store, reader = PackedRedisServer(cluster[0].url, "p"), redis_reader(cluster[1].url, "p", BUDGET)
    write(store, 1.5, 100)
    write(store, 0.5, 50)
    until_fresh(reader)
    assert ask(reader)[1] == {1.5}
    sizes = [redis.Redis(port=server.port).dbsize() for server in cluster]
    assert min(sizes) > 100
    assert sum(sizes) == 2 * len(USERS)
    for server in cluster:
        redis.Redis(port=server.port).script_flush()
    write(store, 2.5, 100)  # a correction of the same time, by scripts that have to be loaded again
    assert ask(reader)[1] == {2.5}
    PackedRedisServer(cluster[2].url, "other").write("stats", [b"k"], [b"v" * 40])
    assert store.count("stats") == len(USERS)
    store.drop("stats")
    assert store.count("stats") == 0
    assert ask(reader)[0] == {"missing": len(USERS)}
    assert sum(redis.Redis(port=server.port).dbsize() for server in cluster) == len(USERS) + 1
    assert reader.trouble() is None


def test_values_are_changed_where_they_lie(cluster: list[PrivateRedis]) -> None:
    store, keys = PackedRedisServer(cluster[0].url, "p", read_budget_seconds=2), [b"k%d" % n for n in range(300)]
    store.write("v", keys, [b"0" * 24 + b"old"] * 300)
    seen = []

    def change(places, held):
        if not seen:  # another writer comes in between
            redis.RedisCluster.from_url(f"redis://127.0.0.1:{cluster[0].port}").set(
                "intent:p:v:{k7}", "1" * 24 + "other"
            )
        seen.extend(places)
        return [value + b"+" for value in held]

    store.change("v", keys, change)
    found = store.fetch([("v", keys)]).values[0]
    assert found[7] == b"1" * 24 + b"other+"
    assert set(found[:7] + found[8:]) == {b"0" * 24 + b"old+"}


def test_one_server_killed_or_frozen_and_back(cluster: list[PrivateRedis], record_property) -> None:
    store = PackedRedisServer(cluster[0].url, "p", write_timeout_seconds=0.5)
    reader = redis_reader(cluster[0].url, "p", BUDGET)
    write(store, 1.5, 100)
    until_fresh(reader)
    for stop, back, done in [("freeze", "thaw", "frozen"), ("kill", "start", "killed")]:
        slowest, asked = 0.0, 0
        getattr(cluster[2], stop)()
        for _ in range(30):
            statuses, _, took = ask(reader)
            assert statuses == {"missing": len(USERS)}
            slowest, asked = max(slowest, took), asked + 1
        with pytest.raises(OnlineStoreUnavailableError):
            write(store, 1.5, 100)
        getattr(cluster[2], back)()
        begun = time.monotonic()
        while time.monotonic() - begun < 5:
            try:
                write(store, 1.5, 100)
                break
            except OnlineStoreUnavailableError:
                time.sleep(0.1)
        returned = until_fresh(reader)
        record_property(
            "fault",
            f"redis cluster, one of three {done}: {asked} reads, slowest {slowest * 1e3:.0f} ms "
            f"(budget {BUDGET * 1e3:.0f} ms), full service {returned:.1f} s after its rows were back",
        )
        assert slowest < STALL
