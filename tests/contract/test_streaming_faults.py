"""Whoever pushes and whoever applies is killed at random moments: nothing acknowledged is lost, none counts twice."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import DependencyDown
from feature_repo.events import event_key
from feature_repo.streaming import stream as stream_module
from feature_repo.streaming.online import OnlineViews
from feature_repo.streaming.outbox import Outbox
from feature_repo.streaming.stream import EventStream
from feature_repo.streaming.views import SEQUENCE, USER_COUNTERS, USER_EVENTS
from intent_stores.packed_reader import PackedReader, PackedStore
from intent_stores.packed_redis import PackedRedisServer
from intent_stores.packed_sqlite import PackedSqliteFile
from tests.servers import PrivatePostgres, PrivateRedis
from tests.small_disk import remount, small_disk

USERS = [f"u{number}" for number in range(20)]
POINTS = [10, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]


@dataclass(frozen=True)
class Place:
    """Where a stream lies; every process opens it for itself."""

    outbox_url: str
    open_store: Callable[[], PackedStore]
    acknowledged: Path

    def stream(self) -> tuple[EventStream, Outbox, PackedStore]:
        outbox, store = Outbox(self.outbox_url), self.open_store()
        return EventStream(outbox, store), outbox, store


@pytest.fixture(params=["files", "servers"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    told = tmp_path / "acknowledged"
    told.touch()
    if request.param == "files":
        online = tmp_path / "online.db"
        yield Place(f"sqlite:///{tmp_path}/outbox.db", lambda: PackedSqliteFile(online, "p"), told)
    else:
        redis: PrivateRedis = request.getfixturevalue("private_redis")
        postgres: PrivatePostgres = request.getfixturevalue("private_postgres")
        yield Place(postgres.url, lambda: PackedRedisServer(redis.url, "p", read_budget_seconds=5), told)


def event(number: int) -> dict[str, object]:
    late = (number * 7919) % 5000
    moment = f"2024-01-01T{late // 3600:02d}:{late // 60 % 60:02d}:{late % 60:02d}Z"
    return {"event_id": f"e{number}", "user_id": USERS[number % 20], "event_type": "view", "event_timestamp": moment}


def push_for_ever(place: Place, first: int) -> None:
    """Push batches, some events again, and note each acknowledged one in a file before the next."""
    outbox = Outbox(place.outbox_url)
    stream = EventStream(outbox)
    with place.acknowledged.open("a", buffering=1) as told:
        for start in range(first, first + 100_000, 4):
            numbers = [*range(start, start + 4), max(0, start - 3)]
            stream.push([event(number) for number in numbers])
            told.write("".join(f"e{number}\n" for number in numbers))


def apply_for_ever(place: Place) -> None:
    stream, _, _ = place.stream()
    while True:
        stream.catch_up()


def in_a_child(work: Callable[[], None]) -> int:
    """Fork: the parent holds no connection, and a child costs milliseconds."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return child


def kill(child: int) -> int:
    """Return how the child ended."""
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


