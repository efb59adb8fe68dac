"""The built bento over Redis: whatever becomes of the server, a customer is answered, and soon whole again."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from intent_cli.bento_server import Bento, free_port, running
from intent_stores.packed_redis import PackedRedisServer
from services.online_url import RedisUrl
from tests.online_store import PROJECT, VIEWS, write_rows
from tests.servers import PrivateRedis
from tests.tiny_shop import shop
from training.packaging.publish import publish

BODY = {"user_id": "00000005", "at": "2001-02-19T00:00:00Z"}
BACK_SECONDS = 5
BUDGET_SECONDS = 0.025  # of a read, as docs/backend_teams.md promises
ALLOWED_SECONDS, TRIES = 0.075, 4
"""What an answer may take beside its read, on a machine that is busy with other tests."""


@pytest.fixture
def client(tiny_bundle_folder: Path, private_redis: PrivateRedis, tmp_path: Path) -> Iterator[httpx.Client]:
    write_shop(private_redis)
    published = publish(tiny_bundle_folder, home=tmp_path / "home")
    bento = Bento(published.bento, published.home, RedisUrl(private_redis.url, PROJECT))
    with (
        running(bento, free_port(), log=tmp_path / "serve.log") as server,
        httpx.Client(base_url=server.address, timeout=10, trust_env=False) as client,
    ):
        yield client


def write_shop(redis: PrivateRedis) -> None:
    store = PackedRedisServer(redis.url, PROJECT)
    for view in VIEWS:
        write_rows(store, view, shop()[view.name])
    store.close()


def scored(client: httpx.Client) -> dict:
    answer = client.post("/score", json=BODY)
    assert answer.status_code == 200, answer.text
    return answer.json()


def whole_again(client: httpx.Client) -> None:
    deadline = time.monotonic() + BACK_SECONDS
    while scored(client)["degraded"]:
        assert time.monotonic() < deadline, f"still degraded {BACK_SECONDS} s after Redis was back"
        time.sleep(0.05)
    assert {view["status"] for view in scored(client)["views"].values()} == {"fresh"}


def all_degraded(client: httpx.Client, without: float) -> None:
    for _ in range(50):
        answer = scored(client)
        assert (answer["degraded"], answer["cold_start"]) == (True, False)
        assert {(view["status"], view["reason"]) for view in answer["views"].values()} == {("missing", "no answer")}
        assert answer["probability"] == without


def test_answers_while_it_is_frozen_come_within_the_budget(
    client: httpx.Client, private_redis: PrivateRedis, record_property
) -> None:
    """Each of them; where other work held one up, all is tried again."""
    slowest = []
    while len(slowest) < TRIES and min(slowest, default=math.inf) > BUDGET_SECONDS + ALLOWED_SECONDS:
        whole_again(client)
        private_redis.freeze()
        try:
            slowest.append(max(seconds_of(client) for _ in range(20)))
        finally:
            private_redis.thaw()
    record_property("fault", f"Redis frozen: the slowest of 20 answers took {min(slowest) * 1e3:.0f} ms")
    assert min(slowest) <= BUDGET_SECONDS + ALLOWED_SECONDS, slowest


def seconds_of(client: httpx.Client) -> float:
    begun = time.perf_counter()
    assert scored(client)["degraded"]
    return time.perf_counter() - begun


def test_frozen_and_killed_under_the_service(client: httpx.Client, private_redis: PrivateRedis) -> None:
    whole_again(client)
    private_redis.freeze()
    try:
        without = scored(client)["probability"]
        all_degraded(client, without)
        assert client.get("/readyz").status_code == 200  # degraded, and answering
    finally:
        private_redis.thaw()
    whole_again(client)
    private_redis.kill()
    all_degraded(client, without)
    private_redis.start()
    write_shop(private_redis)
    whole_again(client)
    assert client.get("/readyz").status_code == 200
