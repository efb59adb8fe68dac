"""Which events can be taken, and why not the others.

The rules are those of an import (`training/adapters/validation.py`), and one more: an event has an id of its own.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from feature_repo.events import EVENT_SCHEMA, EVENT_TYPES

__all__ = ["REASONS", "Event", "Refusal", "judge"]

ID_CHARACTERS = 128
TEXT_CHARACTERS = 1024

REASONS = {
    "not_an_object": "not a JSON object",
    "unknown_field": f"a field that is none of {', '.join(EVENT_SCHEMA.names)}",
    "missing_event_id": "no event_id: without it a repetition cannot be told from a new event",
    "missing_user_id": "nobody is named",
    "id_not_servable": f"an id is longer than {ID_CHARACTERS} characters, or holds others than printable ones",
    "not_a_text": f"a cell holds something else where printable text of at most {TEXT_CHARACTERS} characters belongs",
    "missing_timestamp": "no time is given",
    "unreadable_timestamp": "a time is not ISO 8601 (a bare number could be seconds or milliseconds)",
    "timestamp_out_of_range": "a time is before 1990 or after 2099",
    "missing_event_type": "no kind of event is given",
    "unknown_event_type": f"the kind of event is none of {', '.join(EVENT_TYPES)}",
    "not_a_number": "a cell holds something else where a finite number belongs",
    "negative_quantity": "fewer than no pieces, and it is not a return",
    "unknown_currency": "the currency is not three capital letters (ISO 4217)",
    "from_the_future": "it happened, or became known, later than now; expected a clock that is right",
}
"""Every reason for quarantine; of several, the first that is found is given."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = (datetime(1990, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LATEST = (datetime(2100, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Event:
    """One canonical event (`feature_repo.events.EVENT_SCHEMA`) that was found in order.

    `event_us` and `created_us` are microseconds since 1970, UTC; `created_us` is None where the event does not say when
    it became known. None elsewhere means that the source says nothing.
    """

    event_id: str
    user_id: str
    event_type: str
    event_us: int
    created_us: int | None = None
    item_id: str | None = None
    session_id: str | None = None
    quantity: float | None = None
    revenue: float | None = None
    cost: float | None = None
    currency: str | None = None
    category: str | None = None
    list_price: float | None = None


@dataclass(frozen=True)
class Refusal:
    """Why an event was not taken: a key of `REASONS`, and in `detail` the fields at fault, never their values."""

    reason: str
    detail: str


class _RefusedError(Exception):
    def __init__(self, reason: str, field: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, f"field {field}" if field else "")


def judge(given: Any, now_us: int, tolerance_us: int) -> Event | Refusal:
    """Return the event that `given` describes, or why it cannot be taken.

    Arguments:
        given: a mapping with the names of `EVENT_SCHEMA`; times as ISO 8601 (UTC unless they name a zone) or datetime.
        now_us: the present moment, in microseconds since 1970.
        tolerance_us: how much later than `now_us` (or than the moment at which it says it became known) an event may
            claim to have happened; clocks differ.
    """
    try:
        return _event(given, now_us, tolerance_us)
    except _RefusedError as refused:
        return refused.refusal


def _event(given: Any, now_us: int, tolerance_us: int) -> Event:
    if not isinstance(given, Mapping):
        raise _RefusedError("not_an_object", "")
    unknown = [name for name in given if name not in EVENT_SCHEMA.names]
    if unknown:
        raise _RefusedError("unknown_field", "that is not canonical")
    kind = _kind(given.get("event_type"))
    event_us = _moment("event_timestamp", given.get("event_timestamp"))
    created_us = _moment("created_timestamp", given.get("created_timestamp"))
    if event_us is None:
        raise _RefusedError("missing_timestamp", "event_timestamp")
    if created_us is not None and created_us > now_us + tolerance_us:
        raise _RefusedError("from_the_future", "created_timestamp")
    known_us = now_us if created_us is None else created_us
    if event_us > known_us + tolerance_us:
        raise _RefusedError("from_the_future", "event_timestamp")
    return Event(
        event_id=_id("event_id", given.get("event_id"), "missing_event_id"),
        user_id=_id("user_id", given.get("user_id"), "missing_user_id"),
        event_type=kind,
        event_us=event_us,
        created_us=created_us,
        item_id=_text("item_id", given.get("item_id")),
        session_id=_text("session_id", given.get("session_id")),
        quantity=_quantity(given.get("quantity"), kind),
        revenue=_number("revenue", given.get("revenue")),
        cost=_number("cost", given.get("cost")),
        currency=_currency(given.get("currency")),
        category=_text("category", given.get("category")),
        list_price=_number("list_price", given.get("list_price")),
    )


def _id(field: str, value: Any, missing: str) -> str:
    if _is_missing(value):
        raise _RefusedError(missing, field)
    if not isinstance(value, str) or len(value) > ID_CHARACTERS or not value.isprintable():
        raise _RefusedError("id_not_servable", field)
    return value


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value)  # not `== ""`: arrays and pandas' NA have no answer


def _text(field: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > TEXT_CHARACTERS or not value.isprintable():
        raise _RefusedError("not_a_text", field)
    return value


def _kind(value: Any) -> str:
    if _is_missing(value):
        raise _RefusedError("missing_event_type", "event_type")
    if not isinstance(value, str) or value not in EVENT_TYPES:
        raise _RefusedError("unknown_event_type", "event_type")
    return value


def _moment(field: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        moment = _as_datetime(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        micros = (moment - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, TypeError, OverflowError):
        raise _RefusedError("unreadable_timestamp", field) from None
    if not _EARLIEST <= micros < _LATEST:
        raise _RefusedError("timestamp_out_of_range", field)
    return micros


def _as_datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.match(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError(value)
    return datetime.fromisoformat(value)


def _number(field: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _RefusedError("not_a_number", field)
    try:
        number = float(value)
    except OverflowError:
        raise _RefusedError("not_a_number", field) from None
    if not math.isfinite(number):
        raise _RefusedError("not_a_number", field)
    return number


def _quantity(value: Any, kind: str) -> float | None:
    pieces = _number("quantity", value)
    if pieces is not None and pieces < 0 and kind != "return":
        raise _RefusedError("negative_quantity", "quantity")
    return pieces


def _currency(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or re.fullmatch("[A-Z]{3}", value) is None:
        raise _RefusedError("unknown_currency", "currency")
    return value
