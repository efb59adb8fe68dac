"""The join itself: for each anchor, the one row of a view that was the latest known at its moment.

Three steps, each a DuckDB query that may spill:

1. *Narrow*: keys, times and row numbers only. Where creation times filter, a row becomes known at
   `k = max(event, created)`. Ordered by k, only a row whose event time is not below all earlier ones can ever be
   an answer, so the others are dropped by a running maximum.
2. *Match*: one `ASOF JOIN` of the anchors with those rows, on a struct (known, event, created, row number): its
   order is the rule for ties, so the answer does not depend on threads or on the files' layout in memory.
3. *Gather*: features of the matched rows only, by row number.
"""

import duckdb
import numpy as np
import pyarrow as pa

from intent_stores.parquet_source import ROW_NUMBER
from intent_stores.sql_text import identifier, listing
from intent_stores.view_plan import ViewPlan

# Larger than any event, creation time or row number: an anchor admits every row that is known at its moment.
_LAST = "9223372036854775807::BIGINT"


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
    connection.register("anchors", anchors)
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE matched AS {_match(plan)}")
        gathered = connection.sql(_gather(plan)).to_arrow_table()
        plan.source.check_unchanged()
    finally:
        connection.execute("DROP TABLE IF EXISTS matched")
        connection.unregister("anchors")
    return _in_order(gathered, anchors.num_rows).rename_columns([f.output for f in plan.features])


def _match(plan: ViewPlan) -> str:
    on = " AND ".join([f"a.{k} = f.{k}" for k in plan.key_names] + ["a.moment >= f.moment"])
    keys = listing([*plan.key_names, ""]).rstrip()
    fields = ["e", "c", "rid"]
    if plan.filters_created:
        fields = ["k", *fields]
    elif plan.created_column is None:
        fields = ["e", "rid"]
    row = listing(f"{name} := {name}" for name in fields)
    anchor = listing(f"{name} := {'t' if i == 0 else _LAST}" for i, name in enumerate(fields))
    within = "" if plan.ttl_us is None else f" WHERE a.t - f.moment.e <= {plan.ttl_us}"
    return (
        f"SELECT a.r, f.moment.rid AS rid FROM (SELECT r, {keys} t, struct_pack({anchor}) AS moment FROM anchors) a "
        f"ASOF JOIN (SELECT {keys} struct_pack({row}) AS moment FROM ({_candidates(plan)})) f ON {on}{within}"
    )


def _candidates(plan: ViewPlan) -> str:
    """Return SQL of the rows that can be an answer at some moment."""
    rows = plan.narrow_rows(ROW_NUMBER)
    # Rows later than the last anchor are read but never sorted.
    last = "(SELECT max(t) FROM anchors)"
    if not plan.filters_created:
        return f"SELECT * FROM ({rows}) WHERE e <= {last}"
    by_key = f"PARTITION BY {listing(plan.key_names)} " if plan.keys else ""
    return (
        f"SELECT * FROM (SELECT *, greatest(e, c) AS k FROM ({rows})) WHERE k <= {last} "
        f"QUALIFY e = max(e) OVER ({by_key}ORDER BY k, e, c, rid ROWS UNBOUNDED PRECEDING)"
    )


def _gather(plan: ViewPlan) -> str:
    # Columns are named by place: two outputs may differ in nothing but upper case, which DuckDB does not tell apart.
    features = listing(f"f.{identifier(f.source_column)} AS f{i}" for i, f in enumerate(plan.features))
    columns = f"m.r AS r, {features}" if features else "m.r AS r"
    return (
        f"SELECT {columns} FROM matched m JOIN "
        f"(SELECT *, {ROW_NUMBER} AS __asof_row FROM {plan.source.relation}) f ON m.rid = f.__asof_row"
    )


def _in_order(gathered: pa.Table, rows: int) -> pa.Table:
    """Put gathered rows in the anchors' order, with nulls where an anchor met none."""
    place = np.full(rows, -1, dtype=np.int64)
    place[gathered.column(0).to_numpy()] = np.arange(gathered.num_rows)
    index = pa.array(place, mask=place < 0)
    return gathered.remove_column(0).combine_chunks().take(index).combine_chunks()
