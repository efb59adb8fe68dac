"""Events applied to the online views: exactly once in what they do, however often they are applied.

`user_events` merges by event. A row of `user_counters` tells which events it counts: those that were known by its
creation time, up to its sequence number. What it lacks is asked of the outbox whenever it is changed, so a row is right
whatever came before: a crash, another consumer, or a materialisation that took it back to what the log held once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from feature_repo.errors import DependencyDown, DifferenceFound
from feature_repo.events import event_key
from feature_repo.streaming.outbox import Outbox, Stored
from feature_repo.streaming.views import SEQUENCE, USER_COUNTERS, USER_EVENTS
from intent_stores.errors import OnlineStoreUnavailableError
from intent_stores.packed_codec import ABSENT, NEVER, OK, OTHER_SCHEMA, RowTimes, decode_rows, encode_rows, row_reason
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_merge import merge_lists
from intent_stores.packed_reader import PackedStore
from intent_stores.packed_schema import PackedSchema
from intent_stores.ragged_column import Ragged

__all__ = ["OnlineViews"]

_POSITION_KEY = b"#streamed"  # no entity's key: those are `name:type=value`
_POSITION = PackedSchema({"seq": "Int64", "event": "Int64"})


class Reached(NamedTuple):
    """The event up to which the stream was applied: its number, and its `event_key` (None: not known which it was)."""

    seq: int
    event_key: int | None


class OnlineViews:
    """The streamed views of one online store.

    Up to where the stream was applied is kept in the store itself, so that a store which was emptied, replaced or
    brought back from a copy says so. It has no position before it was materialised: counters need what was before.
    """

    def __init__(self, store: PackedStore) -> None:
        self._store = store

    def position(self) -> int | None:
        """Return the number of the event up to which the stream was applied; None if the store was not materialised.

        Raises:
            DependencyDown: the store does not answer.
        """
        reached = self.reached()
        return None if reached is None else reached.seq

    def reached(self) -> Reached | None:
        """Return the event up to which the stream was applied; None if the store was not materialised.

        Raises:
            DependencyDown: the store does not answer.
        """
        found = self._store.fetch([(USER_COUNTERS.name, [_POSITION_KEY])])
        if found.trouble is not None and not found.trouble.startswith("no file"):
            raise DependencyDown(
                f"The online store does not answer ({found.trouble}); acknowledged events wait for it."
            )
        return _unpacked(found.values[0][0])

    def begin(self, seq: int, event_id: str | None = None) -> None:
        """Note that the store holds what the log held, with the stream up to `seq`: from there it is applied again.

        Arguments:
            event_id: that of the event `seq`, by which another outbox is told; None where it is not known.

        Raises:
            DependencyDown: the store cannot be written.
        """
        key = None if event_id is None else event_key(event_id)
        self._change(USER_COUNTERS.name, [_POSITION_KEY], lambda places, held: [_packed(Reached(seq, key))])

    def advance(self, before: Reached, last: Stored) -> None:
        """Move the position from `before` to the event `last`, unless somebody else has moved it."""
        after = Reached(last.seq, event_key(last.event.event_id))

        def moved(places: Sequence[int], held: Sequence[bytes | None]) -> list[bytes | None]:
            return [_packed(after) if _unpacked(held[0]) == before else None]

        self._change(USER_COUNTERS.name, [_POSITION_KEY], moved)

    def apply(self, events: Sequence[Stored], outbox: Outbox) -> None:
        """Bring these events, and whatever their customers' counters lack before them, online.

        Raises:
            DependencyDown: the store or the outbox does not answer; to apply the same events again is safe.
        """
        mine: dict[str, list[Stored]] = {}
        for stored in events:
            mine.setdefault(stored.event.user_id, []).append(stored)
        users = list(mine)
        keys = entity_keys(["user_id"], {"user_id": users})
        lists = _packed_lists(list(mine.values()))

        def merged(places: Sequence[int], held: Sequence[bytes | None]) -> list[bytes | None]:
            found = merge_lists(USER_EVENTS.schema, SEQUENCE, held, [lists[p] for p in places], range(len(held)))
            # A list of another schema waits for the next materialisation: anew, it would hold these events alone.
            waits = [row_reason(USER_EVENTS.schema, packed) == OTHER_SCHEMA for packed in held]
            return [None if other else row for row, other in zip(found, waits, strict=True)]

        def counted(places: Sequence[int], held: Sequence[bytes | None]) -> list[bytes | None]:
            if not places[0]:  # the position: gone if the store is being emptied, and then no counter may begin anew
                return [None, *counted(places[1:], held[1:])] if held[0] and places[1:] else [None] * len(places)
            return _count([users[place - 1] for place in places], held, outbox)

        self._change(USER_EVENTS.name, keys, merged)
        self._change(USER_COUNTERS.name, [_POSITION_KEY, *keys], counted)

    def _change(self, view: str, keys: Sequence[bytes], change: Any) -> None:
        try:
            self._store.change(view, keys, change)
        except OnlineStoreUnavailableError as error:
            raise DependencyDown(f"{error} Acknowledged events wait for it.") from error


def require_same_stream(reached: Reached, found: Stored | None) -> None:
    """Refuse an outbox that is not the one which was applied.

    Arguments:
        found: the event that has the number `reached.seq` in the outbox.

    Raises:
        DifferenceFound: there is none, or another one; its first events would be taken for applied.
    """
    if found is not None and reached.event_key in (None, event_key(found.event.event_id)):
        return
    raise DifferenceFound(
        f"The online store holds the stream up to event {reached.seq}, but the outbox "
        f"{'ends before it' if found is None else 'has another event of that number'}; expected the outbox that the "
        "store was filled from. Bring it back, or run `intent materialize` to begin with this one."
    )


def _packed_lists(groups: Sequence[Sequence[Stored]]) -> list[bytes]:
    """Pack each customer's events as one row of `user_events`."""
    offsets = np.cumsum([0, *map(len, groups)], dtype=np.int64)
    flat = [stored for group in groups for stored in group]
    texts = {"event_type": "event_type", "event_item": "item_id", "event_category": "category"}
    amounts = {
        "event_quantity": "quantity",
        "event_revenue": "revenue",
        "event_cost": "cost",
        "event_price": "list_price",
    }
    values: dict[str, Any] = {
        "event_at": np.array([stored.event.event_us for stored in flat], np.int64),
        "event_known_at": np.array([stored.created_us for stored in flat], np.int64),
        "event_key": np.array([event_key(stored.event.event_id) for stored in flat], np.int64),
    }
    for name, field in texts.items():
        values[name] = np.array([getattr(stored.event, field) or "" for stored in flat], object)
    for name, field in amounts.items():
        known = [getattr(stored.event, field) for stored in flat]
        values[name] = np.array([np.nan if amount is None else amount for amount in known], np.float64)
    columns = {name: Ragged(column, offsets) for name, column in values.items()}
    newest = [max(stored.event.event_us for stored in group) for group in groups]
    known_last = [group[-1].created_us for group in groups]
    return encode_rows(USER_EVENTS.schema, columns, RowTimes.of(newest, known_last))


