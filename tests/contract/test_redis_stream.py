"""A Redis stream with a consumer group: at least once in, once in the outbox, whoever dies in between."""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_repo.errors import DependencyDown, SettingsError
from feature_repo.streaming.outbox import Outbox
from feature_repo.streaming.redis_stream import RedisStream
from feature_repo.streaming.stream import EventStream

pytest.importorskip("redis")
import redis


@pytest.fixture
def client() -> Iterator[Any]:
    url = os.environ.get("INTENT_TEST_REDIS_URL") or pytest.skip("INTENT_TEST_REDIS_URL names no Redis")
    with redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    name = f"t{uuid.uuid4().hex[:12]}"
    yield name
    client.unlink(name)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(f"sqlite:///{tmp_path}/outbox.db")
    yield box
    box.close()


def consumer(name: str, who: str, take_over_ms: int = 60_000) -> RedisStream:
    url = os.environ["INTENT_TEST_REDIS_URL"]
    return RedisStream(f"{url}?stream={name}&group=intent&consumer={who}", take_over_ms)


def add(client: Any, name: str, *numbers: int) -> None:
    for number in numbers:
        event = {"event_id": f"e{number}", "user_id": "u", "event_type": "view", "event_timestamp": "2024-01-01"}
        client.xadd(name, {"event": json.dumps(event)})


def take(source: RedisStream, outbox: Outbox, confirm: bool = True) -> int:
    messages = source.read(100)
    EventStream(outbox).push([message.event for message in messages])
    if confirm:
        source.confirm(messages)
    return len(messages)


def test_messages_are_confirmed_and_not_delivered_again(client: Any, name: str, outbox: Outbox) -> None:
    source = consumer(name, "a")
    assert take(source, outbox) == 0
    add(client, name, 1, 2, 3)
    assert take(source, outbox) == 3
    assert take(consumer(name, "a"), outbox) == 0
    assert client.xpending(name, "intent")["pending"] == 0
    assert outbox.head() == 3


def test_the_group_begins_with_the_oldest_message(client: Any, name: str, outbox: Outbox) -> None:
    add(client, name, 1, 2)
    assert take(consumer(name, "a"), outbox) == 2


def test_a_consumer_that_died_before_confirming_gets_its_messages_again(client: Any, name: str, outbox: Outbox) -> None:
    add(client, name, 1, 2)
    assert take(consumer(name, "a"), outbox, confirm=False) == 2
    add(client, name, 3)
    again = consumer(name, "a")
    assert [take(again, outbox), take(again, outbox), take(again, outbox)] == [2, 1, 0]
    assert [stored.event.event_id for stored in outbox.after(0, 10)] == ["e1", "e2", "e3"]


def test_what_another_consumer_died_with_is_taken_over(client: Any, name: str, outbox: Outbox) -> None:
    add(client, name, 1, 2)
    take(consumer(name, "dead"), outbox, confirm=False)
    assert take(consumer(name, "alive"), outbox) == 0, "it may still be at work"
    assert take(consumer(name, "alive", take_over_ms=0), outbox) == 2
    assert client.xpending(name, "intent")["pending"] == 0
    assert outbox.head() == 2


def test_what_is_no_event_is_set_apart_and_confirmed(client: Any, name: str, outbox: Outbox) -> None:
    client.xadd(name, {"event": b"\xff not json"})
    client.xadd(name, {"something": "else"})
    client.xadd(name, {"event": "[]"})
    client.xadd(name, {"event": "[" * 100_000})
    add(client, name, 1)
    source = consumer(name, "a")
    assert take(source, outbox) == 5
    assert client.xpending(name, "intent")["pending"] == 0
    assert (outbox.head(), outbox.quarantined()) == (1, {"not_an_object": 4})


def test_a_redis_that_is_away_is_told(name: str) -> None:
    with pytest.raises(DependencyDown, match="Nothing is lost"):
        RedisStream("redis://127.0.0.1:1/0?stream=s&group=g").read(1)


@pytest.mark.parametrize("url", ["redis://h/0", "redis://h/0?stream=s", "http://h?stream=s&group=g", "redis://?[", "x"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="address of the stream"):
        RedisStream(url)
