"""Sequences as packed rows: the lists that are stored and those that arrive become one, event by event.

A merge only ever adds, so it may be repeated without harm. Where a sequence names its events' ids and times, merges may
also be done in any order, and the lists end the same. Needs NumPy alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intent_stores.errors import ConfigurationError, FeatureValueError
from intent_stores.packed_codec import NEVER, OK, DecodedRows, RowTimes, decode_rows, encode_rows
from intent_stores.packed_schema import PackedSchema, element_kind
from intent_stores.ragged import Ints, offsets_of, run_indices
from intent_stores.ragged_column import Ragged

LENGTH, EVENT_ID, EVENT_TIME, CREATED_TIME = (
    f"sequence.{name}" for name in ("length", "event_id", "event_time", "created_time")
)
"""Tags of a source; all but the first name a list feature of the view over it."""


@dataclass(frozen=True)
class SequenceRule:
    """How the lists of a view are kept.

    Attributes:
        length: the most events in a list; the last that many stay.
        event_id: the feature that identifies an event. None: the whole element does, and how often a list holds it.
        event_time: the feature that orders events. None: those that arrive go behind those that are there, and one
            that is there already stays as it is.
        created_time: the feature that orders events of one time, before their ids do. Of two versions of an event
            the one created later stays, of equals the one that arrived last.
    """

    length: int
    event_id: str | None = None
    event_time: str | None = None
    created_time: str | None = None

    @classmethod
    def of(cls, view: str, fields: Mapping[str, str], tags: Mapping[str, str]) -> "SequenceRule | None":
        """Return the rule of a view over a source with these tags; None if the source holds no sequence.

        Raises:
            ConfigurationError: a feature is no list, or a tag names none of them or is no positive whole number.
        """
        if LENGTH not in tags:
            return None
        scalars = sorted(name for name, kind in fields.items() if element_kind(kind) is None)
        if scalars:
            raise ConfigurationError(
                f"View {view!r} is over a sequence source, but its features {scalars} are no lists; expected Array(…)."
            )
        if not tags[LENGTH].isascii() or not tags[LENGTH].isdigit() or int(tags[LENGTH]) < 1:
            raise ConfigurationError(f"Tag {LENGTH} of view {view!r} is {tags[LENGTH]!r}; expected 1 or more.")
        named = {tag: tags.get(tag) for tag in (EVENT_ID, EVENT_TIME, CREATED_TIME)}
        unknown = {tag: name for tag, name in named.items() if name is not None and name not in fields}
        if unknown:
            raise ConfigurationError(
                f"Tags {unknown} of view {view!r} name no feature of it; expected one of {sorted(fields)}."
            )
        return cls(int(tags[LENGTH]), named[EVENT_ID], named[EVENT_TIME], named[CREATED_TIME])


def merge_lists(
    schema: PackedSchema,
    rule: SequenceRule,
    held: Sequence[bytes | None],
    arriving: Sequence[bytes],
    owner: Sequence[int] | Ints,
) -> list[bytes]:
    """Return the packed rows that n keys have after m rows arrived.

    Arguments:
        held: n packed values; what cannot be read (absent, damaged, of another schema) counts as no list.
        arriving: m packed values; several may be for one key.
        owner: (m,), the place in `held` of each arriving row's key.

    Returns:
        n packed rows. A row's times are the latest of all that went into it.

    Raises:
        FeatureValueError: an arriving row's lists differ in length, or it is not of this schema.
    """
    rows = decode_rows(schema, [*held, *arriving])
    owners = np.concatenate([np.arange(len(held)), np.asarray(owner, np.int64)])
    lengths = _lengths(rows, len(held))
    elements = _Elements.of(rows, rule, owners, lengths, len(held))
    chosen = _last(elements, rule)
    counts = np.bincount(elements.owner[chosen], minlength=len(held))
    columns = {name: Ragged(_values(rows, name)[chosen], offsets_of(counts)) for name in schema.fields}
    return encode_rows(schema, columns, _latest_times(rows.times, owners, len(held)))


def _values(rows: DecodedRows, name: str) -> NDArray[Any]:
    column = rows.values[name]
    assert isinstance(column, Ragged)  # noqa: S101  the rule was made for a view of lists only
    return column.values


def _lengths(rows: DecodedRows, held: int) -> Ints:
    """Return each row's number of events; what is held and uneven cannot be there, for nobody could write it."""
    every = [np.diff(column.offsets) for column in rows.values.values() if isinstance(column, Ragged)]
    uneven = np.flatnonzero(np.any([lengths != every[0] for lengths in every], axis=0) | _unreadable(rows, held))
    if len(uneven):
        raise FeatureValueError(
            f"Row {uneven[0] - held} to be merged into a sequence has lists of different lengths "
            f"({[int(lengths[uneven[0]]) for lengths in every]} in {sorted(rows.values)}); expected one element in "
            "each for every event. Nothing was stored."
        )
    lengths: Ints = every[0]
    return lengths


