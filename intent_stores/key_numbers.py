"""Entity keys as small whole numbers: each distinct key among the anchors gets one, for as long as a join lasts."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import numpy as np
import pyarrow as pa

from intent_stores.ragged import Ints
from intent_stores.sql_text import listing
from intent_stores.view_plan import ViewPlan


@contextmanager
def numbered_keys(connection: duckdb.DuckDBPyConnection, anchors: pa.Table, plan: ViewPlan) -> Iterator[Ints]:
    """Register the anchors as `anchors`, number their keys in table `asof_keys` (k0 …, kid), and drop both at the end.

    Arguments:
        anchors: as for `point_in_time.join_latest`.

    Yields:
        int64, the number of each anchor's key, in the order of `r`: 0 … one less than the number of distinct keys,
        -1 where a key is null. A view without keys has one key, number 0.
    """
    connection.register("anchors", anchors)
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE asof_keys AS {_distinct_keys(plan)}")
        yield _numbers(connection, plan, anchors.num_rows)
    finally:
        connection.execute("DROP TABLE IF EXISTS asof_keys")
        connection.unregister("anchors")


def join_keys(plan: ViewPlan) -> str:
    """Return SQL that goes on a relation with the columns k0 … and gives each row its key's number `kid`.

    Rows of keys that no anchor asks for disappear.
    """
    return f"JOIN asof_keys USING ({listing(plan.key_names)})" if plan.keys else "CROSS JOIN asof_keys"


def _distinct_keys(plan: ViewPlan) -> str:
    if not plan.keys:
        return "SELECT 0::BIGINT AS kid"
    keys = listing(plan.key_names)
    present = " AND ".join(f"{k} IS NOT NULL" for k in plan.key_names)
    return f"SELECT *, row_number() OVER () - 1 AS kid FROM (SELECT DISTINCT {keys} FROM anchors WHERE {present})"


def _numbers(connection: duckdb.DuckDBPyConnection, plan: ViewPlan, rows: int) -> Ints:
    if not plan.keys:
        return np.zeros(rows, dtype=np.int64)
    found = connection.execute(f"SELECT r, kid FROM anchors {join_keys(plan)}").fetchnumpy()
    numbers = np.full(rows, -1, dtype=np.int64)
    numbers[found["r"]] = found["kid"]
    return numbers
