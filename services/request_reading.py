"""From the bytes of a request to its model, or to the problem that says why not. No web, no BentoML."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.problems import Problem, Refused
from services.request_texts import example_text, kind_of, validation_texts

__all__ = ["Refused", "microseconds", "read_request"]

M = TypeVar("M", bound=BaseModel)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
_TIMES = ("at", "event_timestamp")


def read_request(body: bytes, model: type[M], now: datetime, limit: int) -> M:
    """Return the request in `body`; `now` (with a zone) decides what is too far in the future.

    Args:
        body: UTF-8 JSON of at most `limit` bytes.
        model: what it must be; its example is shown to who sends something else.
        now: the present moment.
        limit: the largest body, in bytes.

    Raises:
        Refused: not UTF-8, not JSON, NaN or Infinity, a field given twice, unknown, missing or out of range, or `at`
            before 1970 or more than a day after `now`. The text tells kinds and lengths, never a value: an id is one.
    """
    if len(body) > limit:
        detail = f"The body has more than {limit} bytes; expected at most that. {example_text(model)}"
        raise Refused(Problem(413, "body_too_large", "Body too large", detail))
    try:
        request = model.model_validate(_json(body, model))
    except ValidationError as error:
        raise Refused(_invalid(validation_texts(error, model), model)) from None
    for at in _moments(request):
        if not _EPOCH <= at <= now + _AHEAD:
            raise Refused(_not_in_time(at))
    return request


def _moments(request: BaseModel) -> list[datetime]:
    asked = [request, *getattr(request, "outcomes", ())]
    return [at for at in (getattr(each, "at", None) for each in asked) if at is not None]


def microseconds(moment: datetime) -> int:
    """Return `moment` (with a zone) as whole microseconds since 1970 UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _json(body: bytes, model: type[BaseModel]) -> Any:
    try:
        value = json.loads(body.decode(), object_pairs_hook=_pairs, parse_constant=_not_finite, parse_float=_finite)
    except (ValueError, RecursionError):  # bad UTF-8 and bad JSON are both ValueErrors
        raise Refused(
            Problem(
                400,
                "malformed_json",
                "Body is not JSON",
                f"The body ({len(body)} bytes) is not JSON as expected: UTF-8, no field twice, no NaN or Infinity, "
                f"no number beyond a double. {example_text(model)}",
            )
        ) from None
    if not isinstance(value, dict):
        raise Refused(_invalid([f"The body is {kind_of(value)}; expected an object."], model))
    return value


def _pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its fields: each may come once, and times are read."""
    listed = list(pairs)
    value = dict(listed)
    if len(value) != len(listed):
        raise ValueError("a field was given twice")
    for name in _TIMES:
        if isinstance(given := value.get(name), str):
            value[name] = _time(given)
    return value


def _time(text: str) -> Any:
    # Not pydantic's own reading, which also takes "981331200" for seconds since 1970: a mistake of units would pass.
    try:
        return datetime.fromisoformat(text) if len(text) <= 40 and text[10:11] in ("T", "t", " ") else text
    except ValueError:
        return text


def _not_finite(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("beyond a double")
    return value


def _not_in_time(at: datetime) -> Problem:
    return Problem(
        422,
        "time_out_of_range",
        "Time out of range",
        f"Field 'at' is {'before 1970' if at < _EPOCH else 'more than 1 day in the future'}; expected a time from 1970 "
        "to one day from now. Check the year and the zone, or leave it out.",
    )


def _invalid(texts: list[str], model: type[BaseModel]) -> Problem:
    return Problem(422, "invalid_request", "Request not valid", " ".join([*texts, example_text(model)]))
