"""The service in this process: what it says while it cannot answer."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from _bentoml_impl.server.app import ServiceAppFactory

from services import intent_service, loaded_models
from services.event_intake import OUTBOX_VARIABLE
from services.online_url import VARIABLE
from tests.online_store import write_online_store
from training.packaging.bundle import Bundle

BODY = {"user_id": "00000001", "at": "2001-02-19T00:00:00Z"}


@pytest.fixture
def folder(tiny_bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    models, tag = tmp_path / "home" / "models" / "purchase_intent", Bundle.load(tiny_bundle_folder).tag
    folder = Path(shutil.copytree(tiny_bundle_folder, models / tag.split(":")[1] / "bundle"))
    monkeypatch.setattr(loaded_models, "_published", lambda: (models, tag))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return folder


@asynccontextmanager
async def served() -> AsyncIterator[httpx.AsyncClient]:
    service = intent_service.PurchaseIntent
    service.inject_config()
    app = ServiceAppFactory(service, is_main=True, enable_metrics=False)()  # they can be registered once a process
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client


async def refused() -> str:
    async with served() as client:
        ready, scored = await client.get("/readyz"), await client.post("/score", json=BODY)
        assert (await client.get("/livez")).status_code == 200
    assert (ready.status_code, scored.status_code) == (503, 503)
    assert ready.headers["content-type"] == scored.headers["content-type"] == "application/problem+json"
    assert ready.json()["code"] == scored.json()["code"] == "not_ready"
    assert scored.headers["retry-after"] == "1"
    return str(ready.json()["detail"])


def refusal() -> str:
    """The detail of /readyz, having seen that the service lives and refuses to score."""
    return asyncio.run(refused())


def test_without_an_address(folder: Path) -> None:
    assert "INTENT_ONLINE_URL is not set" in refusal()


def test_with_another_kind_of_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql://:secret@localhost/0?project=p")
    assert "cannot be used" in refusal()
    assert "secret" not in refusal()


def test_a_store_that_comes_and_goes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path}/online.db?project=tiny")
    asyncio.run(store_comes_and_goes(tmp_path / "online.db"))


async def store_comes_and_goes(database: Path) -> None:
    async with served() as client:
        assert (await client.get("/readyz")).status_code == 200
        early = await client.post("/score", json=BODY)
        assert (early.status_code, early.json()["degraded"]) == (200, True)
        write_online_store(database)  # no restart is needed once it is materialised
        assert (await client.get("/readyz")).status_code == 200
        whole = (await client.post("/score", json=BODY)).json()
        assert (whole["cold_start"], whole["degraded"]) == (False, False)
        database.unlink()
        lost = await client.post("/score", json=BODY)
        assert (lost.status_code, lost.json()["degraded"]) == (200, True)
        assert str(database) not in lost.text


def test_a_redis_that_is_not_there_degrades(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "redis://shop:secret@127.0.0.1:1/0?project=tiny")
    asyncio.run(without_redis())


async def without_redis() -> None:
    async with served() as client:
        ready, scored = await client.get("/readyz"), await client.post("/score", json=BODY)
    assert ready.status_code == 200
    assert (scored.status_code, scored.json()["degraded"], scored.json()["cold_start"]) == (200, True, False)
    assert "secret" not in ready.text + scored.text


def test_an_outbox_that_comes_and_goes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, write_online_store(tmp_path / "online.db"))
    monkeypatch.setenv(OUTBOX_VARIABLE, f"sqlite:///{tmp_path}/outbox/outbox.db")
    (tmp_path / "outbox").touch()  # a file, where its folder should be
    asyncio.run(outbox_comes(tmp_path / "outbox"))


async def outbox_comes(in_the_way: Path) -> None:
    async with served() as client:
        degraded = await readiness(client, "degraded")
        assert [OUTBOX_VARIABLE in why for why in degraded] == [True]
        scored = (await client.post("/score", json=BODY)).json()
        assert not scored["degraded"]
        in_the_way.unlink()
        assert await readiness(client, "ready") == []


async def readiness(client: httpx.AsyncClient, wanted: str) -> list[str]:
    """Wait until /readyz says so, and return why."""
    async with asyncio.timeout(20):
        while (told := (await client.get("/readyz")).json())["status"] != wanted:
            await asyncio.sleep(0.05)
    return list(told["why"])


def test_with_a_bundle_of_one_changed_byte(folder: Path) -> None:
    file = folder / "members/recency/model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert "was altered" in refusal()
