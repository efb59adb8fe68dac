"""The join itself: for each anchor, the one row of a view that was the latest known at its moment.

Three steps:

1. *Narrow*: keys, times and row numbers only.
2. *Match*: where these fit in memory, sorting and binary search in NumPy (`latest_known`); else one `ASOF JOIN` in
   DuckDB, which may spill.
3. *Gather*: features of the matched rows only, by row number.
"""

from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pyarrow as pa

from intent_stores import spilling_match
from intent_stores.duckdb_session import memory_limit, thread_count
from intent_stores.key_numbers import join_keys, numbered_keys
from intent_stores.latest_known import NarrowRows, latest_known
from intent_stores.parquet_source import ROW_NUMBER, row_count
from intent_stores.ragged import Ints
from intent_stores.sql_text import identifier, listing
from intent_stores.view_plan import ViewPlan

# What matching in memory takes for each row of the source at its peak, all its arrays together.
_BYTES_A_ROW = 100


def join_latest(connection: duckdb.DuckDBPyConnection, anchors: pa.Table, plan: ViewPlan) -> pa.Table:
    """Return the plan's features for each anchor, row for row.

    Arguments:
        connection: a DuckDB session in UTC.
        anchors: columns `r` (int64, 0 … n-1, the row's place), `k0` … (keys, any order of the plan's keys) and
            `t` (int64, microseconds since 1970 in UTC). Rows with a null key match nothing.
        plan: which rows count, and what is wanted of them.

    Returns:
        A table of n rows in the order of `r`, one column for each feature under its output name, in the source's
        types. A row counts if `event <= t`, `t - ttl <= event` and, where the plan says so, `created <= t`; the
        latest event wins, then the latest creation, then the last in the file. Null where no row counts.

    Raises:
        SourceChangedError: a file was replaced meanwhile.
    """
    try:
        if row_count(connection, plan.source) * _BYTES_A_ROW <= memory_limit(connection) // 4:
            connection.register("matched", _match_in_memory(connection, anchors, plan))
        else:
            spilling_match.create_matched(connection, anchors, plan)
        gathered = connection.sql(_gather(plan)).to_arrow_table()
        plan.source.check_unchanged()
    finally:
        connection.unregister("matched")
        connection.execute("DROP TABLE IF EXISTS matched")
    names = [f.output for f in plan.features]
    return _in_order(gathered, anchors.num_rows, thread_count(connection)).rename_columns(names)


def _match_in_memory(connection: duckdb.DuckDBPyConnection, anchors: pa.Table, plan: ViewPlan) -> pa.Table:
    """Return `r` and `rid`: which row answers which anchor; anchors without an answer are left out."""
    t = anchors.column("t").to_numpy()
    with numbered_keys(connection, anchors, plan) as key:
        rows = _narrow_rows(connection, t, plan)
        found = latest_known(rows, key, t, plan.ttl_us)
    met = np.flatnonzero(found >= 0)
    return pa.table({"r": met, "rid": rows.place[found[met]]})


def _narrow_rows(connection: duckdb.DuckDBPyConnection, t: Ints, plan: ViewPlan) -> NarrowRows:
    # Rows that no anchor can see are not worth sorting.
    latest = int(t.max(initial=0))
    earliest = "" if plan.ttl_us is None else f" AND e >= {int(t.min(initial=0)) - plan.ttl_us}"
    created = "" if plan.created_column is None else ", c"
    found = connection.execute(
        f"SELECT kid, e, rid{created} FROM ({plan.narrow_rows(ROW_NUMBER)}) {join_keys(plan)} "
        f"WHERE e <= {latest}{earliest}"
    ).fetchnumpy()
    return NarrowRows(found["kid"], found["e"], found.get("c"), found["rid"], plan.known_only)


def _gather(plan: ViewPlan) -> str:
    # Columns are named by place: two outputs may differ in nothing but upper case, which DuckDB does not tell apart.
    features = listing(f"f.{identifier(f.source_column)} AS f{i}" for i, f in enumerate(plan.features))
    columns = f"m.r AS r, {features}" if features else "m.r AS r"
    return (
        f"SELECT {columns} FROM matched m JOIN "
        f"(SELECT *, {ROW_NUMBER} AS __asof_row FROM {plan.source.relation}) f ON m.rid = f.__asof_row"
    )


def _in_order(gathered: pa.Table, rows: int, threads: int) -> pa.Table:
    """Put gathered rows in the anchors' order, with nulls where an anchor met none."""
    place = np.full(rows, -1, dtype=np.int64)
    place[gathered.column(0).to_numpy()] = np.arange(gathered.num_rows)
    index = pa.array(place, mask=place < 0)

    def taken(column: int) -> pa.ChunkedArray:
        return gathered.select([column]).combine_chunks().take(index).combine_chunks().column(0)

    columns = range(1, gathered.num_columns)
    if not columns:  # a table without columns has no place for its number of rows
        return gathered.take(index).select([])
    with ThreadPoolExecutor(threads) as pool:  # Arrow takes on one core
        return pa.table(list(pool.map(taken, columns)), gathered.column_names[1:])
