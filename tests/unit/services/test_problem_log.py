"""A caller that tells the operator its request_id is found in the log."""

import asyncio
import json
import logging
from typing import Any
from unittest.mock import Mock

import pytest

from feature_repo.errors import DependencyDown, IntentError
from services import problem_log
from services.contracts import ScoreRequest
from services.problem_log import ProblemLog
from services.problem_middleware import ProblemMiddleware
from services.problems import Refused, problem_for_status
from services.request_handling import RequestHandling


@pytest.fixture(autouse=True)
def log_of_its_own(monkeypatch: pytest.MonkeyPatch) -> ProblemLog:
    """How many lines there were before does not count."""
    fresh = ProblemLog()
    monkeypatch.setattr("services.problem_middleware.PROBLEM_LOG", fresh)
    monkeypatch.setattr("services.request_handling.PROBLEM_LOG", fresh)
    return fresh


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "request_id" in record.getMessage()]


def answered(error: Exception) -> dict[str, Any]:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(ProblemMiddleware(app)({"type": "http", "path": "/score"}, None, send))  # type: ignore[arg-type]
    found: dict[str, Any] = json.loads(sent[1]["body"])
    return found


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyError("user 01104905"), "Answered 500 internal_error, request_id {}: KeyError"),
        (Refused(problem_for_status(504)), "Answered 504 timeout, request_id {}"),
    ],
)
def test_what_is_told_to_the_caller_is_found_in_the_log(
    error: Exception, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = answered(error)
    assert lines(caplog) == [expected.format(told["request_id"])]
    assert "01104905" not in caplog.text


def test_what_is_the_requests_fault_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert answered(Refused(problem_for_status(429)))["status"] == 429
    assert lines(caplog) == []


@pytest.mark.parametrize("error", [DependencyDown("redis://10.0.0.7: user 01104905"), IntentError("user 01104905")])
def test_an_error_of_ours_is_logged_by_its_kind(error: IntentError, caplog: pytest.LogCaptureFixture) -> None:
    handling = RequestHandling(Mock(**{"scoring_for.side_effect": error}))
    request = ScoreRequest.model_validate_json('{"user_id": "01104905"}')
    response = asyncio.run(handling.score(request))
    handling.close()
    request_id = json.loads(bytes(response.body))["request_id"]
    assert lines(caplog) == [f"Answered 503 not_ready, request_id {request_id}: {type(error).__name__}"]
    assert "01104905" not in caplog.text


def test_thousands_are_not_written_and_are_counted(
    log_of_its_own: ProblemLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Mock(return_value=problem_log.time.monotonic())
    monkeypatch.setattr(problem_log, "time", Mock(monotonic=clock))
    for number in range(1000):
        log_of_its_own.note(problem_for_status(503), f"{number}")
    assert len(lines(caplog)) == 100
    clock.return_value += 1.0
    log_of_its_own.note(problem_for_status(503), "last")
    assert lines(caplog)[-1] == "Answered 503 not_ready, request_id last (900 before it have no line)"
