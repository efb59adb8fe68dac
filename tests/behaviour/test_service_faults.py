"""What befalls a service under load: its store killed or frozen, itself asked to end, a worker killed."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.http_load import LOST
from intent_cli.bento_server import Bento, free_port, running
from intent_stores.packed_redis import PackedRedisServer
from services.online_url import RedisUrl, SqliteUrl
from services.readiness import KEPT_SECONDS
from services.worker_reports import RENEW_SECONDS
from tests.online_store import PROJECT, VIEWS, write_online_store, write_rows
from tests.servers import PrivateRedis
from tests.service_load import Answers, under_load
from tests.tiny_shop import shop
from tests.waiting import until
from training.packaging.publish import Published, publish

pytestmark = pytest.mark.faults
CONNECTIONS = 4
BACK_SECONDS = 5
FIGURES_SECONDS = 2 * RENEW_SECONDS + 1.0
"""Within which the figures tell of the store what the answers do."""


@pytest.fixture(scope="module")
def published(tiny_bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(tiny_bundle_folder, home=tmp_path_factory.mktemp("home"))


@contextmanager
def served(published: Published, store: RedisUrl | SqliteUrl, folder: Path, workers: int) -> Iterator[tuple]:
    bento = Bento(published.bento, published.home, store, folder / "slots")
    with running(bento, free_port(), workers, log=folder / "serve.log") as server:
        until(lambda: len(workers_of(server.pid)) == workers)
        yield server.address, server.pid


def workers_of(pid: int) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is one of these
            if any("worker" in part for part in child.cmdline()):
                found.append(child)
    return found


def answered(answers: Answers, more: int) -> list[dict]:
    """Wait for so many more answers, and return them."""
    seen = answers.count
    until(lambda: answers.count >= seen + more)
    return answers.bodies[seen:]


def whole_again(answers: Answers) -> float:
    begun = time.monotonic()
    until(lambda: not any(body["degraded"] for body in answers.bodies[-CONNECTIONS * 2 :]), BACK_SECONDS)
    return time.monotonic() - begun


def ready(address: str) -> tuple[int, str]:
    answer = httpx.get(f"{address}/readyz", trust_env=False, timeout=10)
    return answer.status_code, answer.json()["status"]


def circuit_is_open(address: str) -> bool:
    """What /metrics says: whether the store is asked by nobody."""
    lines = httpx.get(f"{address}/metrics", trust_env=False, timeout=10).text.splitlines()
    (said,) = [line.split()[1] for line in lines if line.startswith("intent_store_circuit_open ")]
    return float(said) == 1.0


def write_shop(redis: PrivateRedis) -> None:
    store = PackedRedisServer(redis.url, PROJECT)
    for view in VIEWS:
        write_rows(store, view, shop()[view.name])
    store.close()


def test_redis_frozen_and_killed_under_load(
    published: Published, private_redis: PrivateRedis, tmp_path: Path, record_property
) -> None:
    write_shop(private_redis)
    with served(published, RedisUrl(private_redis.url, PROJECT), tmp_path, 1) as (address, _):
        with under_load(address, CONNECTIONS) as answers:
            answered(answers, 50)
            whole_again(answers)
            private_redis.freeze()
            frozen = answered(answers, 200)[CONNECTIONS:]
            until(lambda: ready(address) == (200, "degraded"), KEPT_SECONDS + 1.0)
            private_redis.thaw()
            after_thaw = whole_again(answers)
            private_redis.kill()
            killed = answered(answers, 200)[CONNECTIONS:]
            until(lambda: circuit_is_open(address), FIGURES_SECONDS)
            private_redis.start()
            write_shop(private_redis)
            after_start = whole_again(answers)
            until(lambda: not circuit_is_open(address), FIGURES_SECONDS)
        assert answers.load is not None
        outcomes = answers.load.outcomes
        assert outcomes.counts().keys() == {200}, answers.problems[:3]
        for body in [*frozen, *killed]:
            assert body["degraded"]
            assert {view["reason"] for view in body["views"].values()} == {"no answer"}
        assert len({body["probability"] for body in [*frozen, *killed]}) == 1  # the answer without features
        assert httpx.get(f"{address}/readyz", trust_env=False).json() == {"status": "ready", "why": []}
        record_property(
            "fault",
            f"Redis frozen and killed under load: {len(outcomes.statuses)} requests, all 200, p99 "
            f"{outcomes.quantile(0.99) * 1e3:.0f} ms; whole again after {after_thaw:.1f} and {after_start:.1f} s",
        )


def test_a_service_that_is_asked_to_end_loses_no_request(published: Published, tmp_path: Path, record_property) -> None:
    write_online_store(tmp_path / "online.db")
    with served(published, SqliteUrl(tmp_path / "online.db", PROJECT), tmp_path, 2) as (address, pid):
        # A client that is told to leave sends no more on that connection, as a balancer's does.
        with under_load(address, 8, reconnect=False) as answers:
            answered(answers, 200)
            os.kill(pid, signal.SIGTERM)
            until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        assert answers.load is not None
        counts = answers.load.outcomes.counts()
        assert counts.keys() == {200}, (counts, answers.problems[:3])
        record_property("fault", f"SIGTERM under load: {counts[200]} requests, {counts[LOST]} lost")


def test_a_killed_worker_loses_what_it_had_in_progress_and_is_replaced(
    published: Published, tmp_path: Path, record_property
) -> None:
    write_online_store(tmp_path / "online.db")
    with served(published, SqliteUrl(tmp_path / "online.db", PROJECT), tmp_path, 2) as (address, pid):
        with under_load(address, CONNECTIONS) as answers:
            answered(answers, 100)
            victim = workers_of(pid)[0]
            victim.kill()
            answered(answers, 200)
            until(lambda: len(workers_of(pid)) == 2 and victim not in workers_of(pid))
            answered(answers, 200)
        assert answers.load is not None
        counts = answers.load.outcomes.counts()
        assert counts.keys() <= {200, LOST}, answers.problems[:3]
        assert counts[LOST] <= CONNECTIONS  # one request a connection was under way at most
        record_property("fault", f"SIGKILL of a worker under load: {counts[200]} answered, {counts[LOST]} lost")
