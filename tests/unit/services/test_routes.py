"""Every route in this process: what it answers, and that what it says adds up."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from feature_repo.streaming.online import OnlineViews
from intent_stores.packed_sqlite import PackedSqliteFile
from services.batch_contracts import ScoreBatchResponse
from services.contract_parts import example_of
from services.contracts import ExplainResponse, ScoreResponse
from services.event_contracts import EventsResponse, FeedbackResponse
from services.event_intake import OUTBOX_VARIABLE
from services.hashed_ids import KEY_VARIABLE
from services.online_url import VARIABLE
from services.openapi import document
from services.routes import ROUTES
from services.served_log import FOLDER_VARIABLE, SAMPLE_VARIABLE
from tests.online_store import PROJECT, write_online_store
from tests.served_here import publish_here, served

AT = "2001-02-19T00:00:00Z"
EVENT = {"event_id": "1", "user_id": "00000001", "event_type": "view", "event_timestamp": "2024-05-01T09:30:00Z"}
Ask = Callable[[str, Any], Awaitable[httpx.Response]]


@pytest.fixture
def place(tiny_bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the model and a store of the tiny shop; nowhere to put events and feedback."""
    publish_here(tiny_bundle_folder, tmp_path / "home", monkeypatch)
    monkeypatch.setenv(VARIABLE, write_online_store(tmp_path / "online.db"))
    for name in (OUTBOX_VARIABLE, FOLDER_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def with_service(run: Callable[[Ask], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with served() as client:

            async def ask(path: str, body: Any) -> httpx.Response:
                return await client.post(path, json=body)

            return await run(ask)

    return asyncio.run(main())


def asked(path: str, body: Any) -> httpx.Response:
    return with_service(lambda ask: ask(path, body))


def test_a_batch_is_what_its_customers_would_be_alone(place: Path) -> None:
    users = [f"{number:08d}" for number in range(1, 13)] + ["nobody"]

    async def run(ask: Ask) -> tuple[ScoreBatchResponse, list[ScoreResponse]]:
        batch = await ask("/score_batch", {"user_ids": users, "at": AT})
        alone = [await ask("/score", {"user_id": user, "at": AT}) for user in users]
        return (
            ScoreBatchResponse.model_validate_json(batch.content),
            [ScoreResponse.model_validate_json(one.content) for one in alone],
        )

    batch, alone = with_service(run)
    assert [score.user_id for score in batch.scores] == users
    assert [s.probability for s in batch.scores] == pytest.approx([a.probability for a in alone], abs=1e-6)
    assert [s.views for s in batch.scores] == [a.views for a in alone]
    assert [s.cold_start for s in batch.scores] == [a.cold_start for a in alone] == [False] * 12 + [True]
    assert batch.weights[batch.scores[0].model] == {name: share.weight for name, share in alone[0].members.items()}


@pytest.mark.parametrize("user_ids", [[], ["a", "a"], ["x"] * 2, [""], [1], [f"{n}" for n in range(1001)], "a"])
def test_a_batch_that_is_none_is_refused(place: Path, user_ids: Any) -> None:
    answer = asked("/score_batch", {"user_ids": user_ids})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "different ids" in answer.json()["detail"]


@pytest.mark.parametrize("user_id", ["00000005", "00000002", "nobody"])
def test_contributions_add_up_to_the_score(place: Path, user_id: str) -> None:
    async def run(ask: Ask) -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        body = {"user_id": user_id, "at": AT}
        return await ask("/score", body), await ask("/explain", body), await ask("/explain", body)

    score, first, second = with_service(run)
    why = ExplainResponse.model_validate_json(first.content)
    total = why.base + sum(one.log_odds for one in why.contributions) + why.calibration
    probability = score.json()["probability"]
    assert total == pytest.approx(math.log(probability / (1 - probability)), abs=1e-4)
    assert why.probability == probability
    assert why.methods == {
        "recency": "permutation_shapley",
        "boosted_trees": "tree_shap",
        "sequence_lstm": "permutation_shapley",
    }
    assert second.json() | {"request_id": ""} == first.json() | {"request_id": ""}
    sizes = [abs(one.log_odds) for one in why.contributions]
    assert sizes == sorted(sizes, reverse=True)


def test_reasons_come_with_a_score_that_asks_for_them(place: Path) -> None:
    answer = ScoreResponse.model_validate_json(
        asked("/score", {"user_id": "00000005", "at": AT, "reasons": True}).content
    )
    assert answer.reasons is not None
    assert 0 < len(answer.reasons) <= 5
    assert any(reason.says.startswith("baskets ever: 5 (odds × ") for reason in answer.reasons)
    assert asked("/score", {"user_id": "00000005", "at": AT}).json()["reasons"] is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rank", {"user_id": "00000005", "item_ids": ["1", "2"], "at": AT}),
        ("/score", {"user_id": "00000005", "item_id": "1", "at": AT}),
        ("/explain", {"user_id": "00000005", "item_id": "1", "at": AT}),
    ],
)
def test_without_a_model_of_items_this_is_said(place: Path, path: str, body: Any) -> None:
    answer = asked(path, body)
    assert (answer.status_code, answer.json()["code"]) == (404, "no_item_model")


def test_without_places_for_them_events_and_feedback_are_refused(place: Path) -> None:
    events, feedback = asked("/events", {"events": [EVENT]}), asked("/feedback", example_of(ROUTES[-1].request))
    assert (events.status_code, events.json()["code"]) == (503, "no_outbox")
    assert (feedback.status_code, feedback.json()["code"]) == (503, "no_served_log")
    assert OUTBOX_VARIABLE in events.json()["detail"]


def test_events_are_kept_and_online_when_they_are_acknowledged(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OUTBOX_VARIABLE, f"sqlite:///{place}/outbox.db")
    store = PackedSqliteFile(place / "online.db", PROJECT)
    OnlineViews(store).begin(0)  # as `intent materialize` leaves it

    async def run(ask: Ask) -> list[EventsResponse]:
        late = EVENT | {"event_id": "2", "event_timestamp": "2098-01-01T00:00:00Z"}
        bodies: list[Any] = [[EVENT, EVENT | {"event_id": "3"}], [EVENT], [late]]
        answers = [await ask("/events", {"events": events}) for events in bodies]
        return [EventsResponse.model_validate_json(answer.content) for answer in answers]

    taken, repeated, late = with_service(run)
    assert [(receipt.status, receipt.seq) for receipt in taken.receipts] == [("accepted", 1), ("accepted", 2)]
    assert [(receipt.status, receipt.seq) for receipt in repeated.receipts] == [("repeated", 1)]
    assert [(receipt.status, receipt.reason) for receipt in late.receipts] == [("quarantined", "from_the_future")]
    assert taken.online
    assert OnlineViews(store).position() == 2


def test_events_wait_for_a_store_that_was_never_materialised(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OUTBOX_VARIABLE, f"sqlite:///{place}/outbox.db")
    answer = EventsResponse.model_validate_json(asked("/events", {"events": [EVENT]}).content)
    assert (answer.receipts[0].status, answer.online) == ("accepted", False)


def test_an_outbox_that_is_away_acknowledges_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "file").write_text("no folder")
    monkeypatch.setenv(OUTBOX_VARIABLE, f"sqlite:///{place}/file/outbox.db")
    answer = asked("/events", {"events": [EVENT]})
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "outbox_away", "1")


