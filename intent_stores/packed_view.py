"""What a reader must know of a view, and what it answers: columns, and whether each row may be used.

Time rule: ages are measured at the reader's `at`, never at the wall clock, so that a replay of the past sees what the
past saw. A row that happened, or became known, after `at` is missing; one older than the view's time to live is stale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from intent_stores.errors import ConfigurationError
from intent_stores.packed_codec import (
    ABSENT,
    CORRUPT,
    NEVER,
    OK,
    OTHER_SCHEMA,
    DecodedRows,
    decode_alone,
    decode_rows,
    schema_digest,
    shared,
)
from intent_stores.packed_schema import PackedSchema
from intent_stores.ragged_column import Column, Ragged

FRESH, STALE, MISSING = "fresh", "stale", "missing"

EXPIRED, NOT_YET = 4, 5
REASONS = {
    OK: None,
    ABSENT: "absent",
    CORRUPT: "corrupt",
    OTHER_SCHEMA: "other schema",
    EXPIRED: "expired",
    NOT_YET: "newer than at",
}
_REASON_TEXTS = np.array([REASONS[code] for code in range(len(REASONS))], object)
_STATUS_TEXTS = np.array([STALE if c == EXPIRED else MISSING if c else FRESH for c in range(len(REASONS))], object)
_ONE_FRESH, _ONE_NOTHING = shared(FRESH, object, 1), shared(None, object, 1)


@dataclass(frozen=True)
class PackedView:
    """A view as a reader sees it. Everything is plain data, so that it fits into a model's manifest.

    Attributes:
        name: the view's name (with `_v2` where Feast's versioning is on).
        fields: feature → kind, as `PackedSchema`.
        join_keys: names of the entity's columns; none for a view without entities.
        ttl_us: time to live in microseconds; 0 means for ever.
    """

    name: str
    fields: Mapping[str, str]
    join_keys: Sequence[str] = ()
    ttl_us: int = 0

    @cached_property
    def schema(self) -> PackedSchema:
        """The layout of the view's rows."""
        return PackedSchema(dict(self.fields))

    def differs_from(self, values: Sequence[bytes]) -> bool:
        """Return whether there are packed values, and every one of them was written by another schema."""
        return bool(values) and all(schema_digest(value) != self.schema.digest for value in values)

    def as_dict(self) -> dict[str, Any]:
        """Return the view as JSON can hold it."""
        return {
            "name": self.name,
            "fields": dict(self.fields),
            "join_keys": list(self.join_keys),
            "ttl_us": self.ttl_us,
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "PackedView":
        """Return the view that `as_dict` described.

        Raises:
            ConfigurationError: a part is missing or a kind is unknown.
        """
        try:
            view = cls(str(given["name"]), dict(given["fields"]), tuple(given["join_keys"]), int(given["ttl_us"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"A packed view is described by {given!r}; expected as_dict's.") from error
        _ = view.schema
        return view


class ViewColumns(NamedTuple):
    """n rows of one view, in the order of the keys asked for.

    Attributes:
        values: feature → (n,) array in the kind's dtype, or a `Ragged` of n lists (see `DecodedRows`). Rows that are
            not fresh are null, unless stale ones were asked for.
        valid: feature → (n,) bool, False where null.
        status: (n,) object: "fresh", "stale" or "missing".
        reason: (n,) object: None if fresh, else "expired", "absent", "newer than at", "other schema", "corrupt", or
            why the store gave no answer. Where all rows are fresh, `status` and `reason` are read-only.
        age_us: (n,) int64, `at - event time`; -1 where the row is missing.
        event_us: (n,) int64, microseconds since 1970; `NEVER` where the row is missing.
        all_fresh: True if every row is known to be fresh, without a look at `status`.
    """

    values: dict[str, Column]
    valid: dict[str, NDArray[np.bool_]]
    status: NDArray[np.object_]
    reason: NDArray[np.object_]
    age_us: NDArray[np.int64]
    event_us: NDArray[np.int64]
    all_fresh: bool = False


def view_columns(view: PackedView, packed: Sequence[bytes | None], at_us: int, keep_stale: bool = False) -> ViewColumns:
    """Unpack what a store returned for n keys, as it counts at `at_us`."""
    if len(packed) == 1 and packed[0] is not None:
        alone = _fresh_alone(view, packed[0], at_us)
        if alone is not None:
            return alone
    rows = decode_rows(view.schema, packed)
    found = columns_at(view, rows, at_us)
    if found is not None:
        return found
    codes = _codes_at(view, rows, at_us)
    unusable = (codes != rows.reason) & ((codes != EXPIRED) | (not keep_stale))
    kept = [None if drop else value for value, drop in zip(packed, unusable.tolist(), strict=True)]
    return _as_coded(decode_rows(view.schema, kept), codes, rows.times.event_us, at_us)


def columns_at(view: PackedView, rows: DecodedRows, at_us: int) -> ViewColumns | None:
    """Return rows as they count at `at_us`; None if one is expired or not known yet, so that its values are to hide."""
    if _all_fresh(view, rows, at_us):
        return fresh_columns(rows, at_us)
    codes = _codes_at(view, rows, at_us)
    return _as_coded(rows, codes, rows.times.event_us, at_us) if np.array_equal(codes, rows.reason) else None


def fresh_columns(rows: DecodedRows, at_us: int) -> ViewColumns:
    """Return rows of which all are fresh at `at_us`."""
    event = rows.times.event_us
    fresh, nothing = shared(FRESH, object, len(event)), shared(None, object, len(event))
    return ViewColumns(rows.values, rows.valid, fresh, nothing, at_us - event, event, all_fresh=True)


def unanswered(view: PackedView, count: int, why: str) -> ViewColumns:
    """Return n missing rows with one reason: the store gave no answer."""
    found = view_columns(view, [None] * count, 0)
    found.reason[:] = why
    return found


def take_rows(column: Column, rows: NDArray[np.int64]) -> Column:
    """Return the rows of a column at these places; a `Ragged` keeps being one."""
    if not isinstance(column, Ragged):
        return column[rows]
    lengths = np.diff(column.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    places = np.repeat(column.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Ragged(column.values[places], offsets)


def _fresh_alone(view: PackedView, value: bytes, at_us: int) -> ViewColumns | None:
    """Answer for one fresh row in half the time of the general way; None if it is no such row."""
    row = decode_alone(view.schema, value)
    if row is None:
        return None
    event, created, _ = row.version
    if event > at_us or created > at_us or (view.ttl_us and event < at_us - view.ttl_us):
        return None
    age, happened = np.array([at_us - event]), np.array([event])
    return ViewColumns(row.values, row.valid, _ONE_FRESH, _ONE_NOTHING, age, happened, all_fresh=True)


def _all_fresh(view: PackedView, rows: DecodedRows, at_us: int) -> bool:
    """Answer for the usual case what `_codes_at` would say of each row."""
    if not len(rows.reason) or rows.reason.tobytes().strip(b"\0"):
        return False
    event, created = rows.times.event_us.tolist(), rows.times.created_us.tolist()
    if max(event) > at_us or max(created) > at_us:
        return False
    return not view.ttl_us or min(event) >= at_us - view.ttl_us


def _as_coded(rows: DecodedRows, codes: NDArray[np.uint8], event: NDArray[np.int64], at_us: int) -> ViewColumns:
    there = (codes == OK) | (codes == EXPIRED)
    age, event_us = np.where(there, at_us - event, -1), np.where(there, event, NEVER)
    return ViewColumns(rows.values, rows.valid, _STATUS_TEXTS[codes], _REASON_TEXTS[codes], age, event_us)


def _codes_at(view: PackedView, rows: DecodedRows, at_us: int) -> NDArray[np.uint8]:
    event, created = rows.times.event_us, rows.times.created_us
    codes = rows.reason.copy()
    there = codes == OK
    if view.ttl_us:
        codes[there & (event < at_us - view.ttl_us)] = EXPIRED
    codes[there & ((event > at_us) | (created > at_us))] = NOT_YET
    return codes
