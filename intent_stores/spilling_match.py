"""Matching rows with anchors where even keys and times do not fit in memory: DuckDB's ASOF JOIN, which may spill.

Where creation times filter, a row becomes known at `k = max(event, created)`. Ordered by k, only a row whose event
time is not below all earlier ones can ever be an answer, so the others are dropped by a running maximum. The rest
meet the anchors on a struct (known, event, created, row number): its order is the rule for ties, so the answer does
not depend on threads or on the files' layout in memory.
"""

import duckdb
import pyarrow as pa

from intent_stores.parquet_source import ROW_NUMBER
from intent_stores.sql_text import listing
from intent_stores.view_plan import ViewPlan

# Larger than any event, creation time or row number: an anchor admits every row that is known at its moment.
_LAST = "9223372036854775807::BIGINT"


def create_matched(connection: duckdb.DuckDBPyConnection, anchors: pa.Table, plan: ViewPlan) -> None:
    """Create the temporary table `matched` (r, rid): which row answers which anchor.

    Arguments and rules are those of `point_in_time.join_latest`; anchors without an answer are left out.
    """
    connection.register("anchors", anchors)
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE matched AS {_match(plan)}")
    finally:
        connection.unregister("anchors")


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
