"""How a request that is not valid is told apart: kinds and lengths of what came, and what was expected instead.

Values are never repeated, and of unknown fields not even the names: a caller may have put ids there.
"""

import json
from datetime import datetime
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from services.contract_parts import example_of, first_unlike_an_id
from services.contracts import RequestContext
from services.event_contracts import EventBody, EventKind, Outcome

__all__ = ["example_text", "kind_of", "validation_texts"]

_MOST = 5
_TIME = "an ISO 8601 time with a zone, such as 2001-02-19T00:00:00Z"
_ID = "a text of 1 to 128 printable characters"
_WORD = "a text of 1 to 64 printable characters"
_AMOUNT = "a finite number"
_EXPECTED = {
    "user_id": _ID,
    "item_id": _ID,
    "event_id": _ID,
    "user_ids": "a list of 1 to 1000 different ids, each a text of 1 to 128 printable characters",
    "item_ids": "a list of 1 to 500 different ids, each a text of 1 to 128 printable characters",
    "events": "a list of 1 to 500 events, each an object",
    "outcomes": "a list of 1 to 1000 outcomes, each an object",
    "top": "a whole number from 1 to 500",
    "reasons": "true or false",
    "bought": "true or false",
    "request_id": "the 32 hexadecimal digits of an answer's request_id",
    "at": _TIME,
    "event_timestamp": _TIME,
    "event_type": f"one of {', '.join(get_args(EventKind))}",
    "context": "an object",
    "channel": _WORD,
    "device": _WORD,
    "country": _WORD,
    "session_id": _WORD,
    "session_position": "a whole number from 0 to 1000000",
    "session_seconds": "a finite number from 0 to 10000000",
    "quantity": _AMOUNT,
    "revenue": _AMOUNT,
    "list_price": _AMOUNT,
    "cost": _AMOUNT,
    "currency": "three capital letters",
    "category": "a text of 1 to 1024 printable characters",
}
_NESTED: dict[str, type[BaseModel]] = {"context": RequestContext, "events": EventBody, "outcomes": Outcome}


def example_text(model: type[BaseModel]) -> str:
    """Return a sentence with a body that can be sent as it is."""
    return f"Send for example {json.dumps(example_of(model))}."


def validation_texts(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return what is wrong with a request for `model`, one sentence a mistake, at most five."""
    items = error.errors(include_url=False)
    return sorted({_told(item["type"], item["loc"], item["input"], model) for item in items})[:_MOST]


def _told(kind: str, place: tuple[int | str, ...], received: Any, model: type[BaseModel]) -> str:
    names = [part for part in place if isinstance(part, str)]
    if kind == "extra_forbidden":
        known = ", ".join(_NESTED.get(names[-2] if len(names) > 1 else "", model).model_fields)
        return f"A field{_inside(place[:-1])} is not known; expected only {known}."
    field = names[-1] if names else "body"
    expected = _EXPECTED.get(field, "another value")
    if kind == "missing":
        return f"Field {field!r}{_inside(place[:-1])} is missing; expected {expected}."
    if kind == "value_error" and isinstance(received, list):  # ids, which were looked at as a whole
        entry = first_unlike_an_id(received)
        if received[entry] in received[:entry]:
            return f"Field {field!r}, entry {entry}, repeats an earlier one; expected {expected}."
        place, received = (*place, entry), received[entry]
    if place and isinstance(place[-1], int):
        return f"Field {field!r}, entry {place[-1]}, is {kind_of(received)}; expected {expected}."
    return f"Field {field!r}{_inside(place[:-1])} is {kind_of(received)}; expected {expected}."


def _inside(place: tuple[int | str, ...]) -> str:
    """Say in which part of the body a field is: nothing of one at the top."""
    match place:
        case (*_, str(parent), int(entry)):
            return f" in {parent!r}, entry {entry},"
        case (*_, str(parent)):
            return f" in {parent!r}"
        case _:
            return ""


def kind_of(value: Any) -> str:
    """Return what sort of a value was received, without the value."""
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
        case datetime():
            return "a time without a zone"
        case _:
            return "another value"