def _unreadable(rows: DecodedRows, held: int) -> NDArray[np.bool_]:
    return (rows.reason != OK) & (np.arange(len(rows.reason)) >= held)


@dataclass(frozen=True)
class _Elements:
    """All events of all rows, one after another, each array of shape (elements,).

    `identity` numbers events within everything, in the order of their ids; `arrival` is their place.
    """

    owner: Ints
    time: Ints
    created: Ints
    identity: Ints

    @classmethod
    def of(cls, rows: DecodedRows, rule: SequenceRule, owners: Ints, lengths: Ints, held: int) -> "_Elements":
        count = int(lengths.sum())
        place = np.repeat(np.arange(len(owners)), lengths)
        if rule.event_time is None:
            arriving = np.where(np.arange(len(owners)) < held, NEVER, rows.times.event_us)
            time = arriving[place]
        else:
            time = _moments(rows, rule.event_time)
        created = np.zeros(count, np.int64) if rule.created_time is None else _moments(rows, rule.created_time)
        names = sorted(rows.values) if rule.event_id is None else [rule.event_id]
        identity = _numbered([_values(rows, name) for name in names], count)
        if rule.event_id is None:
            identity = _numbered([identity, _occurrence(place, identity)], count)
        return cls(owners[place], time, created, identity)


def _moments(rows: DecodedRows, name: str) -> Ints:
    values = _values(rows, name)
    if values.dtype.kind not in "iM":
        raise ConfigurationError(f"Feature {name!r} orders a sequence but holds {values.dtype}; expected times.")
    return values.astype("datetime64[us]").view(np.int64) if values.dtype.kind == "M" else values.astype(np.int64)


def _numbered(columns: Sequence[NDArray[Any]], count: int) -> Ints:
    """Number the different rows of these columns, in their order."""
    numbers = np.zeros(count, np.int64)
    for column in columns:
        different, codes = np.unique(column, return_inverse=True)
        numbers = np.unique(numbers * max(len(different), 1) + codes, return_inverse=True)[1].astype(np.int64)
    return numbers


def _occurrence(place: Ints, identity: Ints) -> Ints:
    """Return for each event how many equal ones stand before it in its own row."""
    order = np.lexsort((np.arange(len(place)), identity, place))
    begins = np.flatnonzero(_changes(place[order], identity[order]))
    run = np.diff(np.append(begins, len(order)))
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order)) - np.repeat(begins, run)
    return found


def _last(elements: _Elements, rule: SequenceRule) -> Ints:
    """Return the places of the events that stay, key after key, oldest first."""
    kept = _one_of_each(elements, keep_first=rule.event_time is None)
    ties = (kept,) if rule.event_time is None else (elements.identity[kept], elements.created[kept])
    kept = kept[np.lexsort((*ties, elements.time[kept], elements.owner[kept]))]
    begins = np.flatnonzero(_changes(elements.owner[kept]))
    run = np.diff(np.append(begins, len(kept)))
    stay = np.minimum(run, rule.length)
    return kept[run_indices(begins + run - stay, stay)]


def _one_of_each(elements: _Elements, keep_first: bool) -> Ints:
    arrival = np.arange(len(elements.owner))
    order = np.lexsort((-arrival if keep_first else arrival, elements.created, elements.identity, elements.owner))
    changes = _changes(elements.owner[order], elements.identity[order])
    return order[np.append(changes[1:], True)[: len(order)]]


def _changes(*columns: Ints) -> NDArray[np.bool_]:
    """Return where a row differs from the one before it; the first one does."""
    different = np.ones(len(columns[0]), bool)
    if len(columns[0]):
        different[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return different


def _latest_times(times: RowTimes, owners: Ints, count: int) -> RowTimes:
    found = []
    for column in (times.event_us, times.created_us, times.sequence):
        latest = np.full(count, NEVER)
        np.maximum.at(latest, owners, column)
        found.append(latest)
    return RowTimes(*found)
