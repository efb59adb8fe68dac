"""What schema a store's rows were written by: how a model of another one is told before it serves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from intent_stores.circuit_breaker import CircuitBreaker
from intent_stores.errors import OnlineStoreUnavailableError
from intent_stores.materialization_marker import Marker, write_marker
from intent_stores.packed_reader import PackedReader
from intent_stores.packed_redis import PackedRedisServer
from intent_stores.packed_sqlite import PackedSqliteFile
from intent_stores.packed_view import PackedView
from services.online_url import RedisUrl, SqliteUrl
from services.packed_lookup import open_lookup
from tests.online_store import PROJECT, VIEWS, write_rows
from tests.servers import PrivateRedis
from tests.tiny_shop import shop

PROFILE = next(view for view in VIEWS if view.name == "user_profile")
OTHER = PackedView(PROFILE.name, {**PROFILE.fields, "shoe_size": "Float64"}, PROFILE.join_keys, PROFILE.ttl_us)


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple:
    """A store, and the address of the same for a service."""
    if request.param == "sqlite":
        return PackedSqliteFile(tmp_path / "online.db", PROJECT), SqliteUrl(tmp_path / "online.db", PROJECT)
    redis: PrivateRedis = request.getfixturevalue("private_redis")
    return PackedRedisServer(redis.url, PROJECT), RedisUrl(redis.url, PROJECT)


def test_rows_of_another_schema_are_told_by_their_view(place: tuple) -> None:
    store, address = place
    lookup = open_lookup(address, VIEWS)
    assert lookup.other_schema() == []  # nothing was written yet
    for view in VIEWS:
        write_rows(store, view, shop()[view.name])
        # A note of the materialisation is no row, whatever its schema.
        write_marker(store, view.name, Marker(None, "run", 12, done=True))
    assert lookup.other_schema() == []
    rows = shop()[PROFILE.name]
    later = {key: (event_us + 1, values) for key, (event_us, values) in rows.items()}
    first = dict(list(later.items())[:1])
    write_rows(store, OTHER, first)
    assert lookup.other_schema() == []  # while rows are rewritten, both schemas are there
    write_rows(store, OTHER, later)
    assert lookup.other_schema() == [PROFILE.name]
    assert len(store.sample(PROFILE.name, 3)) == 3
    store.close()
    lookup.close()


def test_a_store_that_is_away_cannot_be_told_from_a_good_one(private_redis: PrivateRedis, tmp_path: Path) -> None:
    lookup = open_lookup(RedisUrl(private_redis.url, PROJECT), VIEWS)
    private_redis.kill()
    assert lookup.other_schema() == []
    with pytest.raises(OnlineStoreUnavailableError, match="cannot be read"):
        PackedRedisServer(private_redis.url, PROJECT).sample(PROFILE.name, 3)
    with pytest.raises(OnlineStoreUnavailableError, match="cannot be read"):
        PackedSqliteFile(tmp_path / "nothing.db", PROJECT).sample(PROFILE.name, 3)


def test_a_reader_says_whether_its_circuit_is_open(tmp_path: Path) -> None:
    now: list[float] = [0.0]
    clock: Callable[[], float] = lambda: now[0]  # noqa: E731
    server = PackedRedisServer("redis://127.0.0.1:1/0", PROJECT, breaker=CircuitBreaker(2, 1.0, clock))
    reader = PackedReader(server)
    assert not reader.circuit_open
    for _ in range(2):
        reader.read_columns(VIEWS, {"user_id": ["00000001"]}, 0)
    assert reader.circuit_open
    assert not PackedReader(PackedSqliteFile(tmp_path / "x.db", PROJECT)).circuit_open  # it has none
