"""Sequences as features: for each anchor, lists of its last N events, gathered without a Python loop per row.

DuckDB reads the events of the anchors' keys once, sorted (and spilling if it must); NumPy then finds each anchor's
run of events and gathers all of them at once. Sources too large for that are read in several passes, by key.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from intent_stores.duckdb_session import memory_limit
from intent_stores.errors import SourceColumnTypeError
from intent_stores.key_numbers import join_keys, numbered_keys
from intent_stores.parquet_source import ROW_NUMBER, row_count
from intent_stores.ragged import Ints
from intent_stores.sequence_windows import SortedEvents, Windows, last_events
from intent_stores.sql_text import identifier, listing
from intent_stores.view_plan import LONG_AGO, ViewPlan

# Lists hold no nulls (Feast cannot materialise them): a null element becomes its type's neutral value.
_NEUTRAL = {
    "VARCHAR": "''",
    "BOOLEAN": "false",
    "FLOAT": "'NaN'::FLOAT",
    "DOUBLE": "'NaN'::DOUBLE",
    "BLOB": "''::BLOB",
}
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}

# One pass holds at most this much of the source, or a quarter of a smaller memory_limit.
_PASS_BYTES = 1 << 30
# One output chunk: bounds the index arrays, and keeps 32-bit offsets of lists and strings far from overflow.
_CHUNK_ELEMENTS = 32_000_000
_CHUNK_BYTES = 1 << 29


@dataclass(frozen=True)
class GatheredSequences:
    """Lists for each anchor, and the newest event that each list ends with.

    Attributes:
        lists: n rows in the anchors' order; one list column for each feature, oldest element first, never null.
        newest_event: int64 microseconds of each list's last event; 0 where the list is empty.
        newest_created: the same for its creation time.
        length: int64, how many events each list has.
    """

    lists: pa.Table
    newest_event: Ints
    newest_created: Ints
    length: Ints


def gather_sequences(
    connection: duckdb.DuckDBPyConnection, anchors: pa.Table, plan: ViewPlan, length: int, dictionaries: bool = False
) -> GatheredSequences:
    """Return the last `length` events of each anchor as lists.

    Arguments:
        connection: a DuckDB session in UTC.
        anchors: as for `point_in_time.join_latest`.
        plan: which events count; its TTL bounds each event, not only the newest.
        length: the most events in a list.
        dictionaries: give lists of text as dictionaries (int32 codes), each event's word coded once however many
            lists it is in.

    Returns:
        An empty list where no event counts or the key is null. A null element of the source is NaN, "", 0, False
        or 1970 in a list.

    Raises:
        SourceColumnTypeError: a feature's type has no neutral value, so it cannot be an element.
        SourceChangedError: a file was replaced meanwhile.
    """
    with numbered_keys(connection, anchors, plan) as key:
        t = anchors.column("t").to_numpy()
        parts = [
            part
            for table, rows in _passes(connection, key, plan, dictionaries)
            for part in _chunks(table, rows, key, t, plan, length)
        ]
        plan.source.check_unchanged()
    return _joined(parts)


@dataclass(frozen=True)
class _Part:
    """Sequences of some of the anchors: `rows` says which."""

    rows: Ints
    found: GatheredSequences


def _passes(
    connection: duckdb.DuckDBPyConnection, key: Ints, plan: ViewPlan, dictionaries: bool
) -> Iterator[tuple[pa.Table, Ints]]:
    """Yield sorted events, some keys at a time, and which anchors have these keys."""
    count = pass_count(connection, plan)
    for number in range(count):
        table = connection.sql(_sorted_rows(plan, count, number)).to_arrow_table().combine_chunks()
        # A null key has number -1: it belongs to the last pass, where it finds nothing.
        yield _coded(table) if dictionaries else table, np.flatnonzero(key % count == number)


def _coded(table: pa.Table) -> pa.Table:
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            table = table.set_column(i, field.name, table.column(i).dictionary_encode())
    return table.unify_dictionaries().combine_chunks()


def pass_count(connection: duckdb.DuckDBPyConnection, plan: ViewPlan) -> int:
    """Return in how many passes a source is read so that one fits in memory beside the result."""
    rows = row_count(connection, plan.source)
    kinds = [plan.source.column_types[f.source_column] for f in plan.features]
    width = 24 + sum(32 if kind in ("VARCHAR", "BLOB") else 8 for kind in kinds)
    budget = min(_PASS_BYTES, memory_limit(connection) // 4)
    return max(1, -(-rows * width // max(budget, 1)))


def _sorted_rows(plan: ViewPlan, passes: int, number: int) -> str:
    columns = listing(
        f"{_element(plan, f.source_column)} AS {identifier(f'f{i}')}" for i, f in enumerate(plan.features)
    )
    keys = listing(f"{identifier(k.source_column)} AS k{i}" for i, k in enumerate(plan.keys))
    parts = [p for p in (keys, columns) if p]
    scan = (
        f"SELECT {listing([*parts, ''])} {plan.event_micros} AS e, {plan.created_micros} AS c, "
        f"{ROW_NUMBER} AS rid FROM {plan.source.relation}"
    )
    conditions = ["e <= (SELECT max(t) FROM anchors)"]
    if plan.filters_created:
        conditions.append(f"c > {LONG_AGO}")
    if plan.ttl_us is not None:
        conditions.append(f"e >= (SELECT min(t) FROM anchors) - {plan.ttl_us}")
    if passes > 1:
        conditions.append(f"kid % {passes} = {number}")
    features = listing(["", *(f"f{i}" for i in range(len(plan.features)))])
    return (
        f"SELECT kid, e, c{features} FROM ({scan}) {join_keys(plan)} WHERE {' AND '.join(conditions)} "
        "ORDER BY kid, e, c, rid"
    )


def _element(plan: ViewPlan, column: str) -> str:
    kind = plan.source.require(column, f"a feature of view {plan.name!r}")
    name = identifier(column)
    if kind in _NEUTRAL:
        return f"coalesce({name}, {_NEUTRAL[kind]})"
    if kind in _WHOLE or kind.startswith("DECIMAL"):
        return f"coalesce({name}, 0::{kind})"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"coalesce({name}, '1970-01-01'::{kind})"
    raise SourceColumnTypeError(
        f"Source {plan.source.name!r}: column {column!r} has type {kind} and cannot be an element of a sequence; "
        "expected numbers, strings, booleans, bytes or times, one for each event. Store it as one of them."
    )


def _chunks(table: pa.Table, rows: Ints, key: Ints, t: Ints, plan: ViewPlan, length: int) -> Iterator[_Part]:
    event, created = table.column("e").to_numpy(), table.column("c").to_numpy()
    known = np.maximum(event, created) if plan.filters_created else event
    events = SortedEvents(table.column("kid").to_numpy(), event, known)
    values = table.select([f"f{i}" for i in range(len(plan.features))])
    step = _anchors_in_a_chunk(values, length)
    for start in range(0, max(len(rows), 1), step):
        part = rows[start : start + step]
        windows = last_events(events, key[part], t[part], length, plan.ttl_us)
        newest = windows.last
        found = GatheredSequences(
            lists=_as_lists(values, windows, [f.output for f in plan.features]),
            newest_event=np.where(newest < 0, 0, event[newest] if len(event) else 0),
            newest_created=np.where(newest < 0, 0, created[newest] if len(created) else 0),
            length=np.diff(windows.offsets),
        )
        yield _Part(part, found)


def _anchors_in_a_chunk(values: pa.Table, length: int) -> int:
    widest = max((column.nbytes / max(values.num_rows, 1) for column in values.columns), default=1.0)
    elements = min(_CHUNK_ELEMENTS, _CHUNK_BYTES / max(widest, 1.0))
    return max(1, int(elements // length))


def _as_lists(values: pa.Table, windows: Windows, names: list[str]) -> pa.Table:
    index, offsets = pa.array(windows.index), pa.array(windows.offsets.astype(np.int32))
    columns = []
    for column in values.columns:
        chunk = column.combine_chunks()
        array = chunk if isinstance(chunk, pa.Array) else pa.concat_arrays(chunk.chunks)
        columns.append(pa.ListArray.from_arrays(offsets, array.take(index)))
    return pa.Table.from_arrays(columns, names=names)


def _joined(parts: list[_Part]) -> GatheredSequences:
    if len(parts) == 1:
        return parts[0].found
    lists = pa.concat_tables([part.found.lists for part in parts]).unify_dictionaries()
    small = lists.nbytes < _CHUNK_BYTES
    order = np.argsort(np.concatenate([part.rows for part in parts]), kind="stable")
    if not np.array_equal(order, np.arange(len(order))):
        lists = lists.take(pa.array(order))
    return GatheredSequences(
        lists=lists.combine_chunks() if small else lists,
        newest_event=np.concatenate([part.found.newest_event for part in parts])[order],
        newest_created=np.concatenate([part.found.newest_created for part in parts])[order],
        length=np.concatenate([part.found.length for part in parts])[order],
    )
