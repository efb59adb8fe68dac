import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.batch_contracts import ScoreBatchRequest
from services.contracts import ScoreRequest
from services.event_contracts import EventsRequest, FeedbackRequest
from services.request_reading import Refused, microseconds, read_request
from services.routes import BODY_BYTES

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def read(body: str | bytes):
    return read_request(body.encode() if isinstance(body, str) else body, ScoreRequest, NOW, BODY_BYTES)


def test_a_full_request_is_read() -> None:
    request = read(
        '{"user_id": "01104905", "at": "2001-02-19T01:00:00.000001+01:00", '
        '"context": {"channel": "web", "session_position": 3, "session_seconds": 1.5}}'
    )
    assert request.user_id == "01104905"
    assert request.at is not None
    assert microseconds(request.at) == 982540800000001
    assert request.context is not None
    assert request.context.session_position == 3


def test_at_may_be_left_out_or_null() -> None:
    assert read('{"user_id": "a"}').at is None
    assert read('{"user_id": "a", "at": null}').at is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("", 400, "malformed_json"),
        ("user_id=1", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        ('{"user_id": "a"', 400, "malformed_json"),
        ('{"user_id": "a", "user_id": "b"}', 400, "malformed_json"),
        ('{"user_id": "a", "context": {"session_seconds": NaN}}', 400, "malformed_json"),
        ('{"user_id": "a", "context": {"session_seconds": -Infinity}}', 400, "malformed_json"),
        ('{"user_id": "a", "context": {"session_seconds": 1e999}}', 400, "malformed_json"),
        ('{"user_id": ' + "9" * 5000 + "}", 400, "malformed_json"),
        ("[" * 30_000, 400, "malformed_json"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, 400, "malformed_json"),
        ("[]", 422, "invalid_request"),
        ("null", 422, "invalid_request"),
        ("{}", 422, "invalid_request"),
        ('{"user_id": null}', 422, "invalid_request"),
        ('{"user_id": 1104905}', 422, "invalid_request"),
        ('{"user_id": ["a"]}', 422, "invalid_request"),
        ('{"user_id": ""}', 422, "invalid_request"),
        ('{"user_id": "a\\u0000b"}', 422, "invalid_request"),
        ('{"user_id": "\\ud800"}', 422, "invalid_request"),
        ('{"user_id": "' + "x" * 129 + '"}', 422, "invalid_request"),
        ('{"user_id": "' + "x" * 10_000 + '"}', 422, "invalid_request"),
        ('{"user_id": "a", "colour": 1}', 422, "invalid_request"),
        ('{"user_id": "a", "context": {"colour": 1}}', 422, "invalid_request"),
        ('{"user_id": "a", "context": []}', 422, "invalid_request"),
        ('{"user_id": "a", "context": {"session_position": "three"}}', 422, "invalid_request"),
        ('{"user_id": "a", "context": {"session_position": 3.5}}', 422, "invalid_request"),
        ('{"user_id": "a", "context": {"session_position": true}}', 422, "invalid_request"),
        ('{"user_id": "a", "context": {"session_position": -1}}', 422, "invalid_request"),
        ('{"user_id": "a", "context": {"session_position": 12345678901234567890123}}', 422, "invalid_request"),
        ('{"user_id": "a", "context": {"session_seconds": "NaN"}}', 422, "invalid_request"),
        ('{"user_id": "a", "at": 981331200}', 422, "invalid_request"),
        ('{"user_id": "a", "at": "981331200"}', 422, "invalid_request"),
        ('{"user_id": "a", "at": "2001-02-19"}', 422, "invalid_request"),
        ('{"user_id": "a", "at": "2001-02-19T00:00:00"}', 422, "invalid_request"),
        ('{"user_id": "a", "at": "2001-02-30T00:00:00Z"}', 422, "invalid_request"),
        ('{"user_id": "a", "at": "yesterday"}', 422, "invalid_request"),
        ('{"user_id": "a", "at": "9999-12-31T00:00:00Z"}', 422, "time_out_of_range"),
        ('{"user_id": "a", "at": "9999-12-31T23:59:59-23:59"}', 422, "time_out_of_range"),
        ('{"user_id": "a", "at": "0001-01-01T00:00:00+23:59"}', 422, "time_out_of_range"),
        ('{"user_id": "a", "at": "1969-12-31T23:59:59Z"}', 422, "time_out_of_range"),
        ('{"user_id": "' + "x" * 70_000 + '"}', 413, "body_too_large"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str | bytes) else None,
)
def test_a_bad_request_is_refused_with_a_code(body: str | bytes, status: int, code: str) -> None:
    with pytest.raises(Refused) as caught:
        read(body)
    assert (caught.value.problem.status, caught.value.problem.code) == (status, code)


