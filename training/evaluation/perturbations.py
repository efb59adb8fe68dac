"""A shop's log with something wrong in it, as happens to logs: each function damages about a tenth of the events.

All take the canonical events of some customers and a generator, and return the damaged table in order of time with the
share of rows that are not as they were. Labels are none of their business: what happened did happen.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["PERTURBATIONS", "Perturbation"]

SHARE = 0.1
Perturbation = Callable[[pa.Table, np.random.Generator], tuple[pa.Table, float]]


def _as_it_is(events: pa.Table, random: np.random.Generator) -> tuple[pa.Table, float]:
    return events, 0.0


def _missing(events: pa.Table, random: np.random.Generator) -> tuple[pa.Table, float]:
    lost = random.random(events.num_rows) < SHARE
    return events.filter(pa.array(~lost)), float(lost.mean())


def _duplicated(events: pa.Table, random: np.random.Generator) -> tuple[pa.Table, float]:
    """Repeat rows under another `event_id`: one that came twice under its own is dropped when the log is taken in."""
    twice = random.random(events.num_rows) < SHARE
    again = events.filter(pa.array(twice))
    ids = pc.binary_join_element_wise(again["event_id"], "again", "-")
    again = again.set_column(again.column_names.index("event_id"), events.schema.field("event_id"), ids)
    return _in_order(pa.concat_tables([events, again])), float(twice.mean())


def _shuffled(events: pa.Table, random: np.random.Generator) -> tuple[pa.Table, float]:
    """Let a customer's drawn events change times with one another; when each became known moves with its time."""
    drawn = np.flatnonzero(random.random(events.num_rows) < SHARE)
    place = np.arange(events.num_rows)
    users = events["user_id"].to_numpy(zero_copy_only=False).astype(str)[drawn]
    order = np.lexsort((random.random(len(drawn)), users))
    source = drawn[order]
    place[source] = _rotated_within(source, users[order])
    moved = events
    for name in ("event_timestamp", "created_timestamp"):
        field = events.schema.field(name)
        moved = moved.set_column(moved.column_names.index(name), field, events[name].take(pa.array(place)))
    apart = pc.not_equal(moved["event_timestamp"], events["event_timestamp"]).to_numpy(zero_copy_only=False)
    return _in_order(moved), float(apart.mean())


def _rotated_within(rows: NDArray[np.int64], users: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return `rows` with each customer's own moved on by one place; rows of a customer lie together."""
    starts = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]])) if len(rows) else np.zeros(0, np.int64)
    following = np.arange(len(rows)) + 1
    following[np.concatenate([starts[1:], [len(rows)]]) - 1] = starts
    return rows[following] if len(rows) else rows


def _renamed(events: pa.Table, random: np.random.Generator) -> tuple[pa.Table, float]:
    """Give the most frequent category another name in the later half of the log."""
    names = events["category"].drop_null()
    if not len(names):
        return events, 0.0
    counts = pc.value_counts(names)
    most = counts.field("values")[int(np.argmax(counts.field("counts").to_numpy(zero_copy_only=False)))]
    at_us = events["event_timestamp"].cast(pa.int64()).to_numpy()
    hit = pc.equal(events["category"], most).fill_null(False).to_numpy(zero_copy_only=False)
    hit = hit & (at_us >= np.median(at_us))
    renamed = pc.if_else(pa.array(hit), f"{most.as_py()} (renamed)", events["category"])
    return events.set_column(events.column_names.index("category"), "category", renamed), float(hit.mean())


PERTURBATIONS: dict[str, Perturbation] = {
    "as it is": _as_it_is,
    "10 % of events missing": _missing,
    "10 % of events duplicated": _duplicated,
    "10 % of events shuffled in time": _shuffled,
    "largest category renamed": _renamed,
}
"""What is done to the log, by the name it is reported under; the first does nothing, for comparison."""


def _in_order(events: pa.Table) -> pa.Table:
    return events.sort_by([("event_timestamp", "ascending"), ("event_id", "ascending")])
