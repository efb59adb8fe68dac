"""From the bytes of a request to a `ScoreRequest`, or to the problem that says why not. No web, no BentoML."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from feature_repo.errors import RequestError
from services.contracts import ScoreRequest
from services.problems import Problem

__all__ = ["MAX_BODY_BYTES", "Refused", "microseconds", "read_score_request"]

MAX_BODY_BYTES = 64 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
_EXAMPLE = 'Send for example {"user_id": "01104905", "at": "2001-02-19T00:00:00Z"}.'
_KNOWN = {
    (): "user_id, at, context",
    ("context",): "channel, device, country, session_position, session_seconds",
}
_EXPECTED = {
    "user_id": "a text of 1 to 128 printable characters",
    "at": "an ISO 8601 time with a zone, such as 2001-02-19T00:00:00Z",
    "context": "an object",
    "channel": "a text of 1 to 64 printable characters",
    "device": "a text of 1 to 64 printable characters",
    "country": "a text of 1 to 64 printable characters",
    "session_position": "a whole number from 0 to 1000000",
    "session_seconds": "a finite number from 0 to 10000000",
}


class Refused(RequestError):
    """A request that is not answered; `problem` is what the caller is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def read_score_request(body: bytes, now: datetime) -> ScoreRequest:
    """Return the request in `body`; `now` (with a zone) decides what is too far in the future.

    Raises:
        Refused: not UTF-8, not JSON, NaN or Infinity, a field given twice, unknown, missing or out of range, or `at`
            before 1970 or more than a day after `now`. The text tells kinds and lengths, never a value: an id is one.
    """
    if len(body) > MAX_BODY_BYTES:
        raise Refused(_too_large())
    try:
        request = ScoreRequest.model_validate(_json(body))
    except ValidationError as error:
        raise Refused(_invalid(error)) from None
    if request.at is not None and not _EPOCH <= request.at <= now + _AHEAD:
        raise Refused(
            Problem(
                422,
                "time_out_of_range",
                "Time out of range",
                f"Field 'at' is {'before 1970' if request.at < _EPOCH else 'more than 1 day in the future'}; expected "
                "a time from 1970 to one day from now. Check the year and the zone, or leave it out to score now.",
            )
        )
    return request


def microseconds(moment: datetime) -> int:
    """Return `moment` (with a zone) as whole microseconds since 1970 UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_not_finite, parse_float=_finite)
    except (ValueError, RecursionError):  # bad UTF-8 and bad JSON are both ValueErrors
        raise Refused(
            Problem(
                400,
                "malformed_json",
                "Body is not JSON",
                f"The body ({len(body)} bytes) is not JSON as expected: UTF-8, no field twice, no NaN or Infinity, "
                f"no number beyond a double. {_EXAMPLE}",
            )
        ) from None
    if not isinstance(value, dict):
        raise Refused(_problem([f"The body is {_kind(value)}; expected an object."]))
    at = value.get("at")
    if isinstance(at, str):
        value["at"] = _time(at)
    return value


def _time(text: str) -> Any:
    # Not pydantic's own reading, which also takes "981331200" for seconds since 1970: a mistake of units would pass.
    try:
        return datetime.fromisoformat(text) if len(text) <= 40 and text[10:11] in ("T", "t", " ") else text
    except ValueError:
        return text


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    listed = list(pairs)
    value = dict(listed)
    if len(value) != len(listed):
        raise ValueError("a field was given twice")
    return value


def _not_finite(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("beyond a double")
    return value


def _too_large() -> Problem:
    return Problem(
        413,
        "body_too_large",
        "Body too large",
        f"The body has more than {MAX_BODY_BYTES} bytes; expected at most that. {_EXAMPLE}",
    )


def _invalid(error: ValidationError) -> Problem:
    # Only the kinds of the values are told, and of unknown fields not even the names: a caller may have put ids there.
    texts = {_told(item["type"], item["loc"], item["input"]) for item in error.errors(include_url=False)}
    return _problem(sorted(texts)[:5])


def _problem(texts: list[str]) -> Problem:
    return Problem(422, "invalid_request", "Request not valid", " ".join([*texts, _EXAMPLE]))


def _told(kind: str, place: tuple[int | str, ...], received: Any) -> str:
    if kind == "extra_forbidden":
        parent = tuple(str(part) for part in place[:-1])
        where = " in 'context'" if parent else ""
        return f"A field{where} is not known; expected only {_KNOWN[parent]}."
    field = str(place[-1]) if place else "body"
    if kind == "missing":
        return f"Field {field!r} is missing; expected {_EXPECTED[field]}."
    return f"Field {field!r} is {_kind(received)}; expected {_EXPECTED.get(field, 'another value')}."


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return f"a text of {len(value)} characters"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
        case _:
            return "a time without a zone"