def test_a_day_ahead_is_still_answered() -> None:
    assert read(f'{{"user_id": "a", "at": "{(NOW + timedelta(days=1)).isoformat()}"}}').at == NOW + timedelta(days=1)
    with pytest.raises(Refused, match="more than 1 day in the future"):
        read(f'{{"user_id": "a", "at": "{(NOW + timedelta(days=1, seconds=1)).isoformat()}"}}')


def test_the_text_tells_what_came_what_was_expected_and_what_to_do() -> None:
    with pytest.raises(Refused) as caught:
        read('{"user_id": "' + "x" * 10_000 + '", "colour": 1}')
    detail = caught.value.problem.detail
    assert "Field 'user_id' is a text of 10000 characters; expected a text of 1 to 128 printable characters." in detail
    assert "A field is not known; expected only user_id, item_id, at, context, reasons." in detail
    assert "Send for example" in detail


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (["a", "b", "bcd\u0007e"], "entry 2, is a text of 5 characters; expected a list of 1 to 1000 different ids"),
        (["a", "bcdef", "bcdef"], "entry 2, repeats an earlier one; expected a list of 1 to 1000 different ids"),
    ],
)
def test_the_entry_of_a_list_that_is_at_fault_is_named(ids: list[str], told: str) -> None:
    with pytest.raises(Refused) as caught:
        read_request(json.dumps({"user_ids": ids}).encode(), ScoreBatchRequest, NOW, 10_000)
    assert f"Field 'user_ids', {told}" in caught.value.problem.detail


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"event_type": "bought"},
            "Field 'event_type' in 'events', entry 1, is a text of 6 characters; expected one of",
        ),
        ({"colour": 1}, "A field in 'events', entry 1, is not known; expected only event_id, "),
        ({"user_id": ...}, "Field 'user_id' in 'events', entry 1, is missing; expected a text of"),
    ],
)
def test_the_first_event_that_is_at_fault_is_named(change: dict[str, Any], told: str) -> None:
    good = {"event_id": "a", "user_id": "b", "event_type": "view", "event_timestamp": "2024-05-01T09:30:00Z"}
    bad = {name: value for name, value in (good | change).items() if value is not ...}
    with pytest.raises(Refused) as caught:
        read_request(json.dumps({"events": [good, bad, good]}).encode(), EventsRequest, NOW, 10_000)
    assert told in caught.value.problem.detail


@pytest.mark.parametrize(
    "body",
    [
        '{"user_id": 20070405123}',
        '{"user_id": "a", "20070405123": 1}',
        '{"user_id": "a", "at": "20070405123"}',
        '{"user_id": "a", "context": {"session_position": "20070405123"}}',
        '{"user_id": "20070405123',
    ],
)
def test_nothing_that_was_sent_is_repeated(body: str) -> None:
    with pytest.raises(Refused) as caught:
        read(body)
    assert "20070405123" not in caught.value.problem.body("r").decode()


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-01-02T12:00:01Z"])
def test_an_outcome_lies_between_1970_and_a_day_from_now(at: str) -> None:
    outcomes = [{"request_id": "0" * 32, "bought": True, "at": moment} for moment in ("2025-12-31T00:00:00Z", at)]
    with pytest.raises(Refused) as caught:
        read_request(json.dumps({"outcomes": outcomes}).encode(), FeedbackRequest, NOW, 10_000)
    assert (caught.value.problem.status, caught.value.problem.code) == (422, "time_out_of_range")
    assert (
        len(read_request(json.dumps({"outcomes": outcomes[:1]}).encode(), FeedbackRequest, NOW, 10_000).outcomes) == 1
    )
