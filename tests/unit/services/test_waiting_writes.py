"""Events and outcomes wait for what they are written to; nothing else waits for them."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.responses import Response

from feature_repo.errors import DependencyDown
from services.event_contracts import EventBody, EventsRequest, FeedbackRequest, Outcome
from services.request_handling import THREADS, WRITES_IN_PROGRESS, RequestHandling

EVENTS = EventsRequest(
    events=[EventBody(event_id="1", user_id="u", event_type="view", event_timestamp=datetime(2024, 5, 1, tzinfo=UTC))]
)
OUTCOMES = FeedbackRequest(outcomes=[Outcome(request_id="0f8fad5bd9cb469fa16570867728950e", bought=True)])


@pytest.fixture
def handling() -> Iterator[RequestHandling]:
    made = RequestHandling(Mock())
    yield made
    made.close()


def code(response: Response) -> tuple[int, Any]:
    return response.status_code, json.loads(bytes(response.body)).get("code")


def test_while_a_database_hangs_others_are_answered_and_what_is_too_much_is_refused(handling: RequestHandling) -> None:
    back = threading.Event()

    def hang(events: object) -> Any:
        assert back.wait(60)
        return [], True

    handling.intake = Mock(take=hang)

    async def run() -> None:
        waiting = [asyncio.create_task(handling.events(EVENTS)) for _ in range(WRITES_IN_PROGRESS)]
        await asyncio.sleep(0)
        assert code(await handling.events(EVENTS)) == (429, "too_many_requests")
        done = [await handling.run(lambda: "answered") for _ in range(THREADS + 1)]
        assert set(done) == {"answered"}
        assert not any(one.done() for one in waiting)
        back.set()
        assert {code(response) for response in await asyncio.gather(*waiting)} == {(200, None)}

    asyncio.run(run())


def test_what_cannot_be_written_is_told_and_how_to_go_on(handling: RequestHandling) -> None:
    down = DependencyDown("postgresql://secret@shop is away")
    handling.intake = Mock(**{"take.side_effect": down})
    handling.feedback_log = Mock(**{"append.side_effect": down})
    answers = [asyncio.run(handling.events(EVENTS)), asyncio.run(handling.feedback(OUTCOMES))]
    assert [code(answer) for answer in answers] == [(503, "outbox_away"), (503, "served_log_away")]
    for answer in answers:
        assert answer.headers["retry-after"] == "1"
        told = json.loads(bytes(answer.body))["detail"]
        assert "nothing was acknowledged" in told
        assert "again" in told
        assert "secret" not in told
