"""What a run's log says of some customers, as tables in memory: to be altered, and derived from again."""

from pathlib import Path

import duckdb
import pyarrow as pa

from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, USER_SCHEMA

__all__ = ["LOG", "log_of_customers"]

LOG = (("events", EVENT_SCHEMA), ("users", USER_SCHEMA), ("items", ITEM_SCHEMA))
"""The folders of a log, and the columns in them."""


def log_of_customers(out: Path, asked: pa.Table) -> dict[str, pa.Table]:
    """Return folder → rows: those of the customers in the column `user_id` of `asked`, and all items."""
    log = {}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("asked", asked)
        for name, schema in LOG:
            of_asked = "" if name == "items" else "WHERE user_id IN (SELECT user_id FROM asked)"
            table = connection.sql(
                f"FROM read_parquet(?, union_by_name = true) {of_asked}", params=[f"{out}/{name}/*.parquet"]
            )
            log[name] = table.to_arrow_table().select(schema.names).cast(schema)
    return log