def _count(users: Sequence[str], held: Sequence[bytes | None], outbox: Outbox) -> list[bytes | None]:
    """Return each customer's counters with the events that they lack; None where nothing changes or can be known."""
    rows = decode_rows(USER_COUNTERS.schema, held)
    counted_to = np.where(rows.reason == OK, rows.times.sequence, 0)
    # A row of another schema counts something else: it waits for the next materialisation.
    known = (rows.reason == OK) | (rows.reason == ABSENT)
    event_us, created_us = rows.times.event_us.copy(), rows.times.created_us.copy()
    reached = zip(users, counted_to.tolist(), created_us.tolist(), known.tolist(), strict=True)
    lacking = outbox.lacking({user: (seq, at) for user, seq, at, can_be in reached if can_be})
    columns = {name: np.array(column) for name, column in rows.values.items()}
    for place, user in enumerate(users):
        for stored in lacking.get(user, ()):
            at, first = stored.event.event_us, event_us[place] == NEVER
            columns[f"{stored.event.event_type}_count"][place] += 1
            columns["first_event_at"][place] = at if first else min(columns["first_event_at"][place], at)
            event_us[place], created_us[place] = max(event_us[place], at), max(created_us[place], stored.created_us)
            columns["last_event_at"][place] = event_us[place]
            counted_to[place] = max(counted_to[place], stored.seq)
    packed = encode_rows(USER_COUNTERS.schema, columns, RowTimes(event_us, created_us, counted_to))
    return [value if user in lacking else None for user, value in zip(users, packed, strict=True)]


def _unpacked(packed: bytes | None) -> Reached | None:
    rows = decode_rows(_POSITION, [packed])
    if rows.reason[0] != OK:
        return None
    seq, event = (int(np.asarray(rows.values[name])[0]) for name in ("seq", "event"))
    return Reached(seq, event if rows.valid["event"][0] else None)


def _packed(reached: Reached) -> bytes:
    columns = {"seq": np.array([reached.seq], object), "event": np.array([reached.event_key], object)}
    return encode_rows(_POSITION, columns, RowTimes.of([0], 0, reached.seq))[0]
