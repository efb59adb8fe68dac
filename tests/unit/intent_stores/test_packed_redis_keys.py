"""Where values are in Redis: one slot an entity, no project or view that reaches into another."""

import pytest

pytest.importorskip("redis")

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from intent_stores.packed_keys import entity_keys
from intent_stores.packed_redis import PackedRedisServer

NAMES = st.text(min_size=1, max_size=6) | st.text("ab:{}%*?[]\\", min_size=1, max_size=5)


def redis_key(project: str, view: str, user: str) -> bytes:
    server = PackedRedisServer("redis://127.0.0.1:1/0", project)
    return server._keys(view, entity_keys(["user"], {"user": [user]}))[0]


def test_a_key_is_readable() -> None:
    assert redis_key("shop", "user_stats", "alice") == b"intent:shop:user_stats:{user:s=alice}"


@given(NAMES, NAMES, NAMES)
def test_all_views_of_an_entity_are_in_one_slot(first: str, second: str, user: str) -> None:
    assert key_slot(redis_key("p", first, user)) == key_slot(redis_key("p", second, user))


@given(st.tuples(NAMES, NAMES, NAMES), st.tuples(NAMES, NAMES, NAMES))
def test_different_places_have_different_keys_and_no_pattern_reaches_both(one: tuple, two: tuple) -> None:
    assert (redis_key(*one) == redis_key(*two)) == (one == two)
    prefix = PackedRedisServer("redis://127.0.0.1:1/0", one[0])._prefix(one[1])
    assert not set(prefix) & set(b"*?[]\\")
    assert redis_key(*two).startswith(prefix) == (one[:2] == two[:2])
