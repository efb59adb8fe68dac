"""Sequences as features: for each anchor, lists of its last N events, gathered without a Python loop per row."""

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from intent_stores.errors import SourceColumnTypeError
from intent_stores.parquet_source import ROW_NUMBER
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

# Elements of one output chunk: bounds the index arrays, and keeps 32-bit list offsets far from overflow.
_CHUNK_ELEMENTS = 32_000_000


@dataclass(frozen=True)
class GatheredSequences:
    """Lists for each anchor, and the newest event that each list ends with.

    Attributes:
        lists: n rows in the anchors' order; one list column for each feature, oldest element first, never null.
        newest_event: int64 microseconds of each list's last event; undefined where the list is empty.
        newest_created: the same for its creation time.
        length: int64, how many events each list has.
    """

    lists: pa.Table
    newest_event: Ints
    newest_created: Ints
    length: Ints


def gather_sequences(
    connection: duckdb.DuckDBPyConnection, anchors: pa.Table, plan: ViewPlan, length: int
) -> GatheredSequences:
    """Return the last `length` events of each anchor as lists.

    Arguments:
        connection: a DuckDB session in UTC.
        anchors: as for `point_in_time.join_latest`.
        plan: which events count; its TTL bounds each event, not only the newest.
        length: the most events in a list.

    Returns:
        An empty list where no event counts or the key is null. A null element of the source is NaN, "", 0 or
        False in a list.

    Raises:
        SourceColumnTypeError: a feature's type has no neutral value, so it cannot be an element.
        SourceChangedError: a file was replaced meanwhile.
    """
    connection.register("anchors", anchors)
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE asof_keys AS {_distinct_keys(plan)}")
        key = _key_numbers(connection, plan, anchors.num_rows)
        rows = connection.sql(_sorted_rows(plan)).to_arrow_table().combine_chunks()
        plan.source.check_unchanged()
    finally:
        connection.execute("DROP TABLE IF EXISTS asof_keys")
        connection.unregister("anchors")
    t = anchors.column("t").to_numpy()
    return _gather_chunks(rows, key, t, plan, length)


def _distinct_keys(plan: ViewPlan) -> str:
    if not plan.keys:
        return "SELECT 0::BIGINT AS kid"
    keys = listing(plan.key_names)
    present = " AND ".join(f"{k} IS NOT NULL" for k in plan.key_names)
    return f"SELECT *, row_number() OVER () - 1 AS kid FROM (SELECT DISTINCT {keys} FROM anchors WHERE {present})"


def _key_numbers(connection: duckdb.DuckDBPyConnection, plan: ViewPlan, rows: int) -> Ints:
    """Number each anchor's key; -1 for a null one."""
    if not plan.keys:
        return np.zeros(rows, dtype=np.int64)
    using = listing(plan.key_names)
    found = connection.execute(f"SELECT r, kid FROM anchors JOIN asof_keys USING ({using})").fetchnumpy()
    numbers = np.full(rows, -1, dtype=np.int64)
    numbers[found["r"]] = found["kid"]
    return numbers


def _sorted_rows(plan: ViewPlan) -> str:
    columns = listing(
        f"{_element(plan, f.source_column)} AS {identifier(f'f{i}')}" for i, f in enumerate(plan.features)
    )
    keys = listing(f"{identifier(k.source_column)} AS k{i}" for i, k in enumerate(plan.keys))
    parts = [p for p in (keys, columns) if p]
    scan = (
        f"SELECT {listing([*parts, ''])} {plan.event_micros} AS e, {plan.created_micros} AS c, "
        f"{ROW_NUMBER} AS rid FROM {plan.source.relation}"
    )
    join = f"JOIN asof_keys USING ({listing(plan.key_names)})" if plan.keys else "CROSS JOIN asof_keys"
    known = f" AND c > {LONG_AGO}" if plan.filters_created else ""
    oldest = "" if plan.ttl_us is None else f" AND e >= (SELECT min(t) FROM anchors) - {plan.ttl_us}"
    features = listing(f"f{i}" for i in range(len(plan.features)))
    return (
        f"SELECT kid, e, c{', ' if features else ''}{features} FROM ({scan}) {join} "
        f"WHERE e <= (SELECT max(t) FROM anchors){known}{oldest} ORDER BY kid, e, c, rid"
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


def _gather_chunks(rows: pa.Table, key: Ints, t: Ints, plan: ViewPlan, length: int) -> GatheredSequences:
    event, created = rows.column("e").to_numpy(), rows.column("c").to_numpy()
    known = np.maximum(event, created) if plan.filters_created else event
    events = SortedEvents(rows.column("kid").to_numpy(), event, known)
    values = rows.select([f"f{i}" for i in range(len(plan.features))])
    step = max(1, _CHUNK_ELEMENTS // length)
    tables, last = [], []
    for start in range(0, max(len(t), 1), step):
        part = slice(start, start + step)
        windows = last_events(events, key[part], t[part], length, plan.ttl_us)
        tables.append(_as_lists(values, windows, [f.output for f in plan.features]))
        last.append(np.stack([windows.last, np.diff(windows.offsets)]))
    newest, count = np.concatenate(last, axis=1)
    return GatheredSequences(
        lists=pa.concat_tables(tables).combine_chunks(),
        newest_event=np.append(event, 0)[newest],
        newest_created=np.append(created, 0)[newest],
        length=count,
    )


def _as_lists(values: pa.Table, windows: Windows, names: list[str]) -> pa.Table:
    index, offsets = pa.array(windows.index), pa.array(windows.offsets.astype(np.int32))
    columns = []
    for column in values.columns:
        chunk = column.combine_chunks()
        array = chunk if isinstance(chunk, pa.Array) else pa.concat_arrays(chunk.chunks)
        columns.append(pa.ListArray.from_arrays(offsets, array.take(index)))
    return pa.Table.from_arrays(columns, names=names)
