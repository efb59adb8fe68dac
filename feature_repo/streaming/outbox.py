"""The outbox: a durable, ordered list of accepted events in SQL. That an event is in it is its acknowledgement.

Events are numbered without gaps (`seq`), in the order in which they were accepted, by whoever: each append holds the
row of `stream_head`, so that nobody sees number n before n - 1. Their creation times rise with their numbers.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from feature_repo.streaming.outbox_database import EVENTS, HEAD, QUARANTINE, OutboxDatabase
from feature_repo.streaming.validation import Event, Refusal

__all__ = ["Outbox", "Receipt", "Stored"]

_IDS_AT_ONCE = 500
_VALUES_KEPT = 10_000  # characters of a refused event
_COLUMNS = sa.select(*EVENTS.c)
_LACKING = """
    SELECT e.* FROM {wanted} ON e.user_id = {user} AND e.seq > {seq}
    UNION SELECT e.* FROM {wanted} ON e.user_id = {user} AND e.created_us > {created_us} ORDER BY seq
"""
_WANTED = {
    "sqlite": {
        "wanted": "json_each(:wanted) AS w CROSS JOIN stream_events AS e",  # in this order: by index
        "user": "w.value->>0", "seq": "w.value->>1", "created_us": "w.value->>2",
    },
    "postgresql": {
        "wanted": "json_array_elements(CAST(:wanted AS json)) AS w JOIN stream_events AS e",
        "user": "w->>0", "seq": "CAST(w->>1 AS bigint)", "created_us": "CAST(w->>2 AS bigint)",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """An event of the outbox: its number (from 1), and the event with the times that count."""

    seq: int
    event: Event

    @property
    def created_us(self) -> int:
        """When it became known: never before it happened, never before an event with a lower number."""
        assert self.event.created_us is not None  # noqa: S101  the column is NOT NULL
        return self.event.created_us


@dataclass(frozen=True)
class Receipt:
    """What became of an event: its number in the outbox, or why it is in quarantine.

    `is_new` is False for a repetition of an `event_id`, which changes nothing: `seq` is then the first one's.
    """

    seq: int | None
    is_new: bool = False
    refusal: Refusal | None = None


class Outbox:
    """The outbox at an SQL address. May be used from several threads and processes; nothing is opened before first use.

    Arguments:
        url: `sqlite:///relative.db` or `sqlite:////absolute.db` (missing folders are made), or
            `postgresql://user:password@host:port/database`.

    Raises:
        SettingsError: the URL is none of these.
    """

    def __init__(self, url: str) -> None:
        self._database = OutboxDatabase(url)

    def append(self, judged: Sequence[tuple[Event | Refusal, Any]], now_us: int | None = None) -> list[Receipt]:
        """Store events and refusals in one transaction, and return what became of each, in their order.

        An event becomes known now, or when it says (`created_us`), but never before the last one of the outbox; one
        that claims to have happened later than that happened then: clocks differ.

        Arguments:
            judged: what `judge` said, and what it was said of.
            now_us: the present moment; None asks the clock.

        Raises:
            DependencyDown: the database cannot be written. Nothing of this call was stored, nothing acknowledged.
        """
        now_us = time.time_ns() // 1000 if now_us is None else now_us
        events = [event for event, _ in judged if isinstance(event, Event)]
        with self._database.writing() as connection:
            head = connection.execute(sa.select(HEAD.c.seq, HEAD.c.created_us).with_for_update()).one()
            known = self._known(connection, [event.event_id for event in events])
            fresh = _numbered([e for e in events if e.event_id not in known], head.seq, head.created_us, now_us)
            if fresh:
                connection.execute(sa.insert(EVENTS), [_row(stored) for stored in fresh])
                last = {"seq": fresh[-1].seq, "created_us": fresh[-1].created_us}
                connection.execute(sa.update(HEAD).values(last))
            self._set_apart(connection, [(r, given) for r, given in judged if isinstance(r, Refusal)], now_us)
        numbers = known | {stored.event.event_id: stored.seq for stored in fresh}
        return _receipts([one for one, _ in judged], numbers, {stored.event.event_id for stored in fresh})

    def head(self) -> int:
        """Return the number of the last event; 0 if there is none.

        Raises:
            DependencyDown: the database cannot be read.
        """
        with self._database.reading() as connection:
            return int(connection.execute(sa.select(HEAD.c.seq)).scalar_one())

    def known_by(self, at_us: int) -> int:
        """Return the number of the last event that was known at a moment; 0 if there is none."""
        with self._database.reading() as connection:
            query = sa.select(sa.func.max(EVENTS.c.seq)).where(EVENTS.c.created_us <= at_us)
            return int(connection.execute(query).scalar() or 0)

    def after(self, seq: int, limit: int, until: int | None = None) -> list[Stored]:
        """Return up to `limit` events with numbers above `seq` (and not above `until`), in order."""
        query = _COLUMNS.where(EVENTS.c.seq > seq).order_by(EVENTS.c.seq).limit(limit)
        query = query if until is None else query.where(EVENTS.c.seq <= until)
        with self._database.reading() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def lacking(self, known: Mapping[str, tuple[int, int]]) -> dict[str, list[Stored]]:
        """Return each customer's events that are not among those known so far, in order; nobody without any.

        Arguments:
            known: customer → (seq, created_us): all events up to this number that were known by that moment.
        """
        query = sa.text(_LACKING.format(**_WANTED[self._database.dialect]))
        wanted = json.dumps([[user, *reached] for user, reached in known.items()])
        found: dict[str, list[Stored]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(query, {"wanted": wanted}):
                found.setdefault(row.user_id, []).append(_stored(row))
        return found

    def quarantined(self) -> dict[str, int]:
        """Return how many events are in quarantine, by reason."""
        query = sa.select(QUARANTINE.c.reason, sa.func.count()).group_by(QUARANTINE.c.reason)
        with self._database.reading() as connection:
            return {reason: count for reason, count in connection.execute(query.order_by(QUARANTINE.c.reason))}

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _known(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for start in range(0, len(ids), _IDS_AT_ONCE):
            chosen = EVENTS.c.event_id.in_(ids[start : start + _IDS_AT_ONCE])
            rows = connection.execute(sa.select(EVENTS.c.event_id, EVENTS.c.seq).where(chosen))
            found.update({event_id: seq for event_id, seq in rows})
        return found

    def _set_apart(self, connection: sa.Connection, refused: Sequence[tuple[Refusal, Any]], now_us: int) -> None:
        rows = {row["digest"]: row for row in (_refused(refusal, given, now_us) for refusal, given in refused)}
        if rows:
            there = connection.execute(sa.select(QUARANTINE.c.digest).where(QUARANTINE.c.digest.in_(list(rows))))
            fresh = [rows[digest] for digest in rows.keys() - set(there.scalars())]
            if fresh:
                connection.execute(sa.insert(QUARANTINE), fresh)


def _numbered(events: Sequence[Event], seq: int, created_us: int, now_us: int) -> list[Stored]:
    """Number the events after `seq`, and settle their times; of equal ids only the first counts."""
    different: dict[str, Event] = {}
    for event in events:
        different.setdefault(event.event_id, event)
    found = []
    for event in different.values():
        seq += 1
        created_us = max(created_us, now_us if event.created_us is None else min(event.created_us, now_us))
        settled = replace(event, created_us=created_us, event_us=min(event.event_us, created_us))
        found.append(Stored(seq, settled))
    return found


def _receipts(judged: Sequence[Event | Refusal], numbers: Mapping[str, int], fresh: set[str]) -> list[Receipt]:
    found, fresh = [], set(fresh)
    for one in judged:
        if isinstance(one, Refusal):
            found.append(Receipt(None, refusal=one))
        else:
            found.append(Receipt(numbers[one.event_id], is_new=one.event_id in fresh))
            fresh.discard(one.event_id)  # its repetitions in the same call are none
    return found


def _row(stored: Stored) -> dict[str, Any]:
    return {"seq": stored.seq, **asdict(stored.event)}


def _stored(row: Any) -> Stored:
    values = dict(row._mapping)
    return Stored(values.pop("seq"), Event(**values))


def _shown(given: Any) -> str:
    """Return JSON of a refused event; of one that JSON cannot hold, of those of its cells that it can."""
    if not isinstance(given, Mapping):
        return _cell(given)
    try:
        return json.dumps({str(name): value for name, value in given.items()}, default=str)
    except Exception:  # whatever is wrong with one event must not hold up the others
        return "{" + ", ".join(f"{_cell(name)}: {_cell(value)}" for name, value in given.items()) + "}"


def _cell(value: Any) -> str:
    try:
        return json.dumps(value, default=str)
    except Exception:
        return json.dumps(f"a {type(value).__name__} that cannot be shown")


def _refused(refusal: Refusal, given: Any, now_us: int) -> dict[str, Any]:
    values = _shown(given)[:_VALUES_KEPT]
    digest = hashlib.sha256(f"{refusal.reason}\0{values}".encode()).hexdigest()
    return {"digest": digest, "received_us": now_us, **asdict(refusal), "source_values": values}
