"""More than the service can do, and half of it for long. `INTENT_SOAK_SECONDS=1800` makes the long one half an hour."""

import asyncio
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.http_load import Load, post
from benchmarks.serving_servers import Server
from benchmarks.serving_strain import soak
from intent_cli.bento_server import Bento, free_port, running
from services.online_url import SqliteUrl
from tests.online_store import PROJECT, write_online_store
from tests.service_load import AT
from training.packaging.publish import publish

CUSTOMERS = 500
OVERLOAD_CONNECTIONS = 128  # six times the requests that a worker has in progress at most


@pytest.fixture(scope="module")
def server(tiny_bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("strain")
    write_online_store(folder / "online.db", CUSTOMERS)
    published = publish(tiny_bundle_folder, home=folder / "home")
    bento = Bento(published.bento, published.home, SqliteUrl(folder / "online.db", PROJECT))
    with running(bento, free_port(), log=folder / "serve.log") as process:
        yield Server("ours", process.address, 0.0, psutil.Process(process.pid))


def requests(address: str) -> Iterator[bytes]:
    users = itertools.cycle(f"{number:08d}" for number in range(1, CUSTOMERS))
    return (post(address, "/score", json.dumps({"user_id": user, "at": AT}).encode()) for user in users)


def test_what_is_too_much_is_refused_and_nothing_else(server: Server, record_property) -> None:
    refusals: list[dict] = []

    def take(status: int, body: bytes) -> None:
        if status != 200:
            refusals.append(json.loads(body))

    load = Load(server.address, requests(server.address), OVERLOAD_CONNECTIONS, on_answer=take)
    counts = asyncio.run(load.run(3.0)).counts()
    assert counts.keys() == {200, 429}, counts
    assert {refusal["code"] for refusal in refusals} == {"too_many_requests"}
    after = asyncio.run(Load(server.address, requests(server.address), 4).run(count=100)).counts()
    assert after.keys() == {200}  # and as before at once
    record_property(
        "fault", f"{OVERLOAD_CONNECTIONS} connections at once: {counts[200]} answered, {counts[429]} refused"
    )


@pytest.mark.timeout(3600)
def test_half_load_for_long_leaves_nothing_behind(server: Server, record_property) -> None:
    seconds = float(os.environ.get("INTENT_SOAK_SECONDS", "120"))
    growth = soak(server, requests(server.address), seconds)
    record_property(
        "fault",
        f"half load for {seconds:.0f} s: {growth.answers} answered, {growth.errors} not; {growth.megabytes:+.1f} MB, "
        f"{growth.files:+d} file descriptors",
    )
    assert growth.errors == 0
    assert growth.files <= 0
    assert growth.megabytes <= 20
