"""Redis fails under load: readers in several threads, a writer beside them; each read is answered inside its budget."""

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("redis")

import redis

from intent_stores.errors import OnlineStoreUnavailableError
from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_redis import PackedRedisServer, redis_reader
from intent_stores.packed_view import PackedView
from tests.held_up import held_up_seconds
from tests.servers import PrivateRedis

pytestmark = pytest.mark.faults

BUDGET = 0.025
STALL = 0.5  # a machine may hold a thread up; a client that waits for a timeout or tries again takes seconds
READERS = 4
VIEW = PackedView("stats", {"score": "Float64"}, ("user",))
USERS = [f"u{place}" for place in range(50)]


def write(store: PackedRedisServer) -> None:
    values = {"score": np.full(len(USERS), 1.5)}
    packed = encode_rows(VIEW.schema, values, RowTimes.of(np.full(len(USERS), 1000)))
    store.write(VIEW.name, entity_keys(("user",), {"user": USERS}), packed)


class Load:
    """Readers and one writer, until they are told to end."""

    def __init__(self, url: str) -> None:
        self.reader = redis_reader(url, "p", BUDGET)
        self.store = PackedRedisServer(url, "p", write_timeout_seconds=0.2)
        self.took: list[float] = []
        self.held_up: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.refused = 0
        self.wrong: list[str] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(READERS)]
        self._threads.append(threading.Thread(target=self._write))

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join(30)

    def _read(self) -> None:
        while not self._ended.wait(0.002):
            waited, begun = held_up_seconds(), time.perf_counter()
            found = self.reader.read_columns([VIEW], {"user": USERS}, at=1000)["stats"]
            took = time.perf_counter() - begun
            self.took.append(took)
            self.held_up.append(held_up_seconds() - waited if took > BUDGET else 0.0)
            self.statuses.update(found.status)
            if set(found.values["score"][found.status == "fresh"].tolist()) - {1.5}:
                self.wrong.append("a value that nobody wrote")
            if any(reason is None for reason in found.reason[found.status == "missing"]):
                self.wrong.append("missing without a reason")

    def _write(self) -> None:
        while not self._ended.wait(0.02):
            try:
                write(self.store)
            except OnlineStoreUnavailableError:
                self.refused += 1


@contextmanager
def killed(server: PrivateRedis) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextmanager
def stopped(server: PrivateRedis) -> Iterator[None]:
    server.freeze()
    yield
    server.thaw()


@contextmanager
def flushed(server: PrivateRedis) -> Iterator[None]:
    with redis.Redis(port=server.port) as client:
        client.flushall()
        client.script_flush()
    yield


@contextmanager
def full(server: PrivateRedis) -> Iterator[None]:
    with redis.Redis(port=server.port) as client:
        client.config_set("maxmemory", "1mb")
        with contextlib.suppress(redis.ResponseError):
            while True:
                client.set(os.urandom(8).hex(), b"x" * 20_000)
        yield
        client.config_set("maxmemory", "0")


@pytest.mark.parametrize("seconds", [0.5, pytest.param(10.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", [killed, stopped, flushed, full])
def test_under_load(
    fault: Callable, seconds: float, private_redis: PrivateRedis, record_property: Callable[[str, object], None]
) -> None:
    load = Load(private_redis.url)
    write(load.store)
    with load.running():
        time.sleep(0.3)
        with fault(private_redis):
            time.sleep(seconds)
        back = time.monotonic()
        while load.reader.read_columns([VIEW], {"user": USERS}, at=1000)["stats"].status[0] != "fresh":
            assert time.monotonic() - back < 5, "no full service within 5 s"
            time.sleep(0.01)
        returned = time.monotonic() - back
        time.sleep(0.2)
    took = np.array(load.took)
    late, ours = took > BUDGET, took - np.array(load.held_up) > BUDGET
    assert not load.wrong
    assert took.max() < STALL
    assert load.statuses["fresh"] > 0
    assert (load.refused > 0) == (fault is not flushed)
    if fault is full:
        assert load.statuses["missing"] < load.statuses["fresh"] / 10, "a full server still reads"
    record_property(
        "fault",
        f"redis {fault.__name__} for {seconds:g} s under load: {len(took):,} reads, {late.sum()} over "
        f"{BUDGET * 1e3:.0f} ms ({ours.sum()} without waits for a processor), slowest {took.max() * 1e3:.0f} ms, full "
        f"service after {returned:.2f} s",
    )
