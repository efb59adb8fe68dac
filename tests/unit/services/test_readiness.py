"""`/readyz` through the guard: who is told what, how soon, and how often the store is asked for it."""

import asyncio
import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from services import readiness
from services.access_keys import KeyRows, new_key
from services.configured_keys import FILE_VARIABLE, KEYS_VARIABLE
from services.draining import DRAINING
from services.guard_middleware import GuardMiddleware
from services.operation_middleware import OperationMiddleware
from services.problem_middleware import ProblemMiddleware
from services.route_rules import route_rules

AWAY = "INTENT_ONLINE_URL names a store that cannot be read (Redis: Error 111 connecting to 10.0.0.7:6379)"
EVENTS = "INTENT_OUTBOX_URL names an outbox that does not answer"
REFUSED = "Bundle /srv/models/aa was altered"


class Models:
    """What a worker knows of its models, and how often it was asked for their store."""

    def __init__(self) -> None:
        self.answering: object | None = object()
        self.refused: dict[str, str] = {}
        self.store: list[str] = []
        self.not_ready = "Model /srv/models/aa is not there"
        self.asked, self.gate = 0, threading.Event()
        self.gate.set()

    def trouble(self) -> str | None:
        return None if self.answering is not None else self.not_ready

    def degraded(self) -> list[str]:
        self.asked += 1
        self.gate.wait(10)
        return [*self.store, *self.refused.values()]


class Service:
    def __init__(self) -> None:
        self.models = Models()
        self.events: list[str] = []
        models: Any = self.models
        inner = OperationMiddleware(None, lambda: models, lambda: self.events)  # type: ignore[arg-type]
        self.app = ProblemMiddleware(GuardMiddleware(inner, route_rules()))

    async def ready(self, key: str | None = None) -> tuple[int, dict[str, Any]]:
        headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/readyz", "method": "GET", "headers": headers, "server": ("127.0.0.1", 1)}
        await self.app(scope, None, send)  # type: ignore[arg-type]
        return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    for name in (KEYS_VARIABLE, FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return Service()


@pytest.fixture
def keys(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    made = {scope: new_key([scope], None, 500.0) for scope in ("admin", "score")}  # type: ignore[list-item]
    file = tmp_path / "keys.json"
    file.write_text(KeyRows(keys=tuple(row for _, row in made.values())).model_dump_json())
    file.chmod(0o600)
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    return {scope: text for scope, (text, _) in made.items()} | {"file": str(file)}


def test_without_keys_everybody_is_told_everything(service: Service) -> None:
    assert asyncio.run(service.ready()) == (200, {"status": "ready", "why": []})
    service = Service()
    service.models.store, service.models.refused, service.events = [AWAY], {"champion": REFUSED}, [EVENTS]
    assert asyncio.run(service.ready()) == (200, {"status": "degraded", "why": [AWAY, REFUSED, EVENTS]})
    service.models.answering = None
    assert asyncio.run(service.ready())[1]["detail"] == service.models.not_ready


def test_with_keys_only_an_operator_is_told_hosts_and_texts(
    service: Service, keys: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    service.models.store, service.models.refused, service.events = [AWAY], {"champion": REFUSED}, [EVENTS]

    async def run() -> None:
        for key in (None, "intent_nonsense", keys["score"]):
            status, told = await service.ready(key)
            assert (status, told["status"]) == (200, "degraded")
            assert told["why"] == [readiness._STORE, readiness._MODEL, readiness._EVENTS]
        assert (await service.ready(keys["admin"]))[1]["why"] == [AWAY, REFUSED, EVENTS]
        service.models.answering = None
        for key in (None, keys["score"]):
            status, told = await service.ready(key)
            assert (status, told["code"]) == (503, "not_ready")
            assert "/srv" not in told["detail"]
        assert (await service.ready(keys["admin"]))[1]["detail"] == service.models.not_ready

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert [caplog.text.count(text) for text in (AWAY, REFUSED, EVENTS, service.models.not_ready)] == [1] * 4


def test_a_file_of_keys_that_cannot_be_used_degrades(
    service: Service, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        assert await service.ready() == (200, {"status": "ready", "why": []})
        monkeypatch.setattr("services.configured_keys._LOOK_AGAIN_SECONDS", 0.0)
        Path(keys["file"]).chmod(0o664)
        assert await service.ready() == (200, {"status": "degraded", "why": [readiness._SETTING]})
        (why,) = (await service.ready(keys["admin"]))[1]["why"]
        assert "chmod 600" in why
        assert keys["file"] not in why
        Path(keys["file"]).chmod(0o600)
        assert await service.ready() == (200, {"status": "ready", "why": []})

    asyncio.run(run())


def test_the_log_has_what_is_new_and_that_it_ended(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        for events in ([EVENTS], [EVENTS, "feedback"], [], []):
            service.events = events
            await service.ready()

    with caplog.at_level(logging.INFO, "bentoml.intent"):
        asyncio.run(run())
    told = [record.getMessage() for record in caplog.records if record.name == "bentoml.intent"]
    assert told == [f"Degraded: {EVENTS}", "Degraded: feedback", f"No longer: {EVENTS}; feedback"]


def test_the_store_is_asked_once_for_all_who_want_to_know(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        service.models.gate.clear()
        waiting = [asyncio.ensure_future(service.ready()) for _ in range(50)]
        await asyncio.sleep(0.05)
        waiting.pop().cancel()  # who hangs up ends nobody else's
        service.models.gate.set()
        assert await asyncio.gather(*waiting) == [(200, {"status": "ready", "why": []})] * 49
        service.models.store = [AWAY]
        assert await service.ready() == (200, {"status": "ready", "why": []})
        assert service.models.asked == 1
        monkeypatch.setattr(readiness, "KEPT_SECONDS", 0.0)
        assert await service.ready() == (200, {"status": "degraded", "why": [AWAY]})
        assert service.models.asked == 2

    asyncio.run(run())


def test_what_costs_nothing_is_told_at_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        assert (await service.ready())[1]["status"] == "ready"
        service.events = [EVENTS]
        assert (await service.ready())[1]["why"] == [EVENTS]
        service.models.refused = {"champion": REFUSED}
        assert (await service.ready())[1]["why"] == [REFUSED, EVENTS]
        monkeypatch.setattr(DRAINING, "active", True)
        assert (await service.ready())[1]["detail"] == readiness._ENDING
        monkeypatch.setattr(DRAINING, "active", False)
        service.models.answering = None
        assert (await service.ready())[0] == 503

    asyncio.run(run())
