"""From the bytes of a request to its model, or to the problem that says why not. No web, no BentoML."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from feature_repo.errors import RequestError
from services.contracts import RequestContext, example_of
from services.problems import Problem

__all__ = ["Refused", "microseconds", "read_request"]

M = TypeVar("M", bound=BaseModel)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
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
_NESTED: dict[str, type[BaseModel]] = {"context": RequestContext}


class Refused(RequestError):
    """A request that is not answered; `problem` is what the caller is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def read_request(body: bytes, model: type[M], now: datetime, limit: int) -> M:
    """Return the request in `body`; `now` (with a zone) decides what is too far in the future.

    Args:
        body: UTF-8 JSON of at most `limit` bytes.
        model: what it must be; its first example is shown to who sends something else.
        now: the present moment.
        limit: the largest body, in bytes.

    Raises:
        Refused: not UTF-8, not JSON, NaN or Infinity, a field given twice, unknown, missing or out of range, or `at`
            before 1970 or more than a day after `now`. The text tells kinds and lengths, never a value: an id is one.
    """
    if len(body) > limit:
        raise Refused(_too_large(limit, model))
    try:
        request = model.model_validate(_json(body, model))
    except ValidationError as error:
        raise Refused(_invalid(error, model)) from None
    at = getattr(request, "at", None)
    if at is not None and not _EPOCH <= at <= now + _AHEAD:
        raise Refused(_not_in_time(at))
    return request


def microseconds(moment: datetime) -> int:
    """Return `moment` (with a zone) as whole microseconds since 1970 UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _json(body: bytes, model: type[BaseModel]) -> Any:
    try:
        value = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_not_finite, parse_float=_finite)
    except (ValueError, RecursionError):  # bad UTF-8 and bad JSON are both ValueErrors
        raise Refused(
            Problem(
                400,
                "malformed_json",
                "Body is not JSON",
                f"The body ({len(body)} bytes) is not JSON as expected: UTF-8, no field twice, no NaN or Infinity, "
                f"no number beyond a double. {_example(model)}",
            )
        ) from None
    if not isinstance(value, dict):
        raise Refused(_problem([f"The body is {_kind(value)}; expected an object."], model))
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


def _too_large(limit: int, model: type[BaseModel]) -> Problem:
    detail = f"The body has more than {limit} bytes; expected at most that. {_example(model)}"
    return Problem(413, "body_too_large", "Body too large", detail)


def _not_in_time(at: datetime) -> Problem:
    return Problem(
        422,
        "time_out_of_range",
        "Time out of range",
        f"Field 'at' is {'before 1970' if at < _EPOCH else 'more than 1 day in the future'}; expected a time from 1970 "
        "to one day from now. Check the year and the zone, or leave it out to score now.",
    )


def _invalid(error: ValidationError, model: type[BaseModel]) -> Problem:
    # Only the kinds of the values are told, and of unknown fields not even the names: a caller may have put ids there.
    items = error.errors(include_url=False)
    return _problem(sorted({_told(item["type"], item["loc"], item["input"], model) for item in items})[:5], model)


def _problem(texts: list[str], model: type[BaseModel]) -> Problem:
    return Problem(422, "invalid_request", "Request not valid", " ".join([*texts, _example(model)]))


def _example(model: type[BaseModel]) -> str:
    return f"Send for example {json.dumps(example_of(model))}."


def _told(kind: str, place: tuple[int | str, ...], received: Any, model: type[BaseModel]) -> str:
    names = [part for part in place if isinstance(part, str)]
    if kind == "extra_forbidden":
        parent = names[-2] if len(names) > 1 else ""
        known = ", ".join(_NESTED.get(parent, model).model_fields)
        return f"A field{f' in {parent!r}' if parent else ''} is not known; expected only {known}."
    field = names[-1] if names else "body"
    expected = _EXPECTED.get(field, "another value")
    if kind == "missing":
        return f"Field {field!r} is missing; expected {expected}."
    return f"Field {field!r} is {_kind(received)}; expected {expected}."


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