@pytest.mark.faults
@pytest.mark.parametrize("points", POINTS)
def test_killed_at_random_points(
    place: Place, points: int, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setattr(stream_module, "BATCH", 7)
    random = np.random.default_rng(5)
    stream, outbox, store = place.stream()
    OnlineViews(store).begin(0)
    stream.push([event(0)])
    mid_work = 0
    for point in range(points):
        outbox.close()
        store.close()
        pusher = in_a_child(lambda first=1 + 2_000 * point: push_for_ever(place, first))
        consumer = in_a_child(lambda: apply_for_ever(place))
        told = place.acknowledged.stat().st_size
        _until(lambda told=told: place.acknowledged.stat().st_size > told)
        time.sleep(float(random.uniform(0, 0.08)))
        for child in random.permutation([pusher, consumer]).tolist():
            assert os.WIFSIGNALED(kill(child))  # it was at work until then
        stream, outbox, store = place.stream()
        mid_work += outbox.head() > (stream.position() or 0)
    stream.catch_up()
    stored = outbox.after(0, 1_000_000)
    acknowledged = set(place.acknowledged.read_text().splitlines()[:-1])
    lost = len(acknowledged - {one.event.event_id for one in stored})
    wrong = differences(stored, store)
    record_property(
        "fault",
        f"pushing and applying killed at {points} points ({mid_work} with work left), {len(acknowledged):,} events "
        f"acknowledged: {lost} lost, {wrong} of {len(USERS)} customers with another count or list",
    )
    assert (lost, wrong) == (0, 0)
    assert len(stored) > points
    outbox.close()
    store.close()


def differences(stored: list, store: PackedStore) -> int:
    """Return how many customers' counters or lists differ from a loop over the outbox."""
    counts = Counter(one.event.user_id for one in stored)
    mine: dict[str, list] = {user: [] for user in USERS}
    for one in stored:
        mine[one.event.user_id].append((one.event.event_us, one.created_us, event_key(one.event.event_id)))
    now = time.time_ns() // 1000 + 10**6
    reader = PackedReader(store)
    found = reader.read_columns([USER_COUNTERS, USER_EVENTS], {"user_id": USERS}, now, keep_stale=True)
    views, keys = found["user_counters"].values["view_count"], found["user_events"].values["event_key"]
    wrong = 0
    for place, user in enumerate(USERS):
        expected = [key for _, _, key in sorted(mine[user])[-SEQUENCE.length :]]
        wrong += views[place] != counts[user] or keys[place].tolist() != expected
    return wrong


@pytest.mark.faults
def test_a_stopped_postgresql_acknowledges_nothing_and_loses_nothing(
    private_postgres: PrivatePostgres, record_property: Callable[[str, object], None]
) -> None:
    outbox = Outbox(private_postgres.url)
    stream, taken, refused, stop = EventStream(outbox), [], [], threading.Event()

    def push() -> None:
        for number in range(1_000_000):
            if stop.is_set():
                return
            try:
                stream.push([event(number)])
                taken.append(f"e{number}")
            except DependencyDown as error:
                refused.append(str(error))
                time.sleep(0.05)

    pusher = threading.Thread(target=push)
    pusher.start()
    try:
        for end in (private_postgres.kill, lambda: _shut_down(private_postgres)):
            _grows(taken, 20)
            end()
            _grows(refused, 3)
            private_postgres.start()
        _grows(taken, 20)
        private_postgres.freeze()
        _grows(refused, 1)
        private_postgres.thaw()
        _grows(taken, 20)
    finally:
        stop.set()
        pusher.join(60)
    stored = {one.event.event_id for one in outbox.after(0, 1_000_000)}
    lost = set(taken) - stored
    record_property(
        "fault",
        f"PostgreSQL killed, shut down and frozen under pushes: {len(refused)} refused, {len(taken)} acknowledged, "
        f"{len(lost)} lost",
    )
    assert not lost
    assert all("no event of this call was acknowledged" in message for message in refused)
    outbox.close()


def _shut_down(server: PrivatePostgres) -> None:
    """As an operator does who does not wait for sessions to end."""
    server.process.send_signal(signal.SIGINT)
    server.process.wait(30)


def _grows(listed: list[str], by: int) -> None:
    wanted = len(listed) + by
    _until(lambda: len(listed) >= wanted)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it took longer than a minute"
        time.sleep(0.01)


@pytest.mark.faults
def test_an_outbox_on_a_full_disk(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Nothing is acknowledged that is not stored, and what was stored can be read all along."""
    with small_disk(tmp_path / "disk") as disk:
        outbox = Outbox(f"sqlite:///{disk}/outbox.db")
        stream, taken, refused = EventStream(outbox), 0, ""
        while not refused:
            refused, taken = _pushed(stream, taken)
        assert "full" in refused
        for _ in range(20):
            assert "no event of this call was acknowledged" in _pushed(stream, taken)[0]
            assert [stored.event.event_id for stored in outbox.after(0, 100_000)] == [f"e{n}" for n in range(taken)]
        remount(disk, "size=4m")
        assert _pushed(stream, taken) == ("", taken + 20)
        assert outbox.head() == taken + 20
        outbox.close()
    record_property("fault", f"outbox, disk full: {taken} events acknowledged, 20 pushes refused, all events read")


@pytest.mark.faults
def test_an_outbox_on_a_read_only_disk(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    with small_disk(tmp_path / "disk") as disk:
        outbox = Outbox(f"sqlite:///{disk}/outbox.db")
        stream = EventStream(outbox)
        assert _pushed(stream, 0) == ("", 20)
        outbox.close()
        remount(disk, "ro")
        for _ in range(20):
            assert "no event of this call was acknowledged" in _pushed(stream, 20)[0]
        outbox.close()
        remount(disk, "rw")
        assert _pushed(stream, 20) == ("", 40)
        assert [stored.event.event_id for stored in outbox.after(0, 100)] == [f"e{n}" for n in range(40)]
        outbox.close()
    record_property("fault", "outbox, disk read-only: 20 events acknowledged, 20 pushes refused, all events read after")


def _pushed(stream: EventStream, first: int) -> tuple[str, int]:
    """Push 20 events; return why they were refused, or nothing, and where the next ones begin."""
    try:
        receipts = stream.push([event(number) for number in range(first, first + 20)])
    except DependencyDown as error:
        return str(error), first
    assert all(receipt.is_new for receipt in receipts)
    return "", first + 20


@pytest.mark.faults
def test_events_wait_for_an_online_store_that_is_away(private_redis: PrivateRedis, tmp_path: Path) -> None:
    outbox = Outbox(f"sqlite:///{tmp_path}/outbox.db")
    store = PackedRedisServer(private_redis.url, "p", read_budget_seconds=1)
    stream = EventStream(outbox, store)
    OnlineViews(store).begin(0)
    private_redis.kill()
    assert [receipt.is_new for receipt in stream.push([event(1), event(2)])] == [True, True]
    with pytest.raises(DependencyDown, match=r"cknowledged events wait"):
        stream.catch_up()
    private_redis.start()  # it kept nothing
    _until(lambda: not _away(stream))
    assert stream.catch_up() == 0, "counters without their base were served"
    OnlineViews(store).begin(0)
    assert stream.catch_up() == 2
    outbox.close()
    store.close()


def _away(stream: EventStream) -> bool:
    try:
        return stream.position() is not None
    except DependencyDown:
        return True