def test_feedback_is_on_the_disk_when_it_is_acknowledged(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(place / "served"))
    monkeypatch.setenv(SAMPLE_VARIABLE, "1")
    monkeypatch.setenv(KEY_VARIABLE, "a key of this test alone")

    async def run(ask: Ask) -> tuple[str, FeedbackResponse]:
        request_id = (await ask("/score", {"user_id": "00000005", "at": AT})).json()["request_id"]
        answer = await ask("/feedback", {"outcomes": [{"request_id": request_id, "bought": True, "at": AT}]})
        return request_id, FeedbackResponse.model_validate_json(answer.content)

    request_id, answer = with_service(run)
    assert answer.accepted == 1
    (file,) = (place / "served").glob("feedback-*.jsonl")
    assert request_id in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_every_example_is_a_request(place: Path) -> None:
    for route in ROUTES:
        answer = asked(route.path, example_of(route.request))
        assert answer.status_code in (200, 404, 503), (route.path, answer.text)
        assert answer.status_code == 200 or answer.json()["code"] in ("no_item_model", "no_outbox", "no_served_log")


def test_the_document_at_its_place_is_ours(place: Path) -> None:
    async def main() -> dict[str, Any]:
        async with served() as client:
            return (await client.get("/docs.json")).json()

    assert asyncio.run(main()) == document()


def test_the_page_at_the_root_needs_nothing_from_elsewhere(place: Path) -> None:
    async def main() -> tuple[httpx.Response, list[int]]:
        async with served() as client:
            page = await client.get("/")
            named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
            assert len(named) == 6
            assert all(name.startswith("./static_content/") for name in named)
            return page, [(await client.get(name.removeprefix("."))).status_code for name in named]

    page, statuses = asyncio.run(main())
    assert (page.status_code, set(statuses)) == (200, {200})
    assert "//" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
